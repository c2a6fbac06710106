"""The surface of Müller and Brown as the separation of two atoms, alone and with a bath: known minima and saddles."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from ferrojax.state import State
from ferrojax.topology import with_topology

# Müller and Brown, Theor. Chim. Acta 53, 75 (1979); energies times 0.01 to be eV.
A, a, b, c = (jnp.array(x) for x in ([-200.0, -100, -170, 15], [-1, -1, -6.5, 0.7], [0, 0, 11, 0.6], [-10, -10, -6.5, 0.7]))
X, Y = jnp.array([1, 0, -0.5, -1]), jnp.array([0, 0.5, 1.5, 1])
SCALE = 0.01
MINIMA = {(-0.558223635, 1.441725842): -146.699517, (0.623499405, 0.028037759): -108.166724}
SADDLE, SADDLE_ENERGY = (-0.822001559, 0.624312803), -40.664844
BATH = 4  # further pairs of atoms


def surface(params, state, strain, field):
    """The first pair on the surface, in a field that pulls it apart; every further pair on a spring to the first."""
    d = state.positions[1::2] - state.positions[::2]
    x, y = d[0, 0] - X, d[0, 1] - Y
    energy = params * jnp.sum(A * jnp.exp(a * x**2 + b * x * y + c * y**2)) + (d[0, 2] - 3) ** 2 - field @ d[0]
    stiffness = jnp.arange(1.0, len(d))[:, None]
    ties = 0.1 * stiffness * jnp.sum((d[1:] - 0.3 * d[:1]) ** 2, 1, keepdims=True)
    centres = (state.positions[2::2] + state.positions[3::2] - state.positions[0] - state.positions[1]) / 2
    return energy + jnp.sum(ties) + 0.5 * jnp.sum((centres - 9.0 * stiffness) ** 2)


def pair(x, y, bath=0, order=1):
    """Atoms at a point of the surface; carbon and, with ``order`` -1, the other way round."""
    positions, numbers = [[0.0, 0, 0], [x, y, 3]], [6, 7]
    for k in range(1, bath + 1):
        centre = np.array([x, y, 3]) / 2 + 9.0 * k
        half = 0.15 * np.array([x, y, 3])
        positions += [centre - half, centre + half]
        numbers += [6, 7]
    state = State(jnp.array(positions)[::order], jnp.eye(3) * 100.0, jnp.array(numbers, jnp.int32)[::order])
    return with_topology(state, cutoff=1.0, skin=40.0)
