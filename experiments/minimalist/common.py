"""What these experiments share: their configuration, and the potential it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ase import Atoms

from ferrojax import load, make_enthalpy, relax
from ferrojax.enthalpy import Enthalpy
from ferrojax.potential import Model
from ferrojax.shipped import model_folder
from ferrojax.state import State
from ferrojax.study import read_study

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Potential:
    """A trained model and its enthalpy; ``tolerance``: of the forces of what it relaxes, eV/Å."""

    model: Model
    params: Any
    enthalpy: Enthalpy
    tolerance: float

    def prepare(self, atoms: Atoms) -> State:
        return self.model.prepare(atoms, np.float64, skin=1.0)

    def relaxed(self, atoms: Atoms, cell: bool | np.ndarray) -> tuple[Atoms, float]:
        """The atoms at rest and their energy, eV; ``cell`` says which strains are free, as in ``relax``."""
        state = self.prepare(atoms)
        found = relax(self.enthalpy, self.params, state, cell=cell, force_tolerance=self.tolerance, max_steps=5000)
        return found.state.to_ase(), float(found.energy)


def read_experiment(about: str | None) -> tuple[dict, Path, Potential]:
    """Settings of the YAML file on the command line, the folder of its name, and the potential they name. Enables float64."""
    jax.config.update("jax_enable_x64", True)
    settings, folder = read_study(about)
    model, params, _ = load(model_folder(settings["model"], ROOT))
    return settings, folder, Potential(model, params, make_enthalpy(model), settings["force_tolerance_eV_per_A"])
