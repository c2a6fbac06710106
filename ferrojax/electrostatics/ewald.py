"""Reciprocal Ewald energy of Gaussian charges and dipoles, as dense matrix products."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ferrojax.units import COULOMB


def ewald_energy(
    charges: Float[Array, " atoms"],
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    kgrid: tuple[int, int, int],
    smearing: float,
    dipoles: Float[Array, "atoms 3"] | None = None,
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
    """
    inverse, volume = inverse_cell(cell)
    structure = _structure_factor(charges, positions @ inverse, None if dipoles is None else dipoles @ inverse, kgrid)
    power = structure.real**2 + structure.imag**2
    return 2 * np.pi * COULOMB / volume * jnp.sum(_kernel(inverse, kgrid, smearing) * power)


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


def _structure_factor(
    charges: Float[Array, " atoms"],
    fractional: Float[Array, "atoms 3"],
    dipoles: Float[Array, "atoms 3"] | None,
    kgrid: tuple[int, int, int],
) -> Complex[Array, "h k l"]:
    """S(k) on the half box n1 >= 0, shape (n1+1, 2 n2+1, 2 n3+1), from fractional positions and dipoles.

    The phases factorise, exp(i k·r) = Π_a e_a with e_a = exp(2πi n_a s_a), so S on the whole
    box is one (n1 n2 x atoms)·(atoms x n3) product of per-axis tables. A dipole puts
    k·p = 2π Σ_a n_a p_a in front, one factor n_a at a time.
    """
    # Whole lattice vectors change no phase; without them n_a s_a keeps its digits in float32.
    fractional = fractional - jnp.round(jax.lax.stop_gradient(fractional))
    axes = _half_box(kgrid)
    e1, e2, e3 = (_phases(fractional[:, a], axes[a]) for a in range(3))
    if dipoles is None:
        return _contract(charges[:, None] * e1, e2, e3)
    d1, d2, d3 = (jnp.asarray(2j * np.pi * axes[a], e.dtype) * e * dipoles[:, a, None] for a, e in enumerate((e1, e2, e3)))
    return _contract(charges[:, None] * e1 + d1, e2, e3) + _contract(e1, d2, e3) + _contract(e1, e2, d3)


def _contract(x: Complex[Array, "atoms h"], y: Complex[Array, "atoms k"], z: Complex[Array, "atoms l"]) -> Complex[Array, "h k l"]:
    plane = (x[:, :, None] * y[:, None, :]).reshape(len(x), -1)
    # Full float32 on accelerators too, whose default product keeps ten bits.
    product = jnp.matmul(plane.T, z, precision=jax.lax.Precision.HIGHEST)
    return product.reshape(x.shape[1], y.shape[1], z.shape[1])


def _phases(coordinate: Float[Array, " atoms"], integers: np.ndarray) -> Complex[Array, "atoms n"]:
    angle = 2 * np.pi * coordinate[:, None] * jnp.asarray(integers, coordinate.dtype)
    return jax.lax.complex(jnp.cos(angle), jnp.sin(angle))


def _half_box(kgrid: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n1, n2, n3 = kgrid
    return np.arange(n1 + 1), np.arange(-n2, n2 + 1), np.arange(-n3, n3 + 1)


def _kernel(inverse: Float[Array, "3 3"], kgrid: tuple[int, int, int], smearing: float) -> Float[Array, "h k l"]:
    """exp(-σ²k²)/k² on the half box, doubled for n1 > 0, zero at k = 0."""
    integers = np.stack(np.meshgrid(*_half_box(kgrid), indexing="ij"), -1)
    weight = np.where(integers[..., 0] > 0, 2.0, 1.0)
    weight[0, kgrid[1], kgrid[2]] = 0.0
    k = 2 * np.pi * jnp.asarray(integers, inverse.dtype) @ inverse.T
    k2 = jnp.where(weight > 0, jnp.sum(k**2, -1), 1.0)
    return jnp.asarray(weight, inverse.dtype) * jnp.exp(-(smearing**2) * k2) / k2
