"""Least squares with confidence intervals, for the laws of this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.stats import t as student

from ferrojax.errors import FerrojaxError

CONFIDENCE = 0.95
TIGHT = {"ftol": 1e-13, "xtol": 1e-13, "gtol": 1e-13}


@dataclass(frozen=True)
class Estimate:
    """A fitted number, its standard error and its 95 % interval; the error is infinite where the data do not determine it."""

    value: float
    error: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.6g} ± {self.error:.2g}"


def least_squares(
    name: str,
    law: Callable[..., Any],
    x: Any,
    y: Float[np.ndarray, " n"],
    start: Float[np.ndarray, " parameters"],
    error: Float[np.ndarray, " n"] | None = None,
    bounds: tuple[Any, Any] = (-np.inf, np.inf),
) -> list[Estimate]:
    """Parameters p of y = law(x, *p), with intervals of Student's t for n - p degrees of freedom.

    ``error``: standard errors of y; without them the scatter about the fit gives it. Press et al., Numerical Recipes, section 15.6.

    Raises FerrojaxError, named by ``name``, for no more points than parameters, values that are not finite, and fits that do not converge.
    """
    start, y = np.asarray(start, float), np.asarray(y, float)
    spare = len(y) - len(start)
    if spare < 1:
        raise FerrojaxError(f"{name}: {len(y)} points cannot give {len(start)} parameters and their errors; add points.")
    if not (np.isfinite(y).all() and np.isfinite(start).all()):
        raise FerrojaxError(f"{name}: the points are not all finite; leave out those that are not.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # the errors come out infinite then
        try:
            found, covariance = curve_fit(law, x, y, start, error, absolute_sigma=error is not None, bounds=bounds, **TIGHT)
        except RuntimeError:
            raise FerrojaxError(f"{name}: the fit does not converge; do the points follow this law?") from None
    errors = np.sqrt(np.diag(covariance))
    reach = errors * student.ppf(0.5 + CONFIDENCE / 2, spare)
    return [Estimate(float(p), float(e), float(p - r), float(p + r)) for p, e, r in zip(found, errors, reach)]
