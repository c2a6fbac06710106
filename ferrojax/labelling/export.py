"""Finished labels as extended XYZ, with where each comes from beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ferrojax.data.frame import Frame
from ferrojax.data.writers import write_frames
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.labelling.job_queue import Queue


def export(queue: Queue, path: str | Path, dataset: str | None = None, only: str | None = None) -> int:
    """Write finished labels to ``path`` and their provenance to ``path`` with the suffix .json; returns how many.

    dataset: name to give them; by default each keeps that of its engine and settings. only: the labels of this data set, its
    name as engine and settings have it; all by default. The JSON is a list in the order of the frames: engine, version, settings
    and their hash, iterations, wall time, host, date, and ``force_constants`` ([3N, 3N], eV/Å²) where there are some.
    Raises FerrojaxError if there are none, or labels of several levels of theory that are to share one name.
    """
    path, labelled = Path(path), _finished(queue, only)
    names = sorted({frame.dataset for frame, _ in labelled})
    if dataset is not None and len(names) > 1:
        remedy = "take one by --only, or leave out --dataset"
        raise FerrojaxError(f"{queue.path}: labels of {', '.join(names)} have no common energy zero; {remedy}.")
    for frame, _ in labelled:
        frame.dataset = dataset or frame.dataset
    entries = [
        {"frame": k, "job": frame.source, "dataset": frame.dataset, **{name: made[name] for name in made if name != "dataset"}}
        for k, (frame, made) in enumerate(labelled)
    ]
    write_frames(path, [frame for frame, _ in labelled])
    write_text(path.with_suffix(".json"), json.dumps(entries, indent=1, ensure_ascii=False, default=_plain) + "\n")
    return len(labelled)


def _finished(queue: Queue, only: str | None) -> list[tuple[Frame, dict[str, Any]]]:
    """The finished labels, or those of one data set."""
    labelled = queue.labelled()
    if not labelled:
        raise FerrojaxError(f"{queue.path}: no job is finished yet; ferrojax label status says what there is.")
    chosen = [pair for pair in labelled if only in (None, pair[0].dataset)]
    if not chosen:
        names = ", ".join(sorted({frame.dataset for frame, _ in labelled}))
        raise FerrojaxError(f"{queue.path}: there are no finished labels of {only}; choose from {names}.")
    return chosen


def _plain(value: object) -> object:
    """Arrays as lists, for JSON."""
    return np.asarray(value).tolist()
