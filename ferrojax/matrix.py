"""3 x 3 matrices without LAPACK: cheap on every device inside a time step, differentiable at degeneracies."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

Matrix = Float[Array, "3 3"]
_TERMS = 10  # of the power series; exact to rounding for norms below 0.3


def inverse(matrix: Matrix) -> Matrix:
    """Inverse by cross products of the rows: columns a2 × a3, a3 × a1, a1 × a2, over the determinant."""
    a, b, c = matrix
    columns = jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], axis=1)
    return columns / jnp.dot(a, columns[:, 0])


def exponential(matrix: Matrix) -> Matrix:
    """exp(A) of a small matrix (norm below 0.3, as a cell's change in one time step is)."""
    return jnp.eye(3, dtype=matrix.dtype) + matrix @ mean_exponential(matrix)


def mean_exponential(matrix: Matrix) -> Matrix:
    """∫₀¹ exp(sA) ds = Σ_k A^k/(k+1)! of a small matrix: what a constant push adds up to during the change."""
    identity = jnp.eye(3, dtype=matrix.dtype)
    total = identity
    for k in range(_TERMS, 1, -1):  # Horner's rule
        total = identity + matrix @ total / k
    return total


def square_root(matrix: Matrix) -> Matrix:
    """Square root of a matrix near the identity, by five Newton steps (Denman and Beavers, Appl. Math. Comput. 2, 63 (1976))."""
    root, reciprocal = matrix, jnp.eye(3, dtype=matrix.dtype)
    for _ in range(5):
        root, reciprocal = 0.5 * (root + inverse(reciprocal)), 0.5 * (reciprocal + inverse(root))
    return root


def smallest_stretch(deformation: Matrix) -> Float[Array, ""]:
    """Smallest singular value of F: the square root of the lowest eigenvalue of F Fᵀ, in closed form."""
    metric = deformation @ deformation.T
    mean = jnp.trace(metric) / 3
    shear = metric - mean * jnp.eye(3, dtype=metric.dtype)
    size = jnp.sqrt(jnp.sum(shear**2) / 6)
    safe = jnp.where(size > 0, size, 1.0)
    angle = jnp.arccos(jnp.clip(jnp.linalg.det(shear / safe) / 2, -1.0, 1.0)) / 3
    return jnp.sqrt(jnp.maximum(mean + 2 * size * jnp.cos(angle + 2 * jnp.pi / 3), 0.0))
