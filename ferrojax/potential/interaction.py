"""The equivariant layers: density projection, product basis, message passing.

All features are dense arrays (atoms, 9, channels), the nine components of l = 0, 1, 2
in e3nn order. Sums over neighbours are batched matrix products over the slots, and
Clebsch-Gordan tensors are applied once per atom, never once per bond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ferrojax.distributed.layout import Whole
from ferrojax.potential.basis import DEGREES, SLICES, clebsch_gordan, couplings, symmetric_product_table

NEIGHBORS = 20.0  # typical number of neighbours that carry weight; keeps features of order one
# Atoms whose messages are computed together: in float32 with 24 channels 18 MB, about a cache, and on an accelerator 0.9 GB.
BLOCK, BLOCK_ON_ACCELERATOR = 640, 32768


class Bonds(NamedTuple):
    """The bonds of all atoms: radial functions, zero on empty slots, spherical harmonics, and what the neighbours' species embed to.

    Slots come last: the longest axis is what a CPU's vectors run along.
    """

    radial: Float[Array, "atoms radial slots"]
    angular: Float[Array, "atoms 9 slots"]
    neighbors: Int[Array, "atoms slots"]
    embedded: Float[Array, "all_atoms embedding"]

    @property
    def size(self) -> int:
        """Of the radial basis: functions times embedding."""
        return self.radial.shape[-2] * self.embedded.shape[-1]

    def each(self, function: Callable[..., Array], *arrays: Array) -> Array:
        """function(radial, angular, neighbors, *arrays) of arrays whose first axis is atoms, with the whole radial basis.

        The product of radial functions and embedding is made a block of atoms at a time: reading it from memory would cost more.
        """

        def of_block(radial: Array, angular: Array, neighbors: Array, *arrays: Array) -> Array:
            atoms, slots = neighbors.shape
            embedded = jnp.stack([column[neighbors] for column in self.embedded.T], 1)
            both = radial[:, :, None] * embedded[:, None]
            return function(materialize(both.reshape(atoms, -1, slots)), angular, neighbors, *arrays)

        return in_blocks(of_block, self.radial, self.angular, self.neighbors, *arrays)


class Density(nn.Module):
    """A_i,lmk = Σ_b W_b,kl(s_i) Σ_j φ_b(r_ij, s_j) Y_lm(r̂_ij): one matrix product per atom, then a linear map.

    Drautz, Phys. Rev. B 99, 014104 (2019).
    """

    channels: int
    elements: int

    @nn.compact
    def __call__(
        self,
        bonds: Bonds,
        species: Int[Array, " atoms"],
    ) -> Float[Array, "atoms 9 channels"]:
        basis = bonds.size
        init = nn.initializers.normal(1.0 / np.sqrt(basis))
        weight = self.param("weight", init, (len(DEGREES), self.elements, basis, self.channels))

        def summed(radial, angular, neighbors):
            return jnp.einsum("ilm,ibm->ilb", angular, radial) / NEIGHBORS**0.5

        density = bonds.each(summed)
        parts = [jnp.einsum("ilb,ibk->ilk", density[:, SLICES[d]], weight[d][species]) for d in DEGREES]
        return jnp.concatenate(parts, 1)


class Product(nn.Module):
    """H = L (A + Σ_paths w_path(s_i) [A ⊗ A]_path): raises the body order, mixes channels, keeps equivariance."""

    channels: int
    elements: int

    @nn.compact
    def __call__(self, features: Float[Array, "atoms 9 channels"], species: Int[Array, " atoms"]) -> Float[Array, "atoms 9 channels"]:
        left, right, table, degrees = symmetric_product_table()
        mix = self.param("mix", nn.initializers.normal(0.15), (self.elements, len(degrees), self.channels))

        def raised(features, species):
            pairs = features[:, left] * features[:, right]
            coupled = jnp.einsum("ipk,pc->ick", pairs, jnp.asarray(table, features.dtype))
            total, weight, start = [features[:, SLICES[d]] for d in DEGREES], mix[species], 0
            for path, degree in enumerate(degrees):
                stop = start + 2 * degree + 1
                total[degree] = total[degree] + coupled[:, start:stop] * weight[:, path, None]
                start = stop
            return jnp.concatenate(total, 1)

        return Linear(self.channels)(materialize(in_blocks(raised, features, species)))


class Linear(nn.Module):
    """Mixes channels, separately for each l."""

    channels: int

    @nn.compact
    def __call__(self, features: Float[Array, "atoms 9 inputs"]) -> Float[Array, "atoms 9 channels"]:
        inputs = features.shape[-1]
        init = nn.initializers.normal(1.0 / np.sqrt(inputs))
        weight = self.param("weight", init, (len(DEGREES), inputs, self.channels))
        return jnp.concatenate([features[:, SLICES[d]] @ weight[d] for d in DEGREES], 1)


class Message(nn.Module):
    """Σ_j φ_k(r_ij) h_j,kl1 ⊗ Y_l2(r̂_ij), coupled to l = 0, 1, 2 after the sum, then mixed across channels.

    The outer products are summed over neighbours first (a matrix product over the slots),
    so the coupling costs once per atom. Senders carry l = 0 and 1.
    """

    channels: int
    elements: int

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "atoms 9 channels"],
        bonds: Bonds,
        species: Int[Array, " atoms"],
        extend: Callable[[Array], Array] = Whole().extend,
    ) -> Float[Array, "atoms 9 channels"]:
        basis = bonds.size
        init = nn.initializers.normal(1.0 / np.sqrt(basis))
        weight = self.param("radial", init, (self.elements, basis, self.channels))
        scalars = features[:, :1]
        senders = jnp.concatenate([nn.silu(scalars), features[:, 1:4] * nn.sigmoid(scalars)], 1)
        senders = extend(materialize(senders))

        mixes, tables = [], []
        for degree in DEGREES:
            paths = [p for p in couplings(1, 2) if p[2] == degree]
            width = len(paths) * self.channels
            mixes.append(self.param(f"mix_{degree}", nn.initializers.normal(1.0 / np.sqrt(width)), (width, self.channels)))
            tables.append(jnp.asarray(_coupling_table(paths), features.dtype))

        def received(radial, angular, neighbors, species):
            atoms = len(species)
            strength = jnp.einsum("ibm,ibk->imk", radial, weight[species])
            sent = senders[neighbors] * strength[:, :, None]
            sent = materialize(sent.reshape(len(species), -1, 4 * self.channels))
            outer = materialize(jnp.einsum("ilm,imx->ilx", angular, sent) / NEIGHBORS**0.5).reshape(atoms, 36, self.channels)
            total = []
            for degree, (mix, table) in enumerate(zip(mixes, tables)):
                coupled = jnp.einsum("ipk,pqc->icqk", outer, table)
                total.append(coupled.reshape(atoms, 2 * degree + 1, len(mix)) @ mix)
            return jnp.concatenate(total, 1)

        return bonds.each(received, species)


def invariants(first: Float[Array, "atoms 9 k"], second: Float[Array, "atoms 9 k"]) -> Float[Array, "atoms features"]:
    """Scalars of two features: both l = 0 parts, the norms of the second and their inner products."""
    parts = [first[:, 0], second[:, 0]]
    for degree in (1, 2):
        part = SLICES[degree]
        parts.append(jnp.sum(second[:, part] ** 2, 1) / (2 * degree + 1))
        parts.append(jnp.sum(first[:, part] * second[:, part], 1) / (2 * degree + 1))
    return jnp.concatenate(parts, -1)


def in_blocks(function, *arrays):
    """function(*arrays) of arrays whose first axis is atoms, in blocks of atoms whose intermediates stay in the cache.

    The backward pass computes a block's intermediates again instead of storing them.
    """
    atoms, size = len(arrays[0]), block_size()
    if fits_block(atoms):
        return function(*arrays)
    count = -(-atoms // size)
    size = -(-atoms // count)  # blocks of one size, the last nearly full
    blocks = [jnp.pad(a, [(0, count * size - atoms)] + [(0, 0)] * (a.ndim - 1)).reshape(count, size, *a.shape[1:]) for a in arrays]
    result = jax.lax.map(lambda block: jax.checkpoint(function)(*block), blocks)
    return result.reshape(count * size, *result.shape[2:])[:atoms]


def block_size():
    """Atoms in a block, at most."""
    return BLOCK if jax.default_backend() == "cpu" else BLOCK_ON_ACCELERATOR


def fits_block(atoms):
    """Whether so many atoms are one block."""
    return atoms <= block_size()


def materialize(x):
    """Keep the compiler from recomputing x inside each of its consumers (2x in training on CPU)."""
    return jax.lax.optimization_barrier(x)


def _coupling_table(paths: list[tuple[int, int, int]]) -> np.ndarray:
    """(36, paths, 2l+1): couples the outer product of 9 bond and 4 sender components."""
    table = np.zeros((9, 4, len(paths), 2 * paths[0][2] + 1))
    for index, (a, b, c) in enumerate(paths):
        table[SLICES[b], SLICES[a], index] = clebsch_gordan(a, b, c).transpose(1, 0, 2)
    return table.reshape(36, len(paths), -1)
