"""Which phase a perovskite is in, by the direction of its polarization or mean mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ferrojax.errors import FerrojaxError

PHASES = ("cubic", "tetragonal", "orthorhombic", "rhombohedral")  # by the number of components that are not zero


def order_parameter(vectors: Float[np.ndarray, "n 3"], window: int = 1) -> Float[np.ndarray, " 3"]:
    """Mean absolute components of vectors in a series, the smallest first in each sample.

    ``window``: samples that are averaged before the absolute value is taken, to lessen the noise of what is zero.
    """
    x = np.asarray(vectors, np.float64)
    if x.ndim != 2 or x.shape[1] != 3 or len(x) < window:
        raise FerrojaxError(f"order_parameter: vectors must be ({window} or more, 3); got {x.shape}.")
    blocks = x[: len(x) // window * window].reshape(-1, window, 3).mean(1)
    return np.sort(np.abs(blocks), axis=1).mean(0)


def recognise(components: Any, threshold: float) -> str:
    """The phase of an order parameter: how many of its components exceed the threshold.

    Raises FerrojaxError for a threshold that is not above zero.
    """
    if not threshold > 0:
        raise FerrojaxError(f"recognise: the threshold must be above zero; got {threshold}.")
    return PHASES[int(np.sum(np.abs(np.asarray(components, float)) > threshold))]


def transitions(temperatures: Sequence[float], phases: Sequence[str]) -> list[tuple[str, str, float]]:
    """(phase before, phase after, temperature) in the order of the scan; the temperature lies half way between the two samples."""
    if len(temperatures) != len(phases):
        raise FerrojaxError(f"transitions: {len(temperatures)} temperatures but {len(phases)} phases.")
    pairs = zip(zip(temperatures, phases), zip(temperatures[1:], phases[1:]))
    return [(before, after, 0.5 * (s + t)) for (s, before), (t, after) in pairs if before != after]
