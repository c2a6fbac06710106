"""Linear solves with a symmetric operator, checked, and differentiable to any order in both modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.sparse.linalg import gmres
from jaxtyping import Array, Float

from ferrojax.errors import FerrojaxError

DENSE_LIMIT = 3000  # unknowns; beyond it no matrix is built
COLUMNS = 64  # of a matrix computed at once: all of them would take the memory of as many force evaluations
KRYLOV, RESTARTS = 150, 20  # of GMRES
Operator = Callable[[Array], Array]


def matrix_of(operator: Operator, size: int, dtype: Any) -> Float[Array, "size size"]:
    """The matrix of a linear map of vectors, 64 columns at a time."""
    blocks = -(-size // COLUMNS)
    width = -(-size // blocks)
    # The last block is filled up with zeros: a shorter one would be compiled again.
    units = jnp.eye(blocks * width, size, dtype=dtype).reshape(blocks, width, size)
    return jax.lax.map(jax.vmap(operator), units).reshape(-1, size)[:size].T


def solve_symmetric(operator: Operator, y: Float[Array, " size"]) -> Float[Array, " size"]:
    """The x with A x = y for a symmetric A that need not be definite.

    By LU decomposition up to 3000 unknowns, beyond by GMRES (Saad and Schultz, SIAM J. Sci. Stat. Comput. 7, 856 (1986)), which
    needs products with A only. All of x is NaN unless |A x - y| <= sqrt(machine epsilon) |y|: see ``require_finite``.
    """
    solve = _dense if y.size <= DENSE_LIMIT else _iterative
    return jax.lax.custom_linear_solve(operator, y, lambda a, b: _or_nan(a, b, solve(a, b)), symmetric=True)


def require_finite(what: str, *arrays: Any) -> None:
    """FerrojaxError if a result is not finite: where an answer would be wrong, ``solve_symmetric`` gives NaN."""
    for array in arrays:
        bad = int(np.sum(~np.isfinite(np.asarray(array))))
        if bad:
            raise FerrojaxError(
                f"{what}: {bad} of {np.size(array)} numbers are not finite: the linear solve has not converged to a relative residual of "
                f"{_tolerance(np.asarray(array).dtype):.1g}, or the input held NaN; the state was not relaxed at the strain and "
                "field given, a mode is nearly without stiffness (see soft_mode), or float64 is not enabled."
            )


def _dense(operator: Operator, y: Array) -> Array:
    return jnp.linalg.solve(matrix_of(operator, y.size, y.dtype), y)


def _iterative(operator: Operator, y: Array) -> Array:
    size = jnp.linalg.norm(y)
    unit = y / jnp.where(size > 0, size, 1.0)  # gmres divides by the length of the right-hand side
    unit = jnp.where(size > 0, unit, jnp.zeros_like(y).at[0].set(1.0))
    x, _ = gmres(operator, unit, tol=0.1 * _tolerance(y.dtype), restart=KRYLOV, maxiter=RESTARTS)
    return x * size


def _or_nan(operator: Operator, y: Array, x: Array) -> Array:
    residual = jnp.linalg.norm(operator(x) - y)
    return jnp.where(residual <= _tolerance(y.dtype) * jnp.linalg.norm(y), x, jnp.nan)


def _tolerance(dtype: Any) -> float:
    return float(jnp.finfo(dtype).eps) ** 0.5 if jnp.issubdtype(dtype, jnp.floating) else 0.0
