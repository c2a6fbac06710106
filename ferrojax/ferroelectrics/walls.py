"""Domain walls: where they are, how wide, what they cost, how fast they move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ferrojax.analysis.series import FEWEST, correlation_time
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.fitting import Estimate, least_squares
from ferrojax.units import MILLIJOULE

NARROWEST = 2.0  # planes that a domain needs between its walls
SAME_PLANE = 1e-5  # of the cell, within which cells lie on one plane
METRE_PER_SECOND = 1e5  # in one Å/fs


class NoWalls(FerrojaxError):
    """A profile whose polarization keeps its sign."""


@dataclass(frozen=True)
class Walls:
    """Walls of a periodic profile, in the order along it.

    positions x_k, widths 2 ξ_k: in the unit of the profile's length. signs: +1 where P rises with x. amplitude: P0. offset: the middle
    between the domains.
    """

    positions: tuple[Estimate, ...]
    widths: tuple[Estimate, ...]
    signs: tuple[int, ...]
    amplitude: Estimate
    offset: Estimate

    @property
    def places(self) -> np.ndarray:
        """The positions alone."""
        return np.array([x.value for x in self.positions])


def profile(grid: Float[np.ndarray, "x y z 3"], axis: int, component: int) -> Float[np.ndarray, " planes"]:
    """Means of a component of a map over the planes across an axis of the grid."""
    return grid[..., component].mean(tuple({0, 1, 2} - {axis}))


class PlaneProfile(NamedTuple):
    """Means over parallel planes of cells.

    values: plane by plane, for ``fit_walls``. length: Å, after which they repeat along the normal. origin: Å, what to add to the
    positions of ``fit_walls`` to count from the origin of the cell.
    """

    values: Float[np.ndarray, " planes"]
    length: float
    origin: float


def plane_profile(
    places: Float[np.ndarray, "cells 3"],
    values: Float[np.ndarray, " cells"],
    cell: Float[np.ndarray, "3 3"],
    normal: tuple[int, int, int] = (1, 0, 0),
) -> PlaneProfile:
    """Means of a number over the planes across any direction, of cells that need not be a grid: walls of 90, 71 and 109 degrees.

    places: where the cells stand in the mean lattice, Å. values: such as a component of the polarization. normal: h, k, l of
    the reciprocal vectors of the cell; (1, 0, 0) takes the planes that hold its second and third vector.

    Raises FerrojaxError for a normal with a common divisor and cells that are not on evenly spaced planes.
    """
    if np.gcd.reduce(normal) != 1:
        raise FerrojaxError(f"plane_profile: the normal {tuple(normal)} must be whole numbers without a common divisor, such as (1, 0, 0).")
    reciprocal = np.linalg.inv(cell) @ np.array(normal, float)
    share = places @ reciprocal
    first = share[0] % 1.0
    away = (share - first) % 1.0
    planes = len(np.unique(np.rint(away / SAME_PLANE).astype(int) % round(1 / SAME_PLANE)))
    index = np.rint(away * planes)
    if np.abs(away * planes - index).max() > planes * SAME_PLANE:
        raise FerrojaxError(f"plane_profile: the cells do not lie on evenly spaced planes across {tuple(normal)}; give their ideal places.")
    index = index.astype(int) % planes
    length = float(1 / np.linalg.norm(reciprocal))
    means = np.bincount(index, values, planes) / np.bincount(index, minlength=planes)
    origin = (first - 0.5 / planes + 0.5) % 1.0 - 0.5
    return PlaneProfile(means, length, float(origin) * length)


def fit_walls(profile: Float[np.ndarray, " planes"], length: float) -> Walls:
    """Positions, widths and domains of all walls in a periodic profile, planes at (k + ½) length/planes.

        P(x) = c ± P0 [Σ_k s_k Σ_n tanh((x - x_k - n L)/ξ_k) - s_1],   s_k = ±1 in turn

    width = 2 ξ. A lattice pins the position of a narrow wall and resolves no width below about one plane. Meyer and Vanderbilt,
    Phys. Rev. B 65, 104111 (2002).

    Raises NoWalls if P does not change its sign about the middle, FerrojaxError for too few planes for so many walls.
    """
    values = np.asarray(profile, float)
    planes = len(values)
    x = (np.arange(planes) + 0.5) * length / planes
    middle = (values.max() + values.min()) / 2
    places, signs = _crossings(values - middle, length)
    if not len(places):
        raise NoWalls("fit_walls: the profile has no walls; P keeps its sign along it.")
    count, start = len(places), np.concatenate([places, np.full(len(places), 1.5 * length / planes)])
    start = np.append(start, [(values.max() - values.min()) / 2, middle])

    def law(x: np.ndarray, *p: float) -> np.ndarray:
        return p[-1] + p[-2] * kinks(x, np.array(p[:count]), np.array(p[count:-2]), signs, length)

    low, high = np.full(len(start), -np.inf), np.full(len(start), np.inf)
    low[count:-2], high[count:-2], low[-2] = 1e-3 * length / planes, length, 0.0
    found = least_squares("fit_walls", law, x, values, start, bounds=(low, high))
    widths = tuple(Estimate(2 * e.value, 2 * e.error, 2 * e.low, 2 * e.high) for e in found[count:-2])
    return Walls(tuple(found[:count]), widths, tuple(int(s) for s in signs), found[-2], found[-1])


def kinks(
    x: Float[np.ndarray, " n"], places: Float[np.ndarray, " walls"], xi: Float[np.ndarray, " walls"], signs: np.ndarray, length: float
) -> Float[np.ndarray, " n"]:
    """The bracket of ``fit_walls``: ±1 in the domains, alternating at the walls, with the period ``length``."""
    images = np.arange(-2, 3) * length
    steps = np.tanh((x[:, None, None] - places[:, None] - images) / xi[:, None]).sum(-1)
    return steps @ signs - signs[0]


def _crossings(values: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Places and signs of the sign changes of a periodic profile; noise that crosses back within two planes makes no wall."""
    plane = length / len(values)
    following = np.roll(values, -1)
    k = np.flatnonzero((values >= 0) != (following >= 0))
    places = (k + 0.5 + values[k] / (values[k] - following[k])) * plane % length
    order = np.argsort(places)
    places, signs = places[order], np.where(following[k] >= 0, 1, -1)[order]
    while len(places) > 2:
        gaps = np.diff(places, append=places[0] + length)
        closest = int(gaps.argmin())
        if gaps[closest] > NARROWEST * plane:
            break
        gone = [closest, (closest + 1) % len(places)]
        places, signs = np.delete(places, gone), np.delete(signs, gone)
    return places, signs


