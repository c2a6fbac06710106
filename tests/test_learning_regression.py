"""Bayesian regression: evidence against the multivariate normal density and a grid; calibration on noise that is known."""

import numpy as np
import pytest
from ase import Atoms
from scipy.stats import chi2, multivariate_normal, spearmanr

from ferrojax.data import Frame
from ferrojax.errors import FerrojaxError
from ferrojax.learning.calibration import calibrate, calibrate_forces, cross_coverage
from ferrojax.learning.deviation import Deviation
from ferrojax.learning.regression import Sums, best_posterior, posterior


def problem(rows=40, features=5, alpha=2.0, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(rows, features)) * np.array([3.0, 1.0, 1.0, 0.3, 0.05])[:features]
    weights = rng.normal(size=features) / np.sqrt(alpha)
    return phi, weights, phi @ weights + noise * rng.normal(size=rows), rng


def test_posterior_and_evidence_are_the_dense_ones():
    phi, _, y, _ = problem()
    alpha, beta = 1.7, 8.0
    found = posterior(Sums.of(phi[:15], y[:15]).plus(Sums.of(phi[15:], y[15:])), alpha, beta)
    covariance = np.linalg.inv(alpha * np.eye(5) + beta * phi.T @ phi)
    np.testing.assert_allclose(found.root @ found.root.T, covariance, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.mean, beta * covariance @ phi.T @ y, rtol=1e-9)
    marginal = multivariate_normal(np.zeros(len(y)), np.eye(len(y)) / beta + phi @ phi.T / alpha)
    assert found.log_evidence == pytest.approx(marginal.logpdf(y), rel=1e-10)


def test_best_precisions_are_those_of_a_grid():
    phi, _, y, _ = problem()
    best = best_posterior(Sums.of(phi, y))

    def log_density(log_alpha, log_beta):
        covariance = np.eye(len(y)) / np.exp(log_beta) + phi @ phi.T / np.exp(log_alpha)
        return multivariate_normal(np.zeros(len(y)), covariance).logpdf(y)

    axes = [np.log(value) + np.linspace(-2, 2, 15) for value in (best.alpha, best.beta)]
    grid = np.array([[log_density(a, b) for b in axes[1]] for a in axes[0]])
    top = np.unravel_index(grid.argmax(), grid.shape)
    assert top == (7, 7)  # the middle of the grid
    assert best.log_evidence >= grid.max() - 1e-9
    assert 0 < best.determined < 5


def test_coverage_of_predictions_with_known_noise():
    """Both with the noise as predicted and with scale: within three binomial errors."""
    phi, weights, y, rng = problem(rows=60, noise=0.5, seed=3)
    found = best_posterior(Sums.of(phi, y))
    fresh = rng.normal(size=(4000, 5)) * np.array([3.0, 1.0, 1.0, 0.3, 0.05])
    # Errors drawn as the posterior says: the weights too.
    drawn = found.mean + rng.normal(size=(4000, 5)) @ found.root.T
    errors = np.sum(fresh * drawn, 1) + rng.normal(size=4000) / np.sqrt(found.beta) - fresh @ found.mean
    sigma = np.sqrt(np.sum((fresh @ found.root) ** 2, 1) + 1 / found.beta)
    told = calibrate(sigma, errors[:, None], scale=1.0)
    for share, level in zip(told.coverage, (0.68, 0.95)):
        assert abs(share - level) < 3 * np.sqrt(level * (1 - level) / 4000)
    assert calibrate(sigma, errors[:, None]).scale == pytest.approx(1.0, abs=0.05)
    # The noise found is that put in, to its statistical error.
    assert 1 / np.sqrt(found.beta) == pytest.approx(0.5, rel=3 / np.sqrt(2 * 55))


def test_calibration_of_vectors_scale_and_rank():
    rng = np.random.default_rng(4)
    sigma = rng.uniform(0.1, 2.0, 3000)
    errors = 2.5 * sigma[:, None] * rng.normal(size=(3000, 3)) / np.sqrt(3)
    found = calibrate(sigma, errors)
    assert found.scale == pytest.approx(2.5, rel=0.05)
    for share, level in zip(found.coverage, (0.68, 0.95)):
        assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / 3000)
    assert found.spearman == pytest.approx(spearmanr(sigma, np.linalg.norm(errors, axis=1)).statistic) and found.spearman > 0.6
    unscaled = calibrate(sigma, errors, scale=1.0)
    assert unscaled.coverage[0] == pytest.approx(chi2.cdf(chi2.ppf(0.68, 3) / 2.5**2, 3), abs=0.03)
    assert "Spearman" in str(found)


def test_what_a_regression_and_a_calibration_refuse():
    phi, weights, _, _ = problem()
    with pytest.raises(FerrojaxError, match="fit every value exactly"):
        best_posterior(Sums.of(phi, phi @ weights))
    with pytest.raises(FerrojaxError, match="cannot tell noise"):
        best_posterior(Sums.of(phi, np.zeros(len(phi))))
    with pytest.raises(FerrojaxError, match="at least three"):
        calibrate(np.ones(2), np.ones((2, 1)))
    with pytest.raises(FerrojaxError, match="not above zero"):
        calibrate(np.array([1.0, 0.0, 1.0]), np.ones((3, 1)))
    with pytest.raises(FerrojaxError, match="more than half"):
        calibrate(np.ones(4), np.zeros((4, 1)))


def test_coverage_of_one_half_by_the_scale_of_the_other():
    """Errors three times the uncertainty everywhere; then only in the odd frames, so that each half's scale is wrong for the other."""
    rng = np.random.default_rng(3)
    cell = Atoms("Pb8", positions=rng.uniform(0, 9, (8, 3)), cell=[9.0] * 3, pbc=True)

    def problem(factors):
        told = [Deviation(np.array(0.0), rng.uniform(0.01, 0.1, (8, 1)) * np.ones(3), np.zeros((3, 3))) for _ in factors]
        forces = [factor * one.forces * rng.normal(size=(8, 3)) for factor, one in zip(factors, told)]
        return told, [Frame(cell, forces=force) for force in forces], [np.zeros((8, 3)) for _ in factors]

    assert cross_coverage(*problem([3.0] * 400)) == pytest.approx((0.68, 0.95), abs=0.02)
    told = problem([1.0, 3.0] * 200)
    expected = [(chi2.cdf(9 * chi2.ppf(level, 3), 3) + chi2.cdf(chi2.ppf(level, 3) / 9, 3)) / 2 for level in (0.68, 0.95)]
    assert cross_coverage(*told) == pytest.approx(expected, abs=0.02)
    assert calibrate_forces(*told)["atom"].coverage[0] > cross_coverage(*told)[0]
    with pytest.raises(FerrojaxError, match="give at least three finite"):
        cross_coverage(*problem([3.0]))
