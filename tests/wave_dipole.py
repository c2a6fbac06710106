"""Dipole of a wave-like displacement, straight from the bonds of a displaced supercell."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ferrojax.topology import edge_vectors


def wave_dipole(model, params, state, moved, q):
    """Σ exp(-iq·r) p over the formal charges and the charge that flows along each bond, linear in the complex displacements; e Å.

    The slope is by finite differences: nothing of it is shared with the response to waves.
    """
    nodes, weights = np.polynomial.legendre.leggauss(12)

    @jax.jit
    def of_bonds(positions):
        here = state.replace(positions=positions)
        bonds, flow = edge_vectors(here), model.terms(params, here).flow
        places = positions[:, None, None] + (nodes + 1)[:, None] / 2 * bonds[:, :, None]
        along = jnp.sum(weights / 2 * jnp.exp(-1j * (places @ q)), -1)
        return jnp.einsum("im,imx->x", jnp.where(state.topology.mask, flow * along, 0.0), bonds)

    def slope(u):
        h = 1e-3 / max(np.abs(u).max(), 1e-12)
        values = [np.asarray(of_bonds(state.positions + k * h * u)) for k in (-2, -1, 1, 2)]
        return (8 * (values[2] - values[1]) - values[3] + values[0]) / (12 * h)

    formal = (np.asarray(model.formal_charges(state)) * np.exp(-1j * np.asarray(state.positions) @ q)) @ moved
    return formal + slope(moved.real) + 1j * slope(moved.imag)
