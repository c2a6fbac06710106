"""Cores of vortices and skyrmions: where they are in a frame, and which is which in the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ferrojax.ferroelectrics.texture import Field, corner_means, nearest, vortices

REACH = 3.0  # cells a core may move between frames


class Cores(NamedTuple):
    """Cores of one frame.

    place: in cells, counted from the cell (0, 0, 0), a whole number along the axis across the layers. charge: winding of a vortex, Q of a
    skyrmion.
    """

    place: Float[np.ndarray, "cores 3"]
    charge: Int[np.ndarray, " cores"]


class CoreTracks(NamedTuple):
    """Cores of all frames, a row for each that a frame has, by frame and number.

    core: its number, the same in all frames and in no other core; it is born with its first row and dies after its last. place: as
    ``Cores``, continued through the boundary of the grid.
    """

    frame: Int[np.ndarray, " rows"]
    core: Int[np.ndarray, " rows"]
    place: Float[np.ndarray, "rows 3"]
    charge: Int[np.ndarray, " rows"]


def vortex_cores(vectors: Field, axis: int = 2, threshold: float = 0.0) -> Cores:
    """The middles of the plaquettes that ``vortices`` finds, with their winding +1 or -1."""
    found = vortices(vectors, axis, threshold)
    where = np.argwhere(found)
    return Cores(where + _middle(axis), found[tuple(where.T)])


def skyrmion_cores(vectors: Field, axis: int = 2, threshold: float = 0.0) -> Cores:
    """Middles of the regions of a layer that stand against its background and around which the in-plane vectors turn, with their charge.

        Q = ±Σ winding within the region, + for a core along the axis

    A region joins plaquettes whose component along the axis, the mean of the four corners, has one sign and a size above the threshold; the
    background is the largest one. The charges of a layer sum to ``topological_charge`` where the texture is smooth. Inside a bubble noise
    makes vortices and antivortices, which cancel.
    """
    x, y = (axis + 1) % 3, (axis + 2) % 3
    upright = corner_means(vectors[..., axis], x, y)
    signs = np.where(np.abs(upright) > threshold, np.sign(upright), 0).astype(int)
    region = _regions(signs, x, y)
    first = np.unique(region, return_index=True)[1]
    sign, layer = signs.ravel()[first], np.indices(signs.shape)[axis].ravel()[first]
    charge = sign * np.rint(np.bincount(region, vortices(vectors, axis).ravel())).astype(int)
    size = np.bincount(region) * np.abs(sign)
    background = np.array([sign[layer == k][size[layer == k].argmax()] for k in range(signs.shape[axis])])
    chosen = (charge != 0) & (sign == -background[layer])
    middles = np.stack([layer if k == axis else _middles(region, np.abs(upright), k) for k in range(3)], -1)
    return Cores(middles[chosen] + _middle(axis), charge[chosen])


def track_cores(frames: Sequence[Cores], shape: tuple[int, int, int], axis: int = 2, reach: float = REACH) -> CoreTracks:
    """Which core is which from frame to frame.

    Those of one layer and charge are matched so that the squared steps by minimum image add up to the least. shape: cells of the periodic
    grid. reach: cells, of a step; a core farther than that is another, and so is one that was missing in between. Kuhn, Nav. Res. Logist.
    Q. 2, 83 (1955).
    """
    size, born = np.array(shape), 0
    core, place, charge = np.zeros(0, int), np.zeros((0, 3)), np.zeros(0, int)
    rows = [(np.zeros(0, int), core, place, charge)]
    for k, found in enumerate(frames):
        here, number = found.place.copy(), np.full(len(found.place), -1)
        for old, new in _matches(Cores(place, charge), found, size, axis, reach):
            here[new] = place[old] + nearest(found.place[new] - place[old], size)
            number[new] = core[old]
        fresh = number < 0
        number[fresh] = born + np.arange(fresh.sum())
        born += int(fresh.sum())
        order = np.argsort(number)
        core, place, charge = number[order], here[order], found.charge[order]
        rows.append((np.full(len(core), k), core, place, charge))
    return CoreTracks(*(np.concatenate(column) for column in zip(*rows)))


def _matches(before: Cores, now: Cores, size: np.ndarray, axis: int, reach: float) -> list[tuple[int, int]]:
    """Pairs of numbers, of one layer and charge each."""
    groups = [np.stack([cores.place[:, axis], cores.charge], 1).astype(int) for cores in (before, now)]
    pairs: list[tuple[int, int]] = []
    for kind in np.unique(groups[1], axis=0):
        old, new = (np.flatnonzero((group == kind).all(1)) for group in groups)
        steps = nearest(now.place[new] - before.place[old][:, None], size)
        # A step beyond reach costs what a death and a birth do.
        cost = np.minimum((steps**2).sum(-1), reach**2)
        chosen = np.stack(linear_sum_assignment(cost), 1)
        pairs += [(int(old[i]), int(new[j])) for i, j in chosen if cost[i, j] < reach**2]
    return pairs


def _middle(axis: int) -> np.ndarray:
    """From the corner of a plaquette to its middle, cells."""
    return np.where(np.arange(3) == axis, 0.0, 0.5)


def _regions(signs: np.ndarray, x: int, y: int) -> np.ndarray:
    """Numbers from 0 of the regions of one sign, joined along x and y through the boundaries, of the flattened grid."""
    index = np.arange(signs.size).reshape(signs.shape)
    joined = [(index[same], np.roll(index, -1, k)[same]) for k in (x, y) for same in [signs == np.roll(signs, -1, k)]]
    ends = np.concatenate([np.stack(pair) for pair in joined], 1)
    graph = coo_array((np.ones(ends.shape[1], bool), tuple(ends)), (signs.size, signs.size))
    return connected_components(graph, directed=False)[1]


def _middles(region: np.ndarray, weight: np.ndarray, k: int) -> np.ndarray:
    """Weighted mean of the k-th index over each region, on the circle that a periodic axis is."""
    size = weight.shape[k]
    angle = 2 * np.pi * np.indices(weight.shape)[k] / size
    sine, cosine = (np.bincount(region, (weight * wave(angle)).ravel()) for wave in (np.sin, np.cos))
    return np.arctan2(sine, cosine) * size / (2 * np.pi) % size
