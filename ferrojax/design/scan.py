"""A grid of designs, each relaxed and evaluated: the plain search that an optimum by gradients is held against."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ferrojax.design.problem import Problem
from ferrojax.errors import FerrojaxError
from ferrojax.paths.space import Point


def scan(
    problem: Problem, grid: Mapping[str, Sequence[float] | Float[np.ndarray, " n"]], z: Float[np.ndarray, " variables"] | None = None
) -> Float[np.ndarray, "..."]:
    """Objective and constraints over a grid of some variables, the others as in ``z`` (by default at their start).

    Shape: the grid's, then 1 + constraints. NaN where a structure is lost. Each point follows from the nearest one done before.
    Raises FerrojaxError for variables that the problem has not, and if a structure is lost at ``z`` already.
    """
    unknown = set(grid) - set(problem.names)
    if unknown or not grid:
        raise FerrojaxError(f"design: a scan is over some of {', '.join(problem.names)}; got {', '.join(sorted(unknown)) or 'none'}.")
    origin = problem.start if z is None else np.asarray(z, float)
    places = [problem.names.index(name) for name in grid]
    lower, upper = problem.bounds
    done: list[tuple[np.ndarray, Mapping[str, Point]]] = [(origin, problem.follow(origin, (problem.start, problem.first())))]
    axes = [np.asarray(values, float) for values in grid.values()]
    result = np.full((*map(len, axes), 1 + len(problem.constraints)), np.nan)
    wanted = {index: np.array([axis[i] for axis, i in zip(axes, index)]) for index in itertools.product(*(range(len(a)) for a in axes))}

    def apart(index: tuple[int, ...], other: np.ndarray) -> float:
        return float(np.linalg.norm((wanted[index] - other[places]) / (upper - lower)[places]))

    # From the inside out: a point's neighbours towards the origin come before it.
    for index in sorted(wanted, key=lambda index: apart(index, origin)):
        here = origin.copy()
        here[places] = wanted[index]
        previous = min(done, key=lambda pair: apart(index, pair[0]))
        try:
            points = problem.follow(here, previous, halvings=2)
        except FerrojaxError:
            continue
        done.append((here, points))
        result[index] = problem.value(here, points)
    return result
