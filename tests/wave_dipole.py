"""Supercells displaced in earnest: second derivatives, and the dipole of a wave straight from the bonds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ferrojax.enthalpy import make_enthalpy
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


def hessian_of(model, params, atoms):
    """The state of a supercell and its second derivatives by the positions."""
    state, enthalpy = model.prepare(atoms, np.float64), make_enthalpy(model, long_range="ewald")
    nothing = (jnp.zeros((3, 3)), jnp.zeros(3))  # strain and field
    slope = jax.grad(lambda x: enthalpy(params, state.replace(positions=x.reshape(-1, 3)), *nothing))
    start = state.positions.reshape(-1)
    column = jax.jit(lambda v: jax.jvp(slope, (start,), (v,))[1])
    return state, np.stack([np.asarray(column(v)) for v in jnp.eye(start.size)])
