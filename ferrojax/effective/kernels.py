"""Couplings between cells as matrices in Fourier space: short range, dipoles, and strain that follows the modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.fourier import packing
from ferrojax.effective.lattice import Shape, wave_vectors, zone_edges
from ferrojax.units import COULOMB

if TYPE_CHECKING:
    from ferrojax.effective.params import HeffParams

# Mirrors x, y, z under which each Voigt component is odd.
ODD = ((), (), (), (1, 2), (0, 2), (0, 1))


def pair_kernel(params: HeffParams, shape: Shape, dipole: Float[np.ndarray, "6 kx ky kz"]) -> Float[Array, "6 kx ky kz"]:
    """Harmonic coupling of the modes, eV/Å², packed: 2κ₂ + short range + k_e Z*²/(ε∞ a0³) times the dipole kernel."""
    strength = COULOMB * params.charge**2 / (params.eps_inf * params.a0**3)
    return short_range_kernel(params, shape) + strength * jnp.asarray(dipole, strength.dtype)


def short_range_kernel(params: HeffParams, shape: Shape) -> Float[Array, "6 kx ky kz"]:
    """2κ₂ δ_αβ and the couplings j1..j7 to 26 neighbours, eV/Å².

        αα: 2κ₂ + 2 j1 (c_β + c_γ) + 2 j2 c_α + 4 j3 c_α (c_β + c_γ) + 4 j4 c_β c_γ + 8 j6 c_α c_β c_γ
        αβ: -4 j5 s_α s_β - 8 j7 s_α s_β c_γ,          c = cos k, s = sin k

    Zhong, Vanderbilt and Rabe, Phys. Rev. B 52, 6301 (1995), table II of the couplings.
    """
    dtype = params.kappa2.dtype
    c = [np.cos(x).astype(dtype) for x in wave_vectors(shape)]
    s = [np.sin(x).astype(dtype) for x in wave_vectors(shape)]
    j1, j2, j3, j4, j5, j6, j7 = params.j
    entries = []
    for a, b in packing(3):
        if a == b:
            p, q = (x for x in range(3) if x != a)
            first = 2 * j1 * (c[p] + c[q]) + 2 * j2 * c[a]
            second = 4 * j3 * (c[a] * (c[p] + c[q])) + 4 * j4 * (c[p] * c[q])
            entries.append(2 * params.kappa2 + first + second + 8 * j6 * (c[a] * c[p] * c[q]))
        else:
            entries.append(-4 * j5 * (s[a] * s[b]) - 8 * j7 * (s[a] * s[b] * c[3 - a - b]))
    return jnp.stack(jnp.broadcast_arrays(*entries))


def acoustic_kernel(params: HeffParams, shape: Shape) -> Float[Array, "6 kx ky kz"]:
    """Stiffness K(k) of the acoustic displacement in units of a0, eV, packed; continuum form.

        K_αα = B11 k_α² + B44 (k_β² + k_γ²),   K_αβ = (B12 + B44) k_α k_β

    Off-diagonal entries vanish where k_α is on the zone boundary, as the mean over ±π.
    """
    k, edge = [x.astype(params.b11.dtype) for x in wave_vectors(shape)], zone_edges(shape)
    entries = []
    for a, b in packing(3):
        if a == b:
            p, q = (x for x in range(3) if x != a)
            entries.append(params.b11 * k[a] ** 2 + params.b44 * (k[p] ** 2 + k[q] ** 2))
        else:
            entries.append((params.b12 + params.b44) * np.where(edge[a] | edge[b], 0.0, k[a] * k[b]))
    return jnp.stack(jnp.broadcast_arrays(*entries))


def strain_kernel(params: HeffParams, shape: Shape) -> Float[Array, "21 kx ky kz"]:
    """-Dᵀ K⁻¹ D, 1/eV, packed: energy of the inhomogeneous strain at its minimum, for the 6 strain-mode fields y.

    D(k) takes a Voigt stress to its divergence k·σ. Zero at k = 0, where the strain is the
    homogeneous one. Of order zero in k, so it has a value on the zone boundary too, where
    the mean over the equivalent wave vectors ±π is taken. (feram takes one of them when two
    components are on the boundary at once, which breaks the cubic symmetry there.)
    Nishimatsu et al., Phys. Rev. B 78, 104104 (2008), eqs. 8 and 17.
    """
    k, edge = [x.astype(params.b11.dtype) for x in wave_vectors(shape)], zone_edges(shape)
    zero = (k[0] == 0) & (k[1] == 0) & (k[2] == 0)
    inverse = _inverse_stiffness(params, k, zero)
    # Columns of D: stress component i pushes along each axis by a component of k.
    divergence: list[dict[int, np.ndarray]] = [{a: k[a]} for a in range(3)]
    divergence += [{a: k[b], b: k[a]} for a, b in packing(3)[3:]]
    entries = []
    for i, j in packing(6):
        value = sum(inverse[a][b] * (p * q) for a, p in divergence[i].items() for b, q in divergence[j].items())
        odd = set(ODD[i]) ^ set(ODD[j])
        cancels = zero
        for axis in odd:
            cancels = cancels | edge[axis]
        entries.append(jnp.where(cancels, 0.0, -value))
    return jnp.stack(jnp.broadcast_arrays(*entries))


def _inverse_stiffness(params: HeffParams, k: list[np.ndarray], zero: np.ndarray) -> list[list[Array]]:
    """K⁻¹ from cofactors; the identity is inverted at k = 0."""
    squared, mixed = k[0] ** 2 + k[1] ** 2 + k[2] ** 2 + zero.astype(k[0].dtype), params.b12 + params.b44
    m = {(a, b): mixed * (k[a] * k[b]) for a, b in packing(3)[3:]}
    m |= {(b, a): m[a, b] for a, b in packing(3)[3:]}
    m |= {(a, a): params.b44 * squared + (params.b11 - params.b44) * k[a] ** 2 for a in range(3)}
    cofactor = {}
    for a, b in packing(3):
        (p, q), (r, s) = ([x for x in range(3) if x != y] for y in (a, b))
        cofactor[a, b] = (m[p, r] * m[q, s] - m[p, s] * m[q, r]) * (-1) ** (a + b)
    determinant = sum(m[0, b] * cofactor[min(0, b), max(0, b)] for b in range(3))
    return [[cofactor[min(a, b), max(a, b)] / determinant for b in range(3)] for a in range(3)]
