"""The terms of the effective Hamiltonian that are local or homogeneous, each a function of its own, in eV per supercell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array, Float

from ferrojax.units import COULOMB

if TYPE_CHECKING:
    from ferrojax.effective.params import HeffParams


def onsite_energy(params: HeffParams, modes: Float[Array, "3 x y z"]) -> Float[Array, ""]:
    """Σ_R of ``onsite_density``."""
    return jnp.sum(onsite_density(params, modes))


def onsite_density(params: HeffParams, modes: Float[Array, "3 x y z"]) -> Float[Array, "x y z"]:
    """Anharmonic energy of each cell, to eighth order (the κ₂ term is in the pair kernel).

        α u⁴ + γ (ux²uy² + uy²uz² + uz²ux²) + k1 u⁶ + k2 [ux⁴(uy²+uz²) + uy⁴(uz²+ux²) + uz⁴(ux²+uy²)] + k3 ux²uy²uz² + k4 u⁸

    Nishimatsu et al., Phys. Rev. B 82, 134106 (2010), eq. 4.
    """
    x, y, z = modes**2
    length = x + y + z
    pairs, triple = x * y + y * z + z * x, x * y * z
    # Σ ux⁴ (uy² + uz²) = u² Σ ux²uy² - 3 ux²uy²uz²
    even = length**2 * (params.alpha + length * (params.k1 + length * params.k4))
    return even + pairs * (params.gamma + params.k2 * length) + (params.k3 - 3 * params.k2) * triple


def strain_sources(params: HeffParams, modes: Float[Array, "3 x y z"], occupation: Float[Array, "x y z"] | None) -> Float[Array, "6 x y z"]:
    """What the local strain couples to in each cell, y = ∂E/∂η, eV.

        y1 = ½ [B1xx ux² + B1yy (uy² + uz²)] + b a(R)  (and cyclic),   y4 = B4yz uy uz  (and cyclic)

    The alloy's "spring" b a(R) lets a small or large A ion press on its cell:
    Nishimatsu, Grünebohm, Waghmare and Kubo, J. Phys. Soc. Jpn. 85, 114714 (2016).
    """
    ux, uy, uz = modes
    squares = modes**2
    pressing = 0.5 * ((params.b1xx - params.b1yy) * squares + params.b1yy * jnp.sum(squares, 0))
    if occupation is not None:
        pressing = pressing + params.spring * occupation
    return jnp.concatenate([pressing, params.b4yz * jnp.stack([uy * uz, uz * ux, ux * uy])])


def elastic_tensor(params: HeffParams) -> Float[Array, "6 6"]:
    """Bare elastic constants B = C a0³ of one cell, eV, Voigt."""
    normal = params.b12 + (params.b11 - params.b12) * jnp.eye(3, dtype=params.b11.dtype)
    zero = jnp.zeros_like(normal)
    return jnp.block([[normal, zero], [zero, params.b44 * jnp.eye(3, dtype=params.b44.dtype)]])


def homogeneous_energy(params: HeffParams, strain: Float[Array, "6"], pull: Float[Array, "6"], cells: int) -> Float[Array, ""]:
    """Energy of the homogeneous strain and of the outer stress: N [½ η·B η + η·f], f = ⟨y⟩ - a0³ σ."""
    return cells * (0.5 * strain @ elastic_tensor(params) @ strain + strain @ pull)


def outer_load(params: HeffParams) -> Float[Array, "6"]:
    """a0³ σ, eV: what the outer stress contributes to the force on each Voigt strain."""
    s = 0.5 * (params.stress + params.stress.T)
    return params.a0**3 * jnp.stack([s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]])


def field_energy(params: HeffParams, mean: Float[Array, "3"], field: Float[Array, "3"], cells: int) -> Float[Array, ""]:
    """-N Z* E·⟨u⟩."""
    return -cells * params.charge * (field @ mean)


def depolarization_energy(params: HeffParams, mean: Float[Array, "3"], factors: Float[Array, "3"], cells: int) -> Float[Array, ""]:
    """Energy of the unscreened share of the depolarizing field, N (2π k_e Z*²/(ε∞ a0³)) Σ_α f_α ⟨u_α⟩².

    With f = 1 the displacement is zero along the axis; the field is -f P/(ε0 ε∞).
    """
    return cells * depolarization_strength(params) * jnp.sum(factors * mean**2)


def depolarization_strength(params: HeffParams) -> Float[Array, ""]:
    """2π k_e Z*²/(ε∞ a0³), eV/Å²."""
    return 2 * jnp.pi * COULOMB * params.charge**2 / (params.eps_inf * params.a0**3)
