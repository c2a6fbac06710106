"""From the configuration to frames and a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ferrojax.data import Frame, read_frames, split_frames
from ferrojax.errors import FerrojaxError
from ferrojax.potential import Model, preset
from ferrojax.training.config import DataConfig, PotentialConfig


@dataclass(frozen=True)
class Frames:
    """Training frames with a weight each, and the frames held out."""

    train: list[Frame]
    weights: list[float]
    validation: list[Frame]


def load_frames(sources: list[DataConfig], seed: int) -> Frames:
    """Read, filter and split every source.

    Raises FerrojaxError if nothing is left of one, or nothing to train on.
    """
    train: list[Frame] = []
    validation: list[Frame] = []
    weights: list[float] = []
    for source in sources:
        kept, held_out = _split(source, _read(source), seed)
        kept = _draw(kept, source.max_frames, seed)
        train += kept
        weights += [source.weight] * len(kept)
        validation += held_out
    if not any(frame.labels() for frame in train):
        raise FerrojaxError("no training frame has a label; check data.path and data.keys.")
    return Frames(train, weights, validation)


def build_model(config: PotentialConfig, frames: list[Frame]) -> Model:
    """Model of the preset for the elements of the frames, or those named in the configuration."""
    present = sorted({symbol for frame in frames for symbol in frame.atoms.symbols})
    elements = tuple(config.elements or present)
    stray = sorted(set(config.formal_charges) - set(elements))
    if stray:
        raise FerrojaxError(f"model.formal_charges: {stray} are not among the elements {list(elements)}; remove them.")
    charges = None
    if config.formal_charges:
        missing = [e for e in elements if e not in config.formal_charges]
        if missing:
            raise FerrojaxError(f"model.formal_charges: no charge for {missing}; give one for each element.")
        charges = tuple(float(config.formal_charges[e]) for e in elements)
    try:
        return Model(preset(config.preset, elements, charges, eps_inf=config.eps_inf, **config.changes))
    except TypeError as error:
        raise FerrojaxError(f"model.changes: {error}; see ModelConfig for the settings there are.") from None


def _read(source: DataConfig) -> list[Frame]:
    frames = read_frames(source.path, source.dataset, source.keys, source.elements, source.systems)
    allowed = None if source.elements is None else set(source.elements)
    kept = [
        frame
        for frame in frames
        if (allowed is None or set(frame.atoms.symbols) <= allowed)
        and (source.systems is None or frame.system in source.systems)
        and frame.system not in source.exclude
        and (source.max_atoms is None or len(frame.atoms) <= source.max_atoms)
    ]
    if not kept:
        raise FerrojaxError(f"{source.path}: none of {len(frames)} frames passes the filters of the data section; widen them.")
    return kept


def _split(source: DataConfig, frames: list[Frame], seed: int) -> tuple[list[Frame], list[Frame]]:
    if source.validation == 0:
        return frames, []
    fraction = source.validation if source.validation < 1 else source.validation / len(frames)
    if fraction >= 1:
        raise FerrojaxError(f"{source.path}: data.validation holds out {source.validation:g} of {len(frames)} frames; lower it.")
    return split_frames(frames, fraction, seed, by=source.split_by)


def _draw(frames: list[Frame], limit: int | None, seed: int) -> list[Frame]:
    """So many frames at random, in the order given; those of a smaller limit are among them."""
    chosen = np.random.default_rng(seed).permutation(len(frames))[:limit]
    return [frames[i] for i in sorted(chosen)]
