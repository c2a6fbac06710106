"""Homogeneous strain in closed form: it is quadratic in the enthalpy, so its minimum is that of a 6 x 6 linear system.

At constant stress the modes' distribution is exactly the one at this minimum: the integral over a strain that
enters quadratically, with a stiffness that does not depend on the modes, is a constant factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array, Float

from ferrojax.effective.lattice import LatticeState, strain_tensor, voigt_strain
from ferrojax.effective.terms import elastic_tensor, outer_load, strain_sources
from ferrojax.errors import FerrojaxError

if TYPE_CHECKING:
    from ferrojax.effective.params import HeffParams

# Voigt components that each clamp leaves free. A substrate in the xy plane holds xx, yy and xy.
LOOSE = {"free": (0, 1, 2, 3, 4, 5), "epitaxial": (2, 3, 4), "fixed": ()}


def check_clamp(clamp: str) -> None:
    """FerrojaxError for a word that is no clamp."""
    if clamp not in LOOSE:
        raise FerrojaxError(f"the clamp must be 'free', 'epitaxial' or 'fixed'; got {clamp!r}.")


def settled(params: HeffParams, pull: Float[Array, "6"], held: Float[Array, "6"], clamp: str) -> Float[Array, "6"]:
    """Voigt strain under a clamp, for the pull f = ⟨y⟩ - a0³ σ on each component.

        B_LL η_L = -(f_L + B_LH η_H),   L the loose components, H the held ones

    For an equibiaxial misfit ε: η3 = (-2 B12 ε - f3)/B11 and η4,5 = -f4,5/B44.
    """
    loose = jnp.array(LOOSE[clamp], int)
    if not len(loose):
        return held
    elastic, held = elastic_tensor(params), held.at[loose].set(0.0)
    force = (pull + elastic @ held)[loose]
    return held.at[loose].set(-jnp.linalg.solve(elastic[loose][:, loose], force))


def clamped_strain(params: HeffParams, state: LatticeState, strain: Float[Array, "3 3"], clamp: str) -> Float[Array, "3 3"]:
    """The strain under a clamp: "free" relaxes all of it, "epitaxial" all but the film plane, "fixed" nothing.

    Raises FerrojaxError for another word.
    """
    check_clamp(clamp)
    sources = strain_sources(params, jnp.moveaxis(state.modes, -1, 0), state.occupation)
    pull = jnp.mean(sources, (1, 2, 3)) - outer_load(params)
    return strain_tensor(settled(params, pull, voigt_strain(strain), clamp))


def relaxed_strain(params: HeffParams, state: LatticeState) -> Float[Array, "3 3"]:
    """The homogeneous strain at which the stress is the outer one, for given modes.

    η = -B⁻¹ (⟨y⟩ - a0³ σ) in Voigt components; at pressure p, -a0³ σ = p a0³ (1, 1, 1, 0, 0, 0).
    """
    return clamped_strain(params, state, jnp.zeros((3, 3), state.modes.dtype), "free")


def epitaxial_strain(params: HeffParams, state: LatticeState, misfit: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    """The strain of a film on a substrate in the xy plane: xx, yy and xy as in ``misfit``, the rest relaxed."""
    return clamped_strain(params, state, misfit, "epitaxial")
