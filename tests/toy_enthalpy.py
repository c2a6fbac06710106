"""The enthalpy of the toy model and its derivatives, compiled once, for what holds whatever the model; a crystal to try them on."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from ase import Atoms
from toy_model import ToyModel, rattled_triclinic

from ferrojax.enthalpy import make_enthalpy
from ferrojax.response import first

FIELD = jnp.array([0.02, -0.01, 0.03])
NO_FIELD, NO_STRAIN = jnp.zeros(3), jnp.zeros((3, 3))
TOY = ToyModel()
PARAMS = TOY.params
ENTHALPY = make_enthalpy(TOY)
ENERGY = jax.jit(partial(ENTHALPY, PARAMS))
STRESS = jax.jit(partial(first.energy_forces_stress, ENTHALPY, PARAMS))
BORN = jax.jit(partial(first.born_charges, ENTHALPY, PARAMS))
MOMENT = jax.jit(partial(first.dipole_moment, ENTHALPY, PARAMS))


def crystal(position: int | None = None, shift: int = 0) -> Atoms:
    """A rattled triclinic crystal; one atom moved by whole vectors of the third lattice vector."""
    atoms = rattled_triclinic()
    if position is not None:
        atoms.positions[position] += shift * atoms.cell[2]
    return atoms


def prepared(**moved: int):
    return TOY.prepare(crystal(**moved))
