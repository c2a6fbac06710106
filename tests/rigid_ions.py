"""Explicit models with the interface of ferrojax.potential.Model: rigid ions (point charges and pair potentials) and springs."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from ferrojax.potential.model import Terms
from ferrojax.state import State, from_ase
from ferrojax.topology import edge_vectors, with_topology
from ferrojax.units import COULOMB

SMEARING = 0.55  # Å, of the reciprocal sum; the rest of 1/r is a pair potential


class RigidIons:
    """Point charges with Born-Mayer and van der Waals pairs, V = A exp(-r/ρ) - C/r⁶; {(Z, Z'): (A, ρ, C)}, eV and Å."""

    def __init__(self, charges: dict[int, float], pairs: dict[tuple[int, int], tuple[float, float, float]], cutoff: float, images=None):
        self.config = SimpleNamespace(cutoff=cutoff, eps_inf=1.0, smearing=SMEARING)
        self.charges, self.images = charges, images  # images: every pair with an atom at most so many cells away, whatever its distance
        self.params = {f"{a}-{b}": jnp.array(values) for (a, b), values in pairs.items()}

    def formal_charges(self, state):
        return sum(jnp.where(state.numbers == z, q, 0.0) for z, q in self.charges.items()) * jnp.ones((), state.cell.dtype)

    def prepare(self, atoms, dtype=np.float64, skin=0.0, name="structure", **fixed):
        state = atoms if isinstance(atoms, State) else from_ase(atoms, dtype, name)
        state = with_topology(state, self.config.cutoff, skin, np.sqrt(-np.log(1e-14)) / SMEARING, **fixed)
        return state if self.images is None else with_cells(state, self.images)

    def terms(self, params, state):
        topology = state.topology
        vectors = edge_vectors(state)
        mask = topology.mask
        r = jnp.sqrt(jnp.where(mask, jnp.sum(vectors**2, -1), 1.0))
        numbers = topology.layout.extend(state.numbers)[topology.neighbors]
        charges = self.formal_charges(state)
        others = sum(jnp.where(numbers == z, q, 0.0) for z, q in self.charges.items())
        near = mask & (r < 9 * SMEARING * 2)
        pair = COULOMB * jnp.where(near, charges[:, None] * others * jax.scipy.special.erfc(r / (2 * SMEARING)) / r, 0.0)
        for name, (a, rho, c) in params.items():
            first, second = map(int, name.split("-"))
            here = (state.numbers[:, None] == first) & (numbers == second) | (state.numbers[:, None] == second) & (numbers == first)
            pair = pair + jnp.where(mask & here, a * jnp.exp(-r / rho) - c / r**6, 0.0)
        # Each Gaussian with itself is part of the Ewald sum.
        itself = COULOMB * jnp.sum(charges**2) / (2 * jnp.sqrt(jnp.pi) * SMEARING)
        flow = jnp.zeros(mask.shape, r.dtype)
        return Terms(0.5 * jnp.sum(jnp.where(mask, pair, 0.0)) - itself, charges, flow, jnp.zeros((3, 3), r.dtype))


class Springs:
    """Harmonic bonds ½k|r_ij - r⁰_ij|² between neighbours of a perfect lattice, whose charges do not interact (ε∞ = 10³⁰)."""

    def __init__(self, constants: dict[tuple[int, int, float], float], charges: dict[int, float], cutoff: float):
        self.config = SimpleNamespace(cutoff=cutoff, eps_inf=1e30, smearing=1.0)
        self.constants, self.charges = constants, charges
        self.params = {"scale": jnp.ones(())}

    formal_charges = RigidIons.formal_charges

    def prepare(self, atoms, dtype=np.float64, skin=0.0, name="structure", **fixed):
        state = atoms if isinstance(atoms, State) else from_ase(atoms, dtype, name)
        self.rest = np.asarray(edge_vectors(with_topology(state, self.config.cutoff, skin, 1.0)))
        return with_topology(state, self.config.cutoff, skin, 1.0, **fixed)

    def terms(self, params, state):
        topology = state.topology
        numbers = topology.layout.extend(state.numbers)[topology.neighbors]
        length = np.linalg.norm(self.rest, axis=-1)
        stiffness = jnp.zeros(length.shape)
        for (first, second, distance), k in self.constants.items():
            here = (state.numbers[:, None] == first) & (numbers == second) | (state.numbers[:, None] == second) & (numbers == first)
            stiffness = jnp.where(here & (np.abs(length - distance) < 1e-6) & topology.mask, k, stiffness)
        energy = 0.25 * params["scale"] * jnp.sum(stiffness[..., None] * (edge_vectors(state) - self.rest) ** 2)
        return Terms(energy, self.formal_charges(state), jnp.zeros(length.shape), jnp.zeros((3, 3)))


def with_cells(state, n):
    """The state with every pair of atoms in cells at most n away along each axis for neighbours."""
    atoms, steps = len(state.positions), np.arange(-n, n + 1)
    images = np.stack(np.meshgrid(steps, steps, steps, np.arange(atoms), indexing="ij"), -1).reshape(-1, 4)
    lists = [images[~((images[:, :3] == 0).all(1) & (images[:, 3] == i))] for i in range(atoms)]
    all_images = np.stack(lists)
    return state.replace(
        topology=state.topology.replace(
            neighbors=jnp.asarray(all_images[..., 3], jnp.int32),
            shifts=jnp.asarray(all_images[..., :3], jnp.int16),
            mask=jnp.ones(all_images.shape[:2], bool),
        )
    )
