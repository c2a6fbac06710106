"""Reciprocal Ewald energy of Gaussian-smeared charges, as dense matrix products."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.units import COULOMB


def ewald_energy(
    charges: Float[Array, " atoms"],
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    kgrid: tuple[int, int, int],
    smearing: float,
) -> Float[Array, ""]:
    """Tin-foil energy of Gaussian charges of standard deviation ``smearing`` σ, eV.

        E = k_e (2π/V) Σ_{k≠0} exp(-σ²k²)/k² |S(k)|²,   S(k) = Σ_i q_i exp(i k·r_i)

    over the box |n_a| <= kgrid[a] of k = n·B (half of it, by symmetry). The
    interaction of each Gaussian with itself is part of the sum. Dropping k = 0 means
    a fixed macroscopic field E = 0. PHYSICS: Ewald, Ann. Phys. 369, 253 (1921).

    The phases factorise, exp(i k·r) = Π_a exp(2πi n_a s_a), so S on the whole box is
    one (n1 n2 x atoms)·(atoms x n3) product of per-axis tables.
    """
    structure_re, structure_im = _structure_factor(charges, positions, cell, kgrid)
    kernel = _kernel(cell, kgrid, smearing)
    volume = jnp.linalg.det(cell)
    return COULOMB * 2 * np.pi / volume * jnp.sum(kernel * (structure_re**2 + structure_im**2))


def _structure_factor(charges, positions, cell, kgrid):
    """Real and imaginary part of S(k) on the half box n1 >= 0, shape (n1+1, 2 n2+1, 2 n3+1)."""
    fractional = positions @ jnp.linalg.inv(cell)
    (c1, s1), (c2, s2), (c3, s3) = (
        _phases(fractional[:, axis], n, half=axis == 0) for axis, n in enumerate(kgrid)
    )
    c1, s1 = charges[:, None] * c1, charges[:, None] * s1
    plane_re = (c1[:, :, None] * c2[:, None] - s1[:, :, None] * s2[:, None]).reshape(len(charges), -1)
    plane_im = (c1[:, :, None] * s2[:, None] + s1[:, :, None] * c2[:, None]).reshape(len(charges), -1)
    shape = (c1.shape[1], c2.shape[1], c3.shape[1])
    real = (plane_re.T @ c3 - plane_im.T @ s3).reshape(shape)
    imaginary = (plane_re.T @ s3 + plane_im.T @ c3).reshape(shape)
    return real, imaginary


def _phases(fractional, n, half):
    integers = jnp.arange(0 if half else -n, n + 1, dtype=fractional.dtype)
    angle = 2 * np.pi * fractional[:, None] * integers
    return jnp.cos(angle), jnp.sin(angle)


def _kernel(cell, kgrid, smearing):
    """exp(-σ²k²)/k² on the half box, doubled for n1 > 0, zero at k = 0."""
    n1, n2, n3 = (np.arange(0 if axis == 0 else -n, n + 1) for axis, n in enumerate(kgrid))
    integers = np.stack(np.meshgrid(n1, n2, n3, indexing="ij"), -1)
    weight = np.where(integers[..., 0] > 0, 2.0, 1.0)
    weight[0, kgrid[1], kgrid[2]] = 0.0
    k = 2 * np.pi * jnp.asarray(integers, cell.dtype) @ jnp.linalg.inv(cell).T
    k2 = jnp.where(weight > 0, jnp.sum(k**2, -1), 1.0)
    return jnp.asarray(weight, cell.dtype) * jnp.exp(-(smearing**2) * k2) / k2
