"""Split frames into a training and a validation part, reproducibly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ferrojax.data.frame import Frame
from ferrojax.errors import FerrojaxError


def split_frames(
    frames: Sequence[Frame], fraction: float = 0.1, seed: int = 0, by: Literal["frame", "system"] | Sequence[int] = "frame"
) -> tuple[list[Frame], list[Frame]]:
    """(training, validation) frames, disjoint, each in the order given; the same for the same seed.

    fraction: share of the frames that goes to validation.
    by: "frame" takes that share of every system at random; "system" takes whole systems (the harder test: frames of one
        system are similar); a list of integers names the validation frames themselves.
    Raises FerrojaxError if either part would be empty or an index does not exist.
    """
    validation = set(validation_indices(frames, fraction, seed, by).tolist())
    return [f for i, f in enumerate(frames) if i not in validation], [frames[i] for i in sorted(validation)]


def validation_indices(
    frames: Sequence[Frame], fraction: float = 0.1, seed: int = 0, by: Literal["frame", "system"] | Sequence[int] = "frame"
) -> np.ndarray:
    """Sorted indices of the validation frames; arguments and errors as in split_frames."""
    if isinstance(by, str):
        if by not in ("frame", "system"):
            raise FerrojaxError(f"split: by='{by}' is not known; use 'frame', 'system' or a list of frame indices.")
        if not 0.0 < fraction < 1.0:
            raise FerrojaxError(f"split: the validation fraction is {fraction}, but must lie between 0 and 1.")
        pick = _by_frame if by == "frame" else _by_system
        chosen = pick(_systems(frames), fraction, np.random.default_rng(seed))
    else:
        chosen = _explicit(by, len(frames))
    if not 0 < len(chosen) < len(frames):
        part = "validation" if len(chosen) == 0 else "training"
        raise FerrojaxError(f"split: the {part} part of {len(frames)} frames would be empty; give more frames or another fraction.")
    return np.sort(chosen)


def _systems(frames: Sequence[Frame]) -> list[np.ndarray]:
    groups: dict[tuple[str, str], list[int]] = {}
    for index, frame in enumerate(frames):
        groups.setdefault((frame.dataset, frame.system), []).append(index)
    return [np.array(members) for members in groups.values()]


def _by_frame(systems: list[np.ndarray], fraction: float, rng: np.random.Generator) -> np.ndarray:
    """The share of every system to within one frame, and of the whole: the rounding remainder is carried on."""
    chosen: list[np.ndarray] = []
    target, taken = 0.0, 0
    for members in systems:
        target += fraction * len(members)
        count = min(max(round(target) - taken, 0), len(members))
        taken += count
        chosen.append(rng.permutation(members)[:count])
    return np.concatenate(chosen) if chosen else np.empty(0, int)


def _by_system(systems: list[np.ndarray], fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Whole systems in random order, each taken if that brings the total closer to the share wanted."""
    if len(systems) < 2:
        raise FerrojaxError(f"split: by='system' needs at least two systems, the frames hold {len(systems)}; use by='frame'.")
    target = fraction * sum(map(len, systems))
    order = rng.permutation(len(systems))
    chosen: list[int] = []
    taken = 0
    for k in order:
        if abs(taken + len(systems[k]) - target) < abs(taken - target):
            chosen.append(k)
            taken += len(systems[k])
    if not chosen:  # every system is larger than twice the share: take the smallest
        chosen = [min(range(len(systems)), key=lambda k: len(systems[k]))]
    if len(chosen) == len(systems):
        chosen = chosen[:-1]
    return np.concatenate([systems[k] for k in chosen])


def _explicit(indices: Sequence[int], count: int) -> np.ndarray:
    values = np.asarray(indices, int).reshape(-1)
    bad = values[(values < 0) | (values >= count)]
    if bad.size:
        raise FerrojaxError(f"split: validation index {bad[0]} does not exist; there are frames 0 to {count - 1}.")
    if len(np.unique(values)) != len(values):
        raise FerrojaxError("split: a validation index is listed twice; list each frame once.")
    return values
