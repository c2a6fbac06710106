"""Symmetric solves: against NumPy, differentiated, and NaN where they have not converged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax.equilibrium import linear
from ferrojax.errors import FerrojaxError


def indefinite(size, seed=0, condition=1e3):
    """A symmetric matrix with one negative eigenvalue in six."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    values = np.geomspace(1, condition, size) * np.where(np.arange(size) % 6 == 0, -1, 1)
    return jnp.asarray(basis * values @ basis.T), jnp.asarray(rng.normal(size=size))


@pytest.fixture(params=["dense", pytest.param("iterative", marks=pytest.mark.slow)])
def limit(request, monkeypatch):
    """Both solvers, whatever the size."""
    monkeypatch.setattr(linear, "DENSE_LIMIT", 3000 if request.param == "dense" else 0)


def solution(matrix, y):
    return linear.solve_symmetric(lambda v: matrix @ v, y)


def test_solves_an_indefinite_system_and_its_derivatives(limit):
    """x = A⁻¹ y and, in both modes and to second order, its change with A = A₀ + t B."""
    matrix, y = indefinite(130)  # more than two blocks of columns
    change = indefinite(130, seed=1, condition=1.0)[0]

    def of(t):
        return jnp.sum(jnp.sin(solution(matrix + t * change, y)))

    x = np.linalg.solve(matrix, y)
    np.testing.assert_allclose(solution(matrix, y), x, atol=1e-7 * np.abs(x).max())
    first = -np.linalg.solve(matrix, change @ x)
    second = -2 * np.linalg.solve(matrix, change @ first)
    slope, curvature = np.cos(x) @ first, np.cos(x) @ second - np.sin(x) @ first**2
    for derivative in (jax.grad, jax.jacfwd):
        assert float(derivative(of)(0.0)) == pytest.approx(slope, rel=1e-6)
    for outer, inner in ((jax.jacfwd, jax.grad), (jax.grad, jax.grad)):
        assert float(outer(inner(of))(0.0)) == pytest.approx(curvature, rel=1e-6)


def test_zero_has_the_solution_zero(limit):
    matrix, y = indefinite(20)
    np.testing.assert_array_equal(solution(matrix, 0 * y), 0)


def test_what_has_not_converged_is_nan_and_refused(limit):
    """A singular matrix, and one so bad that GMRES does not finish."""
    matrix, y = indefinite(40)
    singular = matrix - matrix @ jnp.outer(y, y) @ matrix / (y @ matrix @ y)  # A' y = 0, and y is not in its range
    x = solution(singular, y)
    assert np.isnan(x).all()
    with pytest.raises(FerrojaxError, match="40 of 40 numbers are not finite: the linear solve has not converged"):
        linear.require_finite("tensors", jnp.ones(3), x)


def test_matrix_of_an_operator_in_blocks():
    matrix, _ = indefinite(130)
    np.testing.assert_allclose(linear.matrix_of(lambda v: matrix @ v, 130, matrix.dtype), matrix, atol=1e-12)
