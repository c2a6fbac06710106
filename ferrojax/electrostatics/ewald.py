"""Reciprocal Ewald energy of Gaussian charges and dipoles, as dense matrix products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ferrojax.distributed.layout import Whole
from ferrojax.units import COULOMB

if TYPE_CHECKING:
    from ferrojax.distributed.slabs import Slabs


def ewald_energy(
    charges: Float[Array, " atoms"],
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    kgrid: tuple[int, int, int],
    smearing: float,
    dipoles: Float[Array, "atoms 3"] | None = None,
    layout: Whole | Slabs = Whole(),
) -> Float[Array, ""]:
    """Tin-foil energy of Gaussian charges of standard deviation ``smearing`` σ, eV.

        E = k_e (2π/V) Σ_{k≠0} exp(-σ²k²)/k² |S(k)|²,   S(k) = Σ_i (q_i + i k·p_i) exp(i k·r_i)

    over the box |n_a| <= kgrid[a] of k = 2π n·cell⁻¹ (half of it, by symmetry). The
    interaction of each Gaussian with itself is part of the sum. Dropping k = 0 means
    a fixed macroscopic field E = 0 and, for a net charge, a uniform background.
    Derivatives of every order in charges, positions, cell and dipoles are exact.
    Ewald, Ann. Phys. 369, 253 (1921).

    Args:
        charges: e; 0 for padding atoms, whose positions need only be finite.
        positions, cell: Å, rows; wrapping an atom changes nothing.
        kgrid: static; ``reciprocal_box(cell, k_cutoff(smearing))`` is converged.
        smearing: Å.
        dipoles: atomic dipoles p_i of the same Gaussian shape, e·Å; None for none.
        layout: of the atoms over devices; each then gives those it has at hand.
    """
    inverse, volume = inverse_cell(cell)
    structure = _structure_factor(charges, positions @ inverse, None if dipoles is None else dipoles @ inverse, kgrid, layout)
    power = structure.real**2 + structure.imag**2
    n1, n2, n3 = kgrid
    half_box = (np.arange(n1 + 1), np.arange(-n2, n2 + 1), np.arange(-n3, n3 + 1))
    stands_for = np.where(half_box[0] > 0, 2.0, 1.0)[:, None, None]  # k alone, or k and -k
    kernel = jnp.asarray(stands_for, cell.dtype) * gaussian_kernel(half_box, inverse, smearing)
    return 2 * np.pi * COULOMB / volume * jnp.sum(kernel * power)


def k_cutoff(smearing: float, tolerance: float = 1e-5) -> float:
    """Wave vector, 1/Å, at which the factor exp(-σ²k²) of Gaussian charges falls to ``tolerance``."""
    return math.sqrt(math.log(1 / tolerance)) / smearing


def inverse_cell(cell: Float[Array, "3 3"]) -> tuple[Float[Array, "3 3"], Float[Array, ""]]:
    """Inverse of the cell, 1/Å, and its volume, Å³, from cross products.

    Fractional coordinates are ``positions @ inverse``. Unlike a linear solve this
    makes no library call, so it batches and differentiates at no cost.
    """
    a, b, c = cell
    faces = jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], axis=1)
    volume = a @ faces[:, 0]
    return faces / volume, volume


def gaussian_kernel(
    axes: tuple[np.ndarray | Array, np.ndarray | Array, np.ndarray | Array], inverse: Float[Array, "3 3"], smearing: float
) -> Float[Array, "h k l"]:
    """exp(-σ²k²)/k², Å², on the box of integers ``axes``; zero at k = 0."""
    n1, n2, n3 = (jnp.asarray(n, inverse.dtype) for n in axes)
    n1, n2 = n1[:, None, None], n2[:, None]
    nonzero = (n1 != 0) | (n2 != 0) | (n3 != 0)
    k2 = (2 * np.pi) ** 2 * sum((n1 * inverse[x, 0] + n2 * inverse[x, 1] + n3 * inverse[x, 2]) ** 2 for x in range(3))
    k2 = jnp.where(nonzero, k2, 1.0)  # before the division, so that no derivative meets 1/0
    return jnp.where(nonzero, jnp.exp(-(smearing**2) * k2) / k2, 0.0)


def _structure_factor(
    charges: Float[Array, " atoms"],
    fractional: Float[Array, "atoms 3"],
    dipoles: Float[Array, "atoms 3"] | None,
    kgrid: tuple[int, int, int],
    layout: Whole | Slabs,
) -> Complex[Array, "h k l"]:
    """S(k) on the half box n1 >= 0, shape (n1+1, 2 n2+1, 2 n3+1), from fractional positions and dipoles.

    The phases factorise, exp(i k·r) = Π_a (cos + i sin)(2π n_a s_a), so all sums over atoms
    are one real product (n1 x atoms)·(atoms x n2 n3) of tables with n_a >= 0; the signs of
    n2 and n3 are put in afterwards. A dipole p turns each factor into its derivative along p_a.
    """
    # Whole lattice vectors change no phase; without them n_a s_a keeps its digits in float32.
    fractional = fractional - jnp.round(fractional)
    tables = [_cos_sin(fractional[:, a], n) for a, n in enumerate(kgrid)]
    x, y, z = (table for table, _ in tables)
    sums = _contract(charges[:, None] * x, _plane(y, z))
    if dipoles is not None:
        dx, dy, dz = (dipoles[:, a, None] * slope for a, (_, slope) in enumerate(tables))
        sums += _contract(dx, _plane(y, z)) + _contract(x, _plane(dy, z) + _plane(y, dz))
    n1, n2, n3 = (n + 1 for n in kgrid)
    sums = layout.total(sums).reshape(2, n1, 2, n2, 2, n3)
    return _both_signs(_both_signs(jax.lax.complex(sums[0], sums[1]), 1), 2)


def _cos_sin(coordinate: Float[Array, " atoms"], n: int) -> tuple[Float[Array, "atoms two_n"], Float[Array, "atoms two_n"]]:
    """Cosines then sines of 2π m s, m = 0..n, and their derivatives with respect to s."""
    wave = 2 * np.pi * jnp.arange(n + 1, dtype=coordinate.dtype)
    cosine, sine = jnp.cos(coordinate[:, None] * wave), jnp.sin(coordinate[:, None] * wave)
    return jnp.concatenate([cosine, sine], 1), jnp.concatenate([-wave * sine, wave * cosine], 1)


def _plane(y: Float[Array, "atoms k"], z: Float[Array, "atoms l"]) -> Float[Array, "atoms kl"]:
    return (y[:, :, None] * z[:, None, :]).reshape(len(y), -1)


def _contract(x: Float[Array, "atoms h"], plane: Float[Array, "atoms kl"]) -> Float[Array, "h kl"]:
    # Full float32 on accelerators too, whose default product keeps ten bits.
    return jnp.matmul(x.T, plane, precision=jax.lax.Precision.HIGHEST)


def _both_signs(parts: Complex[Array, "..."], axis: int) -> Complex[Array, "..."]:
    """From cosine and sine sums along ``axis`` (size 2) over n >= 0 on the next axis to -n..n in their place."""
    cosine, sine = jnp.moveaxis(parts, axis, 0)
    negative = jnp.flip(jax.lax.slice_in_dim(cosine - 1j * sine, 1, None, axis=axis), axis)
    return jnp.concatenate([negative, cosine + 1j * sine], axis)
