"""Radial and angular basis of a bond, and the Clebsch-Gordan tables."""

from __future__ import annotations

import math
from functools import cache

import e3nn_jax as e3nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

IRREPS = "0e + 1o + 2e"  # natural parity: every coupling used has l1 + l2 + l3 even
SLICES = (slice(0, 1), slice(1, 4), slice(4, 9))
DEGREES = (0, 1, 2)
Components = tuple[Float[Array, "*n slots"], ...]  # x, y and z of vectors


def safe_length(vector: Components, mask: Bool[Array, "*n slots"]) -> Float[Array, "*n slots"]:
    """|r|, Å; 1 where masked, so that no derivative of any order is NaN there."""
    x, y, z = vector
    return jnp.sqrt(jnp.where(mask, x * x + y * y + z * z, 1.0))


def envelope(distance: Float[Array, "*n"], cutoff: float) -> Float[Array, "*n"]:
    """Smooth switch from 1 to 0 at the cutoff with two continuous derivatives: 1 - 10x³ + 15x⁴ - 6x⁵."""
    x = jnp.clip(distance / cutoff, 0.0, 1.0)
    return 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


def radial_basis(distance: Float[Array, "*n slots"], cutoff: float, size: int) -> Float[Array, "*n size slots"]:
    """√(2/r_c) sin(nπr/r_c)/r, n = 1..size: Gasteiger, Groß and Günnemann, ICLR 2020 (arXiv:2003.03123)."""
    angle = distance * (np.pi / cutoff)
    # sin((n+1)x) = 2 cos(x) sin(nx) - sin((n-1)x): two transcendental functions instead of n.
    twice, waves = 2 * jnp.cos(angle), [jnp.zeros_like(angle), jnp.sin(angle)]
    for _ in range(size - 1):
        waves.append(twice * waves[-1] - waves[-2])
    scale = math.sqrt(2.0 / cutoff) / distance
    return jnp.stack([scale * wave for wave in waves[1:]], -2)


def angular_basis(direction: Components) -> Float[Array, "*n 9 slots"]:
    """Real spherical harmonics of a unit vector, l = 0, 1, 2, component-normalised, e3nn order.

        1;  √3 (x, y, z);  √15 xz, √15 xy, √5 (y² - ½(x² + z²)), √15 yz, ½√15 (z² - x²)

    Written out, since on a CPU e3nn's products of matrices of three columns are the slower way.
    """
    x, y, z = direction
    a, b, c = math.sqrt(3.0), math.sqrt(5.0), math.sqrt(15.0)
    dipoles = [a * x, a * y, a * z]
    quadrupoles = [c * x * z, c * x * y, b * (y * y - 0.5 * (x * x + z * z)), c * y * z, 0.5 * c * (z * z - x * x)]
    return jnp.stack([jnp.ones_like(x), *dipoles, *quadrupoles], -2)


@cache
def couplings(left: int, right: int) -> tuple[tuple[int, int, int], ...]:
    """Triples (l1, l2, l3) with l1 <= left, l2 <= right, l3 <= 2 that obey the triangle rule and parity."""
    return tuple(
        (a, b, c) for a in range(left + 1) for b in range(right + 1) for c in DEGREES if abs(a - b) <= c <= a + b and (a + b + c) % 2 == 0
    )


@cache
def clebsch_gordan(a: int, b: int, c: int) -> np.ndarray:
    """Coupling tensor (2a+1, 2b+1, 2c+1), scaled so that unit-variance factors give a unit-variance product."""
    return np.asarray(e3nn.clebsch_gordan(a, b, c)) * np.sqrt(2 * c + 1)


@cache
def symmetric_product_table() -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]:
    """Tables of the product of a feature with itself, for one matrix product.

    Returns the index pair (left, right) of each distinct component product, the matrix
    that maps these to coupled components, and the l of each path in order.
    """
    left, right = (side.astype(np.int32) for side in np.triu_indices(9))  # int64 fails where x64 was enabled, then disabled
    paths = [p for p in couplings(2, 2) if p[0] <= p[1]]
    columns = []
    for a, b, c in paths:
        block = np.zeros((9, 9, 2 * c + 1))
        block[SLICES[a], SLICES[b]] = clebsch_gordan(a, b, c)
        symmetric = block + block.transpose(1, 0, 2)
        symmetric[np.diag_indices(9)] /= 2
        columns.append(symmetric[left, right])
    return left, right, np.concatenate(columns, 1), tuple(c for _, _, c in paths)
