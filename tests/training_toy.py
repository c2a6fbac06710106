"""A potential of a few numbers with the interface of ferrojax.Model: compiles in a second, for tests of the training machinery."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ferrojax.data import Frame
from ferrojax.potential import Model, ModelConfig, Terms
from ferrojax.topology import edge_vectors

ELEMENTS = ("Ba", "Ti", "O")


class Toy(Model):
    """Gaussian pair energies and charge flow, one pair of coefficients for each pair of elements."""

    def init(self, key):
        keys = jax.random.split(key, 3)
        shape = (len(self.config.elements),) * 2
        values = {name: 0.3 * jax.random.normal(k, shape, jnp.float32) for name, k in zip(("energy", "width", "flow"), keys)}
        return values | {"polarizability": jnp.ones(shape[0], jnp.float32)}

    def terms(self, params, state):
        topology, species, dtype = state.topology, self.species(state), state.positions.dtype
        p = jax.tree.map(lambda x: jnp.asarray(x, dtype), params)
        squared = jnp.sum(edge_vectors(state) ** 2, -1)
        inside = jnp.clip(1 - squared / self.config.cutoff**2, 0.0)
        switch = jnp.where(topology.mask, inside**3, 0.0)
        pair = species[:, None], species[topology.neighbors]
        energy = jnp.sum(p["energy"][pair] * switch * jnp.exp(-(p["width"][pair] ** 2) * squared))
        # Between unlike elements: of like ones it would cancel but for rounding, which Adam makes steps of.
        flow = 0.1 * (p["flow"] - p["flow"].T)[pair] * switch
        charges = (self.formal_charges(state) - jnp.sum(flow, 1)).at[topology.neighbors].add(flow)
        real = (state.numbers > 0).astype(dtype)
        strength = jnp.sum(p["polarizability"][species] * real)
        vectors = jnp.where(topology.mask[..., None], edge_vectors(state), 0.0)
        shape = jnp.einsum("im,ima,imb->ab", switch, vectors, vectors)
        return Terms(energy, charges, flow, strength * jnp.eye(3, dtype=dtype) + 0.01 * shape)


def toy(cutoff: float = 4.0) -> Toy:
    """The toy for barium titanate."""
    return Toy(ModelConfig(elements=ELEMENTS, formal_charges=(2.0, 4.0, -2.0), cutoff=cutoff, eps_inf=5.0))


def perovskite(repeats: tuple[int, int, int], rng: np.random.Generator, rattle: float = 0.15) -> Atoms:
    """A rattled, sheared supercell of cubic BaTiO3."""
    scaled = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    atoms = Atoms("BaTiO3", scaled_positions=scaled, cell=[4.0] * 3, pbc=True).repeat(repeats)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += rattle * rng.normal(size=atoms.positions.shape)
    return atoms


def random_frame(repeats: tuple[int, int, int], rng: np.random.Generator, labels: tuple[str, ...], index: int = 0) -> Frame:
    """A perovskite with random numbers as labels."""
    atoms = perovskite(repeats, rng)
    n = len(atoms)
    shapes = {"energy": (), "forces": (n, 3), "dipole": (3,), "born_charges": (n, 3, 3)}
    values = {name: rng.normal(size=shapes.get(name, (3, 3))) for name in labels}
    if "energy" in values:
        values["energy"] = float(values["energy"]) - 1000.0 * n
    return Frame(atoms, **values, dataset="toy", system="BaTiO3", source=f"toy.xyz, frame {index}")


def random_frames(count: int, labels: tuple[str, ...] = ("energy", "forces", "stress"), seed: int = 0, repeats=(1, 1, 1)) -> list[Frame]:
    """Frames of one size, reproducible."""
    rng = np.random.default_rng(seed)
    return [random_frame(repeats, rng, labels, i) for i in range(count)]