def wall_energy(with_walls: float, without: float, area: float, walls: int = 2) -> float:
    """γ = (E_walls - E_domain)/(n A), mJ/m²; energies of equal numbers of atoms in eV, the area of one wall in Å².

    A periodic cell holds an even number of walls. Raises FerrojaxError for an area or number not above zero.
    """
    if not (area > 0 and walls > 0):
        raise FerrojaxError(f"wall_energy: area {area} Å² and {walls} walls; both must be above zero.")
    return (with_walls - without) / (walls * area) * MILLIJOULE


def track(fits: list[Walls], lengths: Float[np.ndarray, " frames"]) -> Float[np.ndarray, "frames walls"]:
    """Positions of the same walls in all frames, continued through the boundary of the cell, by the shortest step from frame to frame.

    Walls keep their order, so frames are matched by turning it. Steps must be shorter than half the distance of two walls.

    Raises FerrojaxError, with the frame, if walls meet or new ones form.
    """
    rows = [fits[0].places]
    for k, (fit, length) in enumerate(zip(fits[1:], lengths[1:]), start=1):
        if len(fit.signs) != len(rows[0]):
            raise FerrojaxError(
                f"track: frame {k} has {len(fit.signs)} walls, the first {len(rows[0])}; walls met or formed, so cut the series before it."
            )
        shift = 0 if fit.signs == fits[0].signs else 1
        steps = []
        for turn in range(shift, len(fit.signs), 2):
            step = np.roll(fit.places, -turn) - rows[-1] * (length / lengths[k - 1])
            steps.append(step - length * np.rint(step / length))
        best = min(steps, key=lambda step: float(step @ step))
        rows.append(rows[-1] * (length / lengths[k - 1]) + best)
    return np.array(rows)


def velocity(time: Float[np.ndarray, " frames"], position: Float[np.ndarray, " frames"]) -> Estimate:
    """Slope of a wall's position (Å) in time (fs), m/s; the error counts the correlation of the residuals.

    Raises FerrojaxError for fewer than ten frames.
    """
    if len(time) < FEWEST:
        raise FerrojaxError(f"velocity: {len(time)} frames; give at least {FEWEST}.")
    clock, x = np.asarray(time, float), np.asarray(position, float)
    clock = clock - clock.mean()
    slope, middle = least_squares("velocity", lambda s, a, b: a * s + b, clock, x, np.array([np.polyfit(clock, x, 1)[0], x.mean()]))
    residual = x - slope.value * clock - middle.value
    wider = np.sqrt(correlation_time(residual)) if residual.std() > 1e-12 * max(1.0, float(np.ptp(x))) else 1.0
    value, error, reach = slope.value, slope.error * wider, (slope.high - slope.value) * wider
    return Estimate(*(METRE_PER_SECOND * y for y in (value, error, value - reach, value + reach)))
