"""D-optimal design: structures that together determine the readout weights best."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solve_triangular

from ferrojax.errors import FerrojaxError

Rows = Sequence[Float[np.ndarray, "_ features"]]


def d_optimal(
    rows: Rows, precision: Float[np.ndarray, "features features"], count: int
) -> tuple[Int[np.ndarray, " chosen"], Float[np.ndarray, " chosen"]]:
    """Greedy choice of ``count`` structures that maximise the information on the weights.

        max over S of  ln|A + Σ_{f∈S} Φ_fᵀΦ_f|,    gain of f:  ln|I + Φ_f A⁻¹ Φ_fᵀ|

    The gain only falls as others are chosen (the function is submodular), so one that was computed earlier is a bound and few are computed
    anew (Minoux, 1978); greedy reaches at least 1 - 1/e of the best gain (Nemhauser, Wolsey and Fisher, Math. Program. 14, 265 (1978)).

    Args:
        rows: Φ of each structure, as of ``LastLayer.rows``. precision: A, of what is labelled already, as ``LastLayer.precision``.

    Returns the places of the chosen structures in order, and the gain of each.
    Raises FerrojaxError for a precision that is not positive definite, and features that are not finite.
    """
    if not all(np.isfinite(phi).all() for phi in rows):
        raise FerrojaxError("d_optimal: features are not finite; leave structures that the model cannot evaluate out.")
    current = np.array(precision, np.float64)
    factor = _factor(current)
    bounds = [(-_gain(phi, factor), k) for k, phi in enumerate(rows)]
    heapq.heapify(bounds)
    chosen: list[int] = []
    gains: list[float] = []
    while bounds and len(chosen) < count:
        _, k = heapq.heappop(bounds)
        gain = _gain(rows[k], factor)
        if bounds and gain < -bounds[0][0]:
            heapq.heappush(bounds, (-gain, k))
            continue
        chosen.append(k)
        gains.append(gain)
        current += rows[k].T @ rows[k]
        factor = _factor(current)
    return np.array(chosen, int), np.array(gains)


def extrapolation_grades(rows: Rows, precision: Float[np.ndarray, "features features"]) -> Float[np.ndarray, " structures"]:
    """γ_f = max over the rows φ of a structure of √(φ A⁻¹ φᵀ): above 1, a label would tell more than all the labels so far.

    The counterpart, for a design of many rows, of the grade of Podryabinkin and Shapeev, Comput. Mater. Sci. 140, 171 (2017).
    """
    factor = _factor(np.asarray(precision, np.float64))
    return np.array([np.sqrt((_whitened(phi, factor) ** 2).sum(0).max()) for phi in rows])


def _factor(precision: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.cholesky(precision)
    except np.linalg.LinAlgError:
        raise FerrojaxError("d_optimal: the precision is not positive definite; give that of a fitted last layer.") from None


def _whitened(phi: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return solve_triangular(factor, np.asarray(phi, np.float64).T, lower=True)


def _gain(phi: np.ndarray, factor: np.ndarray) -> float:
    """ln|I + Φ A⁻¹ Φᵀ| by the smaller of the two products."""
    white = _whitened(phi, factor)
    product = white.T @ white if white.shape[1] < white.shape[0] else white @ white.T
    return float(np.linalg.slogdet(np.eye(len(product)) + product)[1])
