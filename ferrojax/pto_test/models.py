"""What the test asks of a potential, and the plan of one run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.pto_test.config import Npt, Nvt, PtoTestConfig
from ferrojax.pto_test.series import Scale


class ModelFailure(FerrojaxError):
    """What a potential did not survive, as a sentence: a finding of the test, not a fault of its use.

    ``rows``: records up to there (series.COLUMNS), if there are any.
    """

    def __init__(self, message: str, rows: Float[np.ndarray, "records 14"] | None = None) -> None:
        super().__init__(message)
        self.rows = rows


@dataclass(frozen=True)
class Plan:
    """One run: temperature (K), steps, their length (fs), steps between records; ensemble: the section of its settings.

    melted: the Lindemann ratio above which it ends. checkpoint_seconds: between checkpoints.
    """

    ensemble: Npt | Nvt
    temperature: float
    steps: int
    time_step: float
    every: int
    seed: int
    melted: float
    scale: Scale
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True)
class Relaxed:
    """A relaxed cell, its energy (eV), largest force (eV/Å), and whether the tolerance was met."""

    atoms: Atoms
    energy: float
    max_force: float
    converged: bool


class Potential(ABC):
    """A ferrojax model or an ASE calculator, as the stages see it. Each method raises ModelFailure for what the potential spoils."""

    name: str
    identity: dict[str, Any]  # what it is, to be compared when a test goes on

    @abstractmethod
    def relax(self, atoms: Atoms, config: PtoTestConfig) -> Relaxed:
        """Positions and cell at rest."""

    @abstractmethod
    def forces(self) -> Callable[[Atoms], Float[np.ndarray, "atoms 3"]]:
        """Forces of structures with the same atoms, eV/Å, in the best precision it has."""

    @abstractmethod
    def dipole(self, atoms: Atoms) -> Float[np.ndarray, " 3"] | None:
        """Dipole of a cell, e Å; None where it has none."""

    @abstractmethod
    def dynamics(self, atoms: Atoms, plan: Plan, folder: Path) -> Float[np.ndarray, "records 14"]:
        """A run into a folder; called again after a kill it goes on. Rows as in series.COLUMNS."""

    @abstractmethod
    def seconds_per_step(self, atoms: Atoms, plan: Plan) -> float:
        """Wall time of one step, compiling and the first step left out."""


def reference_dipole(potential: Potential, ideal: Atoms, repeat: tuple[int, int, int]) -> Float[np.ndarray, " 3"] | None:
    """Dipole of ``repeat`` ideal cells in units of the lattice vectors; None where it has none. Dipoles of neutral cells add up."""
    found = potential.dipole(ideal)
    return None if found is None else np.prod(repeat) / np.asarray(repeat) * (np.asarray(found) @ np.linalg.inv(ideal.cell.array))
