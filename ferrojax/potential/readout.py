"""What is read from the features: energy, charge flow along bonds, polarizability."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import e3nn_jax as e3nn
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float, Int

from ferrojax.distributed.layout import Whole
from ferrojax.potential.basis import SLICES
from ferrojax.potential.interaction import Bonds, Linear, materialize

FLOW_CHANNELS = 8
FLOW_SCALE = 0.1  # untrained flow is a small fraction of an electron


class SpeciesMLP(nn.Module):
    """One hidden layer whose input weights depend on the central species."""

    hidden: int
    outputs: int
    elements: int

    @nn.compact
    def __call__(self, scalars: Float[Array, "atoms inputs"], species: Int[Array, " atoms"]) -> Float[Array, "atoms outputs"]:
        inputs = scalars.shape[-1]
        init = nn.initializers.normal(1.0 / np.sqrt(inputs))
        weight = self.param("weight", init, (self.elements, inputs, self.hidden))
        bias = self.param("bias", nn.initializers.zeros, (self.elements, self.hidden))
        # One product for every species and a selection: far faster than a gathered weight per atom.
        every = jnp.einsum("if,sfh->ish", scalars, weight) + bias
        chosen = jnp.arange(self.elements) == species[:, None]
        hidden = jnp.sum(jnp.where(chosen[..., None], every, 0.0), 1)
        init = nn.initializers.normal(1.0 / np.sqrt(self.hidden))
        return nn.silu(hidden) @ self.param("out", init, (self.hidden, self.outputs))


class ChargeFlow(nn.Module):
    """g_ij, the charge that flows from i to j by the state of atom i, e.

        g_ij = Σ_q φ_q(r_ij, s_j) (1 + n_jq) Σ_lm a_i,qlm Y_lm(r̂_ij)

    a_i are equivariant features of the centre, n_j invariants of the neighbour. The bond
    transfer t_ij = g_ij - g_ji is odd by construction, so the cell stays neutral.
    """

    elements: int

    @nn.compact
    def __call__(
        self,
        scalars: Float[Array, "atoms features"],
        features: Float[Array, "atoms 9 channels"],
        bonds: Bonds,
        species: Int[Array, " atoms"],
        extend: Callable[[Array], Array] = Whole().extend,
    ) -> Float[Array, "atoms slots"]:
        gates = SpeciesMLP(32, 4 * FLOW_CHANNELS, self.elements, name="gates")(scalars, species)
        isotropic, sent, *scale = jnp.split(gates, 4, -1)
        centre = Linear(FLOW_CHANNELS, name="centre")(features)
        parts = [centre[:, SLICES[0]] + isotropic[:, None]]
        parts += [centre[:, SLICES[d]] * (1.0 + scale[d - 1])[:, None] for d in (1, 2)]
        init = nn.initializers.normal(1.0 / np.sqrt(bonds.size))
        weight = self.param("radial", init, (self.elements, bonds.size, FLOW_CHANNELS))
        received = extend(1.0 + sent)

        def along(radial, angular, neighbors, species, centre):
            direction = jnp.einsum("iqy,iym->iqm", jnp.swapaxes(centre, 1, 2), angular)
            reach = jnp.einsum("iqb,ibm->iqm", jnp.swapaxes(weight, 1, 2)[species], radial)
            taken = jnp.swapaxes(received[neighbors], 1, 2)
            return FLOW_SCALE * jnp.sum(reach * taken * direction, 1)

        return bonds.each(along, species, materialize(jnp.concatenate(parts, 1)))


class Polarizability(nn.Module):
    """Atomic polarizabilities summed over the cell, e Å²/V: softplus isotropic part and an l = 2 part."""

    elements: int

    @nn.compact
    def __call__(
        self,
        scalars: Float[Array, "atoms features"],
        features: Float[Array, "atoms 9 channels"],
        species: Int[Array, " atoms"],
        real: Float[Array, " atoms"],
    ) -> Float[Array, "3 3"]:
        isotropic = SpeciesMLP(32, 1, self.elements, name="isotropic")(scalars, species)[:, 0]
        level = self.param("level", nn.initializers.constant(-2.0), (self.elements,))  # softplus(-2) = 0.13 e Å²/V, typical of oxides
        mean = jnp.sum(real * nn.softplus(level[species] + 0.1 * isotropic))
        traceless = 0.1 * jnp.einsum("i,iy->y", real, Linear(1, name="anisotropic")(features)[:, SLICES[2], 0])
        # Q_ab ∝ Σ_m CG(1a, 1b, 2m) T_m, the Cartesian form of an l = 2 component.
        to_cartesian = jnp.asarray(np.asarray(e3nn.clebsch_gordan(1, 1, 2)), features.dtype)
        return mean * jnp.eye(3, dtype=features.dtype) + jnp.einsum("abm,m->ab", to_cartesian, traceless)


def set_polarizability(params: Any, alpha: float) -> Any:
    """Parameters of a model whose atoms of every element have the isotropic polarizability ``alpha`` (e Å²/V) before training."""
    flat = flatten_dict(params)
    path = ("params", "Polarizability_0", "level")
    return unflatten_dict(flat | {path: jnp.full_like(flat[path], np.log(np.expm1(alpha)))})  # the inverse of softplus
