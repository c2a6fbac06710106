"""Bayesian linear regression with the precisions of prior and noise chosen by their evidence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ferrojax.errors import FerrojaxError

ITERATIONS = 10_000
TOLERANCE = 1e-10  # relative change of both precisions


class Sums(NamedTuple):
    """What a regression y ≈ Φw needs to know of its data; add those of more data component by component.

    gram: ΦᵀΦ. moment: Φᵀy. square: yᵀy. size: rows.
    """

    gram: Float[np.ndarray, "features features"]
    moment: Float[np.ndarray, " features"]
    square: float
    size: int

    @classmethod
    def of(cls, rows: Float[np.ndarray, "rows features"], values: Float[np.ndarray, " rows"]) -> Sums:
        """Of rows and values at hand, in float64."""
        rows, values = np.asarray(rows, np.float64), np.asarray(values, np.float64)
        return cls(rows.T @ rows, rows.T @ values, float(values @ values), len(values))

    def plus(self, other: Sums) -> Sums:
        """Of both sets of data."""
        return Sums(self.gram + other.gram, self.moment + other.moment, self.square + other.square, self.size + other.size)


class Posterior(NamedTuple):
    """N(mean, root rootᵀ) of the weights, precisions of prior and noise, log evidence, and the number of weights the data determine."""

    mean: Float[np.ndarray, " features"]
    root: Float[np.ndarray, "features features"]
    alpha: float
    beta: float
    log_evidence: float
    determined: float

    @property
    def precision(self) -> Float[np.ndarray, "features features"]:
        """Inverse of the covariance."""
        inverse = np.linalg.inv(self.root)
        return inverse.T @ inverse


def posterior(sums: Sums, alpha: float, beta: float) -> Posterior:
    """The posterior for given precisions.

        Σ = (αI + βΦᵀΦ)⁻¹,   w̄ = βΣΦᵀy
        ln p(y|α, β) = ½[M ln α + N ln β + ln|Σ| - β|y - Φw̄|² - α|w̄|² - N ln 2π]

    Equations 10-12 of Ma et al. (npj Comput. Mater. 11, 2025; σ_w² = 1/α, σ_v² = 1/β) and MacKay, Neural Comput. 4, 415 (1992).
    """
    values, vectors, projected = _spectrum(sums)
    precision = alpha + beta * values
    weights = beta * projected / precision
    misfit = _misfit(sums, values, projected, weights)
    log = len(values) * np.log(alpha) + sums.size * np.log(beta) - np.log(precision).sum()
    log -= beta * misfit + alpha * weights @ weights + sums.size * np.log(2 * np.pi)
    determined = float((beta * values / precision).sum())
    return Posterior(vectors @ weights, vectors / np.sqrt(precision), alpha, beta, float(log / 2), determined)


def best_posterior(sums: Sums) -> Posterior:
    """The posterior with the precisions of largest evidence, by MacKay's iteration.

        γ = Σ_k βλ_k/(α + βλ_k),   α ← γ/|w̄|²,   β ← (N - γ)/|y - Φw̄|²

    with λ the eigenvalues of ΦᵀΦ. Neural Comput. 4, 415 (1992).

    Raises FerrojaxError for fewer rows than needed, values without noise or signal, and if it does not converge.
    """
    if sums.size < 2 or not sums.square > 0 or not np.isfinite(sums.gram).all():
        raise FerrojaxError(f"regression: {sums.size} values that are finite and not all zero cannot tell noise; give more labels.")
    values, _, projected = _spectrum(sums)
    alpha, beta = values.mean() / sums.square * sums.size, sums.size / sums.square
    for _ in range(ITERATIONS):
        weights = beta * projected / (alpha + beta * values)
        determined = float((beta * values / (alpha + beta * values)).sum())
        misfit = _misfit(sums, values, projected, weights)
        if not misfit > 1e-14 * sums.square or not sums.size > determined:
            raise FerrojaxError("regression: the features fit every value exactly, so the noise is unknown; give more labels.")
        new = determined / max(weights @ weights, 1e-300), (sums.size - determined) / misfit
        done = abs(new[0] / alpha - 1) < TOLERANCE and abs(new[1] / beta - 1) < TOLERANCE
        alpha, beta = float(new[0]), float(new[1])
        if done:
            return posterior(sums, alpha, beta)
    raise FerrojaxError(
        f"regression: the evidence has no maximum after {ITERATIONS} iterations (alpha {alpha:.3g}); "
        "the features say nothing of the values: check the labels."
    )


def _spectrum(sums: Sums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues of the Gram matrix, not negative, its eigenvectors, and the moment in these."""
    values, vectors = np.linalg.eigh(sums.gram)
    return np.maximum(values, 0.0), vectors, vectors.T @ sums.moment


def _misfit(sums: Sums, values: np.ndarray, projected: np.ndarray, weights: np.ndarray) -> float:
    """|y - Φw|² from the sums."""
    return float(sums.square - 2 * weights @ projected + weights @ (values * weights))
