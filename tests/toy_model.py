"""A small hand-written model with the interface of ferrojax.potential.Model.

Pair repulsion and attraction, a charge flow that depends on the environment, and a
polarizability: enough to test the enthalpy, its derivatives and dynamics without a network.
"""

from __future__ import annotations

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ferrojax.potential.model import Terms
from ferrojax.state import State, from_ase
from ferrojax.topology import edge_vectors, with_topology


class ToyModel:
    """Rock-salt-like: even atomic numbers are cations, odd ones anions."""

    def __init__(self, cutoff: float = 4.5, eps_inf: float = 2.3) -> None:
        self.config = SimpleNamespace(cutoff=cutoff, eps_inf=eps_inf, smearing=1.0)
        self.params = {"repulsion": 2.5, "well": 0.4, "flow": 0.6, "alpha": 1.4}

    def formal_charges(self, state):
        return self._formal(state.numbers).astype(state.cell.dtype)

    def _formal(self, numbers):
        return jnp.where(numbers > 0, jnp.where(numbers % 2 == 0, 1.0, -1.0), 0.0)

    def prepare(self, atoms, dtype=np.float64, skin=0.0, k_tolerance=1e-12, slots=None, kgrid=None, name="structure"):
        state = atoms if isinstance(atoms, State) else from_ase(atoms, dtype, name)
        k_cutoff = float(np.sqrt(-np.log(k_tolerance))) / self.config.smearing
        return with_topology(state, self.config.cutoff, skin, k_cutoff, slots=slots, kgrid=kgrid)

    def terms(self, params, state):
        mask, layout, neighbors = state.topology.mask, state.topology.layout, state.topology.neighbors
        r2 = jnp.where(mask, jnp.sum(edge_vectors(state) ** 2, -1), 1.0)
        r = jnp.sqrt(r2)
        inside = mask & (r < self.config.cutoff)
        envelope = jnp.where(inside, (1 - (r / self.config.cutoff) ** 2) ** 4, 0.0)
        formal = self.formal_charges(state)
        like = formal[:, None] * self._formal(layout.extend(state.numbers))[neighbors]
        pair = params["repulsion"] * jnp.exp(-2.5 * (r - 2.0)) + params["well"] * like * jnp.exp(-(((r - 2.5) / 1.2) ** 2))
        density = jnp.sum(envelope * jnp.exp(-r / 2) * (1 + 0.3 * like), 1)
        flow = params["flow"] * envelope * jnp.exp(-r / 3) * (0.5 * formal + jnp.tanh(density))[:, None]
        received = jnp.zeros(len(layout.extend(state.numbers)), flow.dtype).at[neighbors].add(flow)
        charges = formal - jnp.sum(flow, 1) + layout.collect(received, formal)
        vectors = jnp.where(mask[..., None], edge_vectors(state), 0.0)
        local = jnp.einsum("im,imx,imy->xy", envelope, vectors, vectors) * 0.02
        alpha = params["alpha"] * jnp.sum(density) * jnp.eye(3, dtype=r.dtype) * 0.05 + 0.05 * local
        return Terms(short_range=0.5 * jnp.sum(envelope * pair), charges=charges, flow=flow, polarizability=alpha)


def rattled_triclinic(seed: int = 0, repeat: tuple[int, int, int] = (1, 1, 1)) -> Atoms:
    """Eight atoms of a distorted rock salt in a skewed cell."""
    rng = np.random.default_rng(seed)
    fractional = np.array([[x, y, z] for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)])
    numbers = [12 if int(2 * s.sum()) % 2 == 0 else 9 for s in fractional]
    cell = np.array([[4.7, 0.2, -0.3], [0.6, 4.9, 0.1], [-0.2, 0.5, 5.1]])
    atoms = Atoms(numbers, scaled_positions=fractional, cell=cell, pbc=True)
    atoms.positions += rng.normal(0, 0.12, (8, 3))
    return atoms.repeat(repeat)
