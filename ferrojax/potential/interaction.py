"""The equivariant layers: density projection, product basis, message passing.

All features are dense arrays (atoms, 9, channels), the nine components of l = 0, 1, 2
in e3nn order. Sums over neighbours are batched matrix products over the slots, and
Clebsch-Gordan tensors are applied once per atom, never once per bond.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ferrojax.distributed.layout import Whole
from ferrojax.potential.basis import DEGREES, SLICES, clebsch_gordan, couplings, symmetric_product_table

NEIGHBORS = 20.0  # typical number of neighbours that carry weight; keeps features of order one
# Atoms whose messages are computed together: in float32 with 24 channels 14 MB, about a cache, and on an accelerator 0.9 GB.
BLOCK, BLOCK_ON_ACCELERATOR = 512, 32768


class Density(nn.Module):
    """A_i,lmk = Σ_b W_b,kl(s_i) Σ_j φ_b(r_ij, s_j) Y_lm(r̂_ij): one matrix product per atom, then a linear map.

    Drautz, Phys. Rev. B 99, 014104 (2019).
    """

    channels: int
    elements: int

    @nn.compact
    def __call__(
        self,
        radial: Float[Array, "atoms slots basis"],
        angular: Float[Array, "atoms slots 9"],
        species: Int[Array, " atoms"],
    ) -> Float[Array, "atoms 9 channels"]:
        basis = radial.shape[-1]
        init = nn.initializers.normal(1.0 / np.sqrt(basis))
        weight = self.param("weight", init, (len(DEGREES), self.elements, basis, self.channels))
        density = jnp.einsum("iml,imb->ilb", angular, radial) / NEIGHBORS**0.5
        parts = [jnp.einsum("ilb,ibk->ilk", density[:, SLICES[d]], weight[d][species]) for d in DEGREES]
        return jnp.concatenate(parts, 1)


class Product(nn.Module):
    """H = L (A + Σ_paths w_path(s_i) [A ⊗ A]_path): raises the body order, mixes channels, keeps equivariance."""

    channels: int
    elements: int

    @nn.compact
    def __call__(self, features: Float[Array, "atoms 9 channels"], species: Int[Array, " atoms"]) -> Float[Array, "atoms 9 channels"]:
        left, right, table, degrees = symmetric_product_table()
        mix = self.param("mix", nn.initializers.normal(0.15), (self.elements, len(degrees), self.channels))[species]
        pairs = features[:, left] * features[:, right]
        coupled = jnp.einsum("ipk,pc->ick", pairs, jnp.asarray(table, features.dtype))
        total = [features[:, SLICES[d]] for d in DEGREES]
        start = 0
        for path, degree in enumerate(degrees):
            stop = start + 2 * degree + 1
            total[degree] = total[degree] + coupled[:, start:stop] * mix[:, path, None]
            start = stop
        return Linear(self.channels)(jnp.concatenate(total, 1))


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
        radial: Float[Array, "atoms slots basis"],
        angular: Float[Array, "atoms slots 9"],
        neighbors: Int[Array, "atoms slots"],
        species: Int[Array, " atoms"],
        extend: Callable[[Array], Array] = Whole().extend,
    ) -> Float[Array, "atoms 9 channels"]:
        basis, atoms = radial.shape[-1], len(species)
        init = nn.initializers.normal(1.0 / np.sqrt(basis))
        weight = self.param("radial", init, (self.elements, basis, self.channels))
        scalars = features[:, :1]
        senders = jnp.concatenate([nn.silu(scalars), features[:, 1:4] * nn.sigmoid(scalars)], 1)
        senders = extend(materialize(senders))

        def summed(radial, angular, neighbors, species):
            strength = jnp.einsum("imb,ibk->imk", radial, weight[species])
            sent = senders[neighbors] * strength[:, :, None]
            sent = materialize(sent.reshape(len(species), -1, 4 * self.channels))
            return jnp.einsum("iml,imx->ilx", angular, sent) / NEIGHBORS**0.5

        outer = materialize(in_blocks(summed, radial, angular, neighbors, species)).reshape(atoms, 36, self.channels)
        total = []
        for degree in DEGREES:
            paths = [p for p in couplings(1, 2) if p[2] == degree]
            coupled = jnp.einsum("ipk,pqc->icqk", outer, jnp.asarray(_coupling_table(paths), outer.dtype))
            width = len(paths) * self.channels
            mix = self.param(f"mix_{degree}", nn.initializers.normal(1.0 / np.sqrt(width)), (width, self.channels))
            total.append(coupled.reshape(atoms, 2 * degree + 1, width) @ mix)
        return jnp.concatenate(total, 1)


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
    atoms, size = len(arrays[0]), BLOCK if jax.default_backend() == "cpu" else BLOCK_ON_ACCELERATOR
    if atoms <= size:
        return function(*arrays)
    count = -(-atoms // size)
    blocks = [jnp.pad(a, [(0, count * size - atoms)] + [(0, 0)] * (a.ndim - 1)).reshape(count, size, *a.shape[1:]) for a in arrays]
    result = jax.lax.map(lambda block: jax.checkpoint(function)(*block), blocks)
    return result.reshape(count * size, *result.shape[2:])[:atoms]


def materialize(x):
    """Keep the compiler from recomputing x inside each of its consumers (2x in training on CPU)."""
    return jax.lax.optimization_barrier(x)


def _coupling_table(paths: list[tuple[int, int, int]]) -> np.ndarray:
    """(36, paths, 2l+1): couples the outer product of 9 bond and 4 sender components."""
    table = np.zeros((9, 4, len(paths), 2 * paths[0][2] + 1))
    for index, (a, b, c) in enumerate(paths):
        table[SLICES[b], SLICES[a], index] = clebsch_gordan(a, b, c).transpose(1, 0, 2)
    return table.reshape(36, len(paths), -1)
