"""The equivariant layers: density projection, product basis, message passing.

All features are dense arrays (atoms, channels, 9) with the components of l = 0, 1, 2
side by side. Sums over neighbours are batched matrix products over the slots, and
Clebsch-Gordan tensors are applied once per atom, never once per bond.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ferrojax.potential.basis import DEGREES, SLICES, clebsch_gordan, couplings, symmetric_product_table

NEIGHBORS = 20.0  # typical number of neighbours that carry weight; keeps features of order one


class Density(nn.Module):
    """A_i,klm = Σ_b W_b,kl(s_i) Σ_j φ_b(r_ij, s_j) Y_lm(r̂_ij): one matrix product per atom, then a linear map.

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
    ) -> Float[Array, "atoms channels 9"]:
        basis = radial.shape[-1]
        init = nn.initializers.normal(1.0 / np.sqrt(basis))
        weight = self.param("weight", init, (len(DEGREES), self.elements, basis, self.channels))
        density = jnp.einsum("imb,iml->ibl", radial, angular) / math.sqrt(NEIGHBORS)
        parts = [
            jnp.einsum("ibl,ibk->ikl", density[:, :, SLICES[degree]], weight[degree][species]) for degree in DEGREES
        ]
        return jnp.concatenate(parts, -1)


class Product(nn.Module):
    """H = L (A + Σ_paths w_path(s_i) [A ⊗ A]_path): raises the body order, mixes channels, keeps equivariance."""

    channels: int
    elements: int

    @nn.compact
    def __call__(
        self, features: Float[Array, "atoms channels 9"], species: Int[Array, " atoms"]
    ) -> Float[Array, "atoms channels 9"]:
        left, right, table, paths = symmetric_product_table()
        mix = self.param("mix", nn.initializers.normal(0.15), (self.elements, self.channels, len(paths)))
        coupled = (features[..., left] * features[..., right]) @ jnp.asarray(table, features.dtype)
        weight = jnp.repeat(mix[species], np.array([n for _, n in paths]), axis=-1, total_repeat_length=table.shape[1])
        coupled = coupled * weight
        summed = features + coupled @ jnp.asarray(_gather_paths(paths), features.dtype)
        return Linear(self.channels)(summed)


class Linear(nn.Module):
    """Mixes channels, separately for each l."""

    channels: int

    @nn.compact
    def __call__(self, features: Float[Array, "atoms inputs 9"]) -> Float[Array, "atoms channels 9"]:
        inputs = features.shape[1]
        weight = self.param(
            "weight", nn.initializers.normal(1.0 / np.sqrt(inputs)), (len(DEGREES), inputs, self.channels)
        )
        parts = [jnp.einsum("ikl,kq->iql", features[:, :, SLICES[d]], weight[d]) for d in DEGREES]
        return jnp.concatenate(parts, -1)


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
        features: Float[Array, "atoms channels 9"],
        radial: Float[Array, "atoms slots basis"],
        angular: Float[Array, "atoms slots 9"],
        neighbors: Int[Array, "atoms slots"],
        species: Int[Array, " atoms"],
    ) -> Float[Array, "atoms channels 9"]:
        basis, atoms = radial.shape[-1], len(species)
        init = nn.initializers.normal(1.0 / np.sqrt(basis))
        weight = self.param("radial", init, (self.elements, basis, self.channels))
        scalars = features[..., 0]
        gated = features[..., 1:4] * nn.sigmoid(scalars)[..., None]
        senders = jnp.concatenate([nn.silu(scalars)[..., None], gated], -1)
        strength = jnp.einsum("imb,ibk->imk", radial, weight[species])
        senders = jax.lax.optimization_barrier(senders)
        sent = (senders[neighbors] * strength[..., None]).reshape(atoms, -1, self.channels * 4)
        summed = jnp.einsum("imx,iml->ixl", sent, angular).reshape(atoms, self.channels, 4, 9) / math.sqrt(NEIGHBORS)
        summed = jax.lax.optimization_barrier(summed)
        flat = summed.reshape(atoms, self.channels, 36)
        init = nn.initializers.normal(1.0 / np.sqrt(self.channels))
        total = []
        for degree in DEGREES:
            paths = [p for p in couplings(1, 2) if p[2] == degree]
            coupled = (flat @ jnp.asarray(_coupling_table(paths), flat.dtype)).reshape(
                atoms, self.channels * len(paths), 2 * degree + 1
            )
            mix = self.param(f"mix_{degree}", init, (self.channels * len(paths), self.channels))
            total.append(jnp.einsum("ixl,xk->ikl", coupled, mix) / math.sqrt(len(paths)))
        return jnp.concatenate(total, -1)


def invariants(first: Float[Array, "atoms k 9"], second: Float[Array, "atoms k 9"]) -> Float[Array, "atoms features"]:
    """Scalars of two features: both l = 0 parts, the norms of the second and their inner products."""
    parts = [first[..., 0], second[..., 0]]
    for degree in (1, 2):
        part = slice(SLICES[degree].start, SLICES[degree].stop)
        parts.append(jnp.sum(second[..., part] ** 2, -1) / (2 * degree + 1))
        parts.append(jnp.sum(first[..., part] * second[..., part], -1) / (2 * degree + 1))
    return jnp.concatenate(parts, -1)


def _gather_paths(paths: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Matrix that adds the components of every path to the nine of the feature."""
    rows = []
    for degree, size in paths:
        block = np.zeros((size, 9))
        block[:, SLICES[degree]] = np.eye(size)
        rows.append(block)
    return np.concatenate(rows)


def _coupling_table(paths: list[tuple[int, int, int]]) -> np.ndarray:
    """(36, paths·(2l+1)): couples the outer product of 4 sender and 9 bond components, paths outermost."""
    blocks = []
    for a, b, c in paths:
        block = np.zeros((4, 9, 2 * c + 1))
        block[SLICES[a], SLICES[b]] = clebsch_gordan(a, b, c)
        blocks.append(block.reshape(36, -1))
    return np.concatenate(blocks, 1)
