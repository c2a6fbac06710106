"""Pairs of similar frames: finite differences that come free with the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ferrojax.data.frame import Frame

MAX_FRAMES = 60  # of one group; more add cost, not evidence
PAIRS_PER_FRAME = 2
STRAIN_LENGTH = 2.0  # Å; weighs a strain against a displacement in the distance of two frames


class Pairs(NamedTuple):
    """The closest pairs (i, j) among frames of the same atoms in the same order.

    shift: s_j - s_i, fractional, minimum image, without the mean. displacement: the same in Å.
    strain: symmetric, from cell i to cell j. distance: RMS displacement and strain together, Å.
    """

    frames: list[Frame]
    i: Int[np.ndarray, " pairs"]
    j: Int[np.ndarray, " pairs"]
    shift: Float[np.ndarray, "pairs atoms 3"]
    displacement: Float[np.ndarray, "pairs atoms 3"]
    strain: Float[np.ndarray, "pairs 3 3"]
    distance: Float[np.ndarray, " pairs"]


def groups(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames by data set, system, file and order of the atoms: what one calculation set-up produced."""
    table: dict[tuple[str, str, str, bytes], list[Frame]] = {}
    for frame in frames:
        file = frame.source.split(", frame")[0]
        table.setdefault((frame.dataset, frame.system, file, frame.atoms.numbers.tobytes()), []).append(frame)
    return list(table.values())


def sample(frames: Sequence[Frame], count: int) -> list[Frame]:
    """At most count frames, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int))
    return [frames[k] for k in chosen]


def _with_successors(frames: Sequence[Frame]) -> list[Frame]:
    """At most MAX_FRAMES frames, evenly spaced, each with the next one: in a trajectory these are the closest."""
    if len(frames) <= MAX_FRAMES:
        return list(frames)
    starts = np.linspace(0, len(frames) - 2, MAX_FRAMES // 2).astype(int)
    return [frames[k] for k in np.unique(np.concatenate([starts, starts + 1]))]


def near_pairs(frames: Sequence[Frame]) -> Pairs | None:
    """The closest pairs of a group, two a frame; None for fewer than two frames."""
    if len(frames) < 2:
        return None
    chosen = _with_successors(frames)
    cells = np.array([frame.atoms.cell.array for frame in chosen])
    scaled = np.array([frame.atoms.positions for frame in chosen]) @ np.linalg.inv(cells)
    i, j = np.triu_indices(len(chosen), 1)
    shift = scaled[j] - scaled[i]
    shift -= np.round(shift)
    shift -= shift.mean(axis=1, keepdims=True)
    middle = 0.5 * (cells[i] + cells[j])
    gradient = np.linalg.inv(middle) @ (cells[j] - cells[i])
    strain = 0.5 * (gradient + gradient.transpose(0, 2, 1))
    displacement = shift @ middle
    squared = (displacement**2).sum(axis=2).mean(axis=1) + STRAIN_LENGTH**2 * (strain**2).sum(axis=(1, 2))
    # Identical frames carry no difference to test.
    order = [k for k in np.argsort(squared) if squared[k] > 1e-8][: PAIRS_PER_FRAME * len(chosen)]
    return Pairs(chosen, i[order], j[order], shift[order], displacement[order], strain[order], np.sqrt(squared[order]))


def cells_of(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the frames i and j of each pair."""
    cells = np.array([frame.atoms.cell.array for frame in pairs.frames])
    return cells[pairs.i], cells[pairs.j]
