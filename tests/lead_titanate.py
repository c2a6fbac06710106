"""Tetragonal PbTiO3 of 40 atoms and the potential recorded in experiments/titanates, for tests on a real model."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from ase import Atoms

from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.potential import load
from ferrojax.state import to_ase

MODEL = Path(__file__).resolve().parent.parent / "experiments" / "titanates" / "fast" / "model"


@functools.cache
def lead_titanate(dtype: str = "float32"):
    """Enthalpy, parameters and the relaxed state."""
    model, params, _ = load(MODEL)
    atoms = _start().repeat(2)
    atoms.rattle(0.01, seed=0)
    enthalpy = make_enthalpy(model)
    # Relaxed in double precision, where the tolerances can be met.
    state = relax(enthalpy, params, model.prepare(atoms, dtype=np.float64, skin=1.0), cell=np.eye(3)).state
    return enthalpy, params, state if dtype == "float64" else model.prepare(to_ase(state), dtype=np.dtype(dtype), skin=1.0)


@functools.cache
def lead_titanate_cell():
    """Model, parameters, model info and the relaxed cell of five atoms, float64, at rest to 1e-7 eV/Å."""
    model, params, info = load(MODEL)
    state = model.prepare(_start(), np.float64, skin=1.0)
    state = relax(make_enthalpy(model), params, state, cell=np.eye(3), force_tolerance=1e-7, stress_tolerance=1e-8).state
    return model, params, info, model.prepare(to_ase(state), np.float64)


def _start():
    sites = [(0, 0, 0.094), (0.5, 0.5, 0.556), (0.5, 0.5, 0.978), (0.5, 0, 0.473), (0, 0.5, 0.473)]  # PBEsol
    return Atoms("PbTiO3", scaled_positions=sites, cell=[3.874, 3.874, 4.2], pbc=True)
