"""What these experiments share: their configuration, and relaxing by the potential it names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import yaml
from ase import Atoms

from ferrojax import load, make_enthalpy, relax

ROOT = Path(__file__).resolve().parent.parent.parent

Relaxed = Callable[[Atoms, bool | np.ndarray], tuple[Atoms, float]]


def read_configuration() -> tuple[dict, Path, Relaxed]:
    """Settings of the YAML file on the command line, the folder of its name, and a function that relaxes atoms and says their energy, eV.

    The second argument of that says which strains are free, as in ``relax``. Enables float64.
    """
    jax.config.update("jax_enable_x64", True)
    source = Path(sys.argv[1])
    settings = yaml.safe_load(source.read_text(encoding="utf-8"))
    model, params, _ = load(ROOT / settings["model"])
    enthalpy = make_enthalpy(model)

    def relaxed(atoms: Atoms, cell: bool | np.ndarray) -> tuple[Atoms, float]:
        state = model.prepare(atoms, np.float64, skin=1.0)
        found = relax(enthalpy, params, state, cell=cell, force_tolerance=settings["force_tolerance_eV_per_A"], max_steps=5000)
        return found.state.to_ase(), float(found.energy)

    return settings, source.with_suffix(""), relaxed
