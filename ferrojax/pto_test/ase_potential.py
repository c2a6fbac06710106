"""Any ASE calculator under test."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from jaxtyping import Float

from ferrojax.labelling.engines.teacher import AseTeacher
from ferrojax.pto_test.ase_run import AseRun, own_dipole
from ferrojax.pto_test.config import PtoTestConfig
from ferrojax.pto_test.models import ModelFailure, Plan, Potential, Relaxed


class AsePotential(Potential):
    """``module:factory``: what ``factory(**arguments)`` returns, a calculator class or a function."""

    def __init__(self, where: str, arguments: dict[str, Any]) -> None:
        """Raises FerrojaxError if module or factory are not there."""
        self.calculator = AseTeacher(f"ase:{where}", {"arguments": arguments}).make()
        self.name = where
        self.identity = {"ase": where, "arguments": arguments, "version": _version(where.partition(".")[0].partition(":")[0])}

    def relax(self, atoms: Atoms, config: PtoTestConfig) -> Relaxed:
        """BFGS on ase.filters.FrechetCellFilter."""
        moved, settings = self._with(atoms), config.statics
        with _finding("relaxation"):
            free = FrechetCellFilter(moved)
            BFGS(free, logfile=None).run(fmax=settings.force_tolerance_eV_per_A, steps=settings.max_steps)
            largest = float(np.linalg.norm(free.get_forces(), axis=1).max())
            energy = float(moved.get_potential_energy())
        if not np.isfinite([energy, largest]).all():
            raise ModelFailure("relaxation: the energy or a force is not finite.")
        # A positive comparison would let NaN pass.
        return Relaxed(_bare(moved), energy, largest, largest <= settings.force_tolerance_eV_per_A)

    def forces(self) -> Callable[[Atoms], Float[np.ndarray, "atoms 3"]]:
        """The calculator's."""

        def of(atoms: Atoms) -> np.ndarray:
            with _finding("forces"):
                return np.asarray(self._with(atoms).get_forces(), float)

        return of

    def dipole(self, atoms: Atoms) -> Float[np.ndarray, " 3"] | None:
        """The calculator's; it must be that of unwrapped positions, without jumps."""
        with _finding("dipole"):
            return own_dipole(self._with(atoms))

    def dynamics(self, atoms: Atoms, plan: Plan, folder: Path) -> Float[np.ndarray, "records 14"]:
        """ASE's integrators."""
        return AseRun(atoms, self.calculator, plan, folder / "checkpoint.npz").go()

    def seconds_per_step(self, atoms: Atoms, plan: Plan) -> float:
        """The first step is not counted."""
        run = AseRun(atoms, self.calculator, plan)
        with _finding("dynamics"):
            run.motion.run(1)
            began = time.perf_counter()
            run.motion.run(plan.steps)
        return (time.perf_counter() - began) / plan.steps

    def _with(self, atoms: Atoms) -> Atoms:
        copy = atoms.copy()
        copy.calc = self.calculator
        return copy


@contextmanager
def _finding(what: str) -> Iterator[None]:
    """Whatever a calculator raises is a finding of the test."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  calculators of others raise anything
        raise ModelFailure(f"{what}: the calculator failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error


def _bare(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell.array, pbc=True)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
