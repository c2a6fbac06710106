"""Means of correlated time series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ferrojax.errors import FerrojaxError

WINDOW = 5.0  # of the sum over autocorrelations, in correlation times
FEWEST = 10  # samples that a mean with an error needs


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error; ``correlation``: 2 τ, samples that count as one; ``samples``: how many there were."""

    value: float
    error: float
    correlation: float
    samples: int

    def __str__(self) -> str:
        return f"{self.value:.6g} ± {self.error:.2g}"


def correlation_time(series: Any) -> float:
    """Statistical inefficiency g = 1 + 2 Σ_t ρ(t): how many consecutive samples are worth one independent one; at least 1.

    The sum is cut at the first window of ``WINDOW`` g/2, Sokal's criterion. A constant series has 1.
    Sokal, Monte Carlo Methods in Statistical Mechanics (1997).

    Raises FerrojaxError for fewer than 10 samples or samples that are not finite.
    """
    x = _checked(series)
    x = x - x.mean()
    power = np.fft.rfft(x, 2 * len(x))
    covariance = np.fft.irfft(power * power.conj())[: len(x)]
    if covariance[0] <= 1e-14 * len(x) * np.abs(_checked(series)).max() ** 2:
        return 1.0
    partial = 1 + 2 * np.cumsum(covariance[1:] / covariance[0])
    enough = np.flatnonzero(np.arange(1, len(x)) >= WINDOW * partial / 2)
    return float(max(1.0, partial[enough[0]] if len(enough) else partial[-1]))


def mean(series: Any) -> Mean:
    """Mean of a stationary series, with the standard error σ √(g/n) of correlated samples; see correlation_time."""
    x = _checked(series)
    g = correlation_time(x)
    return Mean(float(x.mean()), float(x.std(ddof=1) * np.sqrt(g / len(x))), g, len(x))


def equilibrated(series: Any, candidates: int = 20) -> int:
    """Index from which a series is best used: the one that leaves the most independent samples.

    Chodera, J. Chem. Theory Comput. 12, 1799 (2016).
    """
    x = _checked(series)
    starts = np.unique(np.linspace(0, len(x) - FEWEST, candidates, dtype=int))
    worth = [(len(x) - k) / correlation_time(x[k:]) for k in starts]
    return int(starts[int(np.argmax(worth))])


def _checked(series: Any) -> Float[np.ndarray, " n"]:
    x = np.asarray(series, np.float64)
    if x.ndim != 1 or len(x) < FEWEST:
        raise FerrojaxError(f"series: {FEWEST} samples or more of one number are needed; got an array of shape {x.shape}.")
    if not np.isfinite(x).all():
        raise FerrojaxError(f"series: sample {int(np.argmin(np.isfinite(x)))} is not finite; cut the series before it.")
    return x
