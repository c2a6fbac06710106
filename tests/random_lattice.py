"""Random states of the effective Hamiltonian, and a parameter set in which no number is zero."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from ferrojax.effective import LatticeState, load_parameters, make_enthalpy
from ferrojax.units import GPA

NO_STRAIN, NO_FIELD = jnp.zeros((3, 3)), jnp.zeros(3)
STRAIN = jnp.array([[0.01, 0.004, -0.002], [0.004, -0.007, 0.003], [-0.002, 0.003, 0.02]])
FIELD = jnp.array([0.01, -0.02, 0.03])
SHAPE = (3, 4, 5)
BULK, CELL = make_enthalpy(SHAPE), make_enthalpy((1, 1, 1))  # compiled once


def parameters():
    """A set in which no number is zero."""
    params = load_parameters("pbtio3-lda").under_pressure(-2 * GPA)
    return params.replace(k2=jnp.array(30.0, float), k3=jnp.array(50.0, float), spring=jnp.array(-0.279, float))


def random_state(shape, acoustic=False, seed=0):
    rng = np.random.default_rng(seed)
    return LatticeState(
        modes=jnp.asarray(0.2 * rng.normal(size=(*shape, 3))),
        acoustic=jnp.asarray(0.05 * rng.normal(size=(*shape, 3))) if acoustic else None,
        occupation=jnp.asarray(rng.choice([-1.0, 1.0], size=shape)),
    )
