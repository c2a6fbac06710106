"""Nose-Hoover chains as a pytree of numbers.

jax-md's chain keeps period and degrees of freedom as compile-time constants: with them as arrays they may be
changed and differentiated without recompilation, and padding atoms need not count.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Float

LENGTH, SUBSTEPS = 3, 2
# Suzuki-Yoshida weights of fourth order.
WEIGHTS = (1.3512071919596578, -1.7024143839193153, 1.3512071919596578)


class Chain(struct.PyTreeNode):
    """position ξ, momentum p_ξ; freedom: degrees of freedom that the first link heats; period: τ, time."""

    position: Float[Array, " links"]
    momentum: Float[Array, " links"]
    freedom: Float[Array, ""]
    period: Float[Array, ""]

    def masses(self, heat: Any) -> Float[Array, " links"]:
        """Q = kT τ², times the degrees of freedom for the first link."""
        return heat * self.period**2 * jnp.ones_like(self.position).at[0].set(self.freedom)


def start_chain(freedom: Any, period: Any, dtype: Any) -> Chain:
    """A chain at rest."""
    zero = jnp.zeros(LENGTH, dtype)
    return Chain(zero, zero, jnp.asarray(freedom, dtype), jnp.asarray(period, dtype))


def half_step(chain: Chain, kinetic: Array, heat: Any, dt: Any) -> tuple[Chain, Float[Array, ""]]:
    """Half a time step ``dt`` of the chain, and the factor by which it scales the momenta of kinetic energy ``kinetic``.

    Martyna, Tuckerman, Tobias and Klein, Mol. Phys. 87, 1117 (1996), equations 27 to 33.
    """
    mass = chain.masses(heat)
    steps = jnp.asarray(WEIGHTS * SUBSTEPS, chain.position.dtype) * (dt / (2 * SUBSTEPS))

    def substep(carry: tuple[Array, Array, Array], step: Array) -> tuple[tuple[Array, Array, Array], None]:
        position, momentum, scale = carry
        momentum = _kick(momentum, mass, chain.freedom, kinetic * scale**2, heat, step / 2, reversed(range(LENGTH)))
        scale = scale * jnp.exp(-step * momentum[0] / mass[0])
        position = position + step * momentum / mass
        momentum = _kick(momentum, mass, chain.freedom, kinetic * scale**2, heat, step / 2, range(LENGTH))
        return (position, momentum, scale), None

    begin = (chain.position, chain.momentum, jnp.ones((), chain.position.dtype))
    (position, momentum, scale), _ = lax.scan(substep, begin, steps)
    return chain.replace(position=position, momentum=momentum), scale


def chain_energy(chain: Chain, heat: Any) -> Float[Array, ""]:
    """Σ p_ξ²/2Q + N_f kT ξ₁ + kT Σ_{k>1} ξ_k, eV."""
    freedom = jnp.ones_like(chain.position).at[0].set(chain.freedom)
    return jnp.sum(0.5 * chain.momentum**2 / chain.masses(heat) + freedom * heat * chain.position)


def _kick(momentum, mass, freedom, kinetic, heat, step, links):
    """Momenta of the links after ``step``: driven by the link before, damped by the one after."""
    for k in links:
        force = 2 * kinetic - freedom * heat if k == 0 else momentum[k - 1] ** 2 / mass[k - 1] - heat
        damping = jnp.exp(-step / 2 * momentum[k + 1] / mass[k + 1]) if k + 1 < LENGTH else 1.0
        momentum = momentum.at[k].set((momentum[k] * damping + step * force) * damping)
    return momentum
