"""Two atoms in a double well: an enthalpy with exact averages that compiles at once."""

from __future__ import annotations

import jax.numpy as jnp

from ferrojax.state import State
from ferrojax.topology import with_topology

BARRIER, WIDTH, STIFFNESS = 0.15, 1.0, 1.0


def double_well(params, state, strain, field):
    """Two atoms: h ((d_z/b)² - 1)² - E_z d_z + ½ k (d_x² + d_y²) of their separation d."""
    d = state.positions[1] - state.positions[0]
    return params["h"] * ((d[2] / WIDTH) ** 2 - 1) ** 2 - field @ d + 0.5 * STIFFNESS * (d[0] ** 2 + d[1] ** 2)


def two_atoms(skin=40.0):
    positions = jnp.array([[0.0, 0.0, 0.0], [0.0, 0.0, WIDTH]])
    return with_topology(State(positions, jnp.eye(3) * 100, jnp.full(2, 6, jnp.int32)), cutoff=1.0, skin=skin)
