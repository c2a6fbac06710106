"""3 x 3 matrix functions against LAPACK and SciPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from ferrojax import matrix


@pytest.fixture(params=range(4))
def small(request):
    return 0.05 * np.random.default_rng(request.param).normal(size=(3, 3))


def test_inverse_and_roots(small):
    near_one = jnp.asarray(np.eye(3) + small)
    np.testing.assert_allclose(matrix.inverse(near_one), np.linalg.inv(near_one), atol=1e-14)
    root = matrix.square_root(near_one)
    np.testing.assert_allclose(root @ root, near_one, atol=1e-14)


def test_exponentials(small):
    np.testing.assert_allclose(matrix.exponential(jnp.asarray(small)), scipy.linalg.expm(small), atol=1e-14)
    block = scipy.linalg.expm(np.block([[small, np.eye(3)], [np.zeros((3, 6))]]))  # its corner is ∫ exp(sA) ds
    np.testing.assert_allclose(matrix.mean_exponential(jnp.asarray(small)), block[:3, 3:], atol=1e-14)


def test_smallest_stretch(small):
    for deformation in (np.eye(3) + small, np.eye(3), np.diag([1.1, 0.8, 0.8]), np.diag([0.9, 0.9, 1.3])):
        expected = np.linalg.svd(deformation)[1].min()
        assert float(matrix.smallest_stretch(jnp.asarray(deformation))) == pytest.approx(expected, abs=1e-8)


def test_derivatives_are_finite_at_degeneracy():
    slope = jax.grad(lambda x: matrix.exponential(x * jnp.eye(3)).sum() + matrix.square_root((1 + x) * jnp.eye(3)).sum())(0.0)
    assert float(slope) == pytest.approx(3 + 1.5)
