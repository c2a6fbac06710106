"""Local dipoles of a model: its formal charges at their places and the charge it lets flow along the bonds."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.enthalpy import shared_enthalpy
from ferrojax.potential.model import Model
from ferrojax.response.first import born_charges
from ferrojax.state import State
from ferrojax.topology import edge_vectors


def learned_dipoles(model: Model, params: Any, state: State, u: Float[np.ndarray, "atoms 3"]) -> Float[np.ndarray, "atoms 3"]:
    """Dipole of each atom, e Å, whose sum is the model's own M on the branch that vanishes in the centrosymmetric lattice.

        m_i = Z_i u_i + ½ Σ_j (g_ij r_ij + g_ji r_ji)

    Z_i formal charges, g_ij the charge that flows along a bond, half of its dipole to either end; u: of ``PerovskiteCells.displacements``.
    state: prepared by the model. Sum them over cells with ``cell_dipoles``.
    """
    formal, along, neighbours = (np.asarray(x, float) for x in _bond_dipoles(model, params, state))
    moments = formal[:, None] * u + 0.5 * along.sum(1)
    np.add.at(moments, neighbours.astype(int), 0.5 * along)
    return moments


def model_born_charges(model: Model, params: Any, reference: Atoms) -> Float[np.ndarray, "atoms 3 3"]:
    """Born charges of each atom of a reference structure, e, in double precision: for maps of small displacements from it."""
    with jax.enable_x64(True):
        state = model.prepare(reference, np.float64)
        return np.asarray(born_charges(shared_enthalpy(model), params, state, jnp.zeros(3)))


@partial(jax.jit, static_argnums=0)
def _bond_dipoles(model: Model, params: Any, state: State) -> tuple[Any, Any, Any]:
    """Formal charges; g_ij r_ij of every slot; the neighbours."""
    flow = model.terms(params, state).flow
    bonds = jnp.where(state.topology.mask[..., None], edge_vectors(state), 0.0) * flow[..., None]
    return model.formal_charges(state), bonds, state.topology.neighbors
