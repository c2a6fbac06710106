"""Finished labels as extended XYZ, with where each comes from beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ferrojax.data.writers import write_frames
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.labelling.job_queue import Queue


def export(queue: Queue, path: str | Path, dataset: str | None = None) -> int:
    """Write all finished labels to ``path`` and their provenance to ``path`` with the suffix .json; returns how many.

    dataset: name to give them; by default each keeps that of its engine and settings. The JSON is a list in the order of the
    frames: engine, version, settings and their hash, iterations, wall time, host, date.
    Raises FerrojaxError if there are none, or labels of several levels of theory that are to share one name.
    """
    path, labelled = Path(path), queue.labelled()
    names = sorted({frame.dataset for frame, _ in labelled})
    if dataset is not None and len(names) > 1:
        raise FerrojaxError(f"{queue.path}: labels of {', '.join(names)} have no common energy zero; leave out --dataset.")
    if not labelled:
        raise FerrojaxError(f"{queue.path}: no job is finished yet; ferrojax label status says what there is.")
    for frame, _ in labelled:
        frame.dataset = dataset or frame.dataset
    entries = [
        {"frame": k, "job": frame.source, "dataset": frame.dataset, **{name: made[name] for name in made if name != "dataset"}}
        for k, (frame, made) in enumerate(labelled)
    ]
    write_frames(path, [frame for frame, _ in labelled])
    write_text(path.with_suffix(".json"), json.dumps(entries, indent=1, ensure_ascii=False, default=_plain) + "\n")
    return len(labelled)


def _plain(value: object) -> object:
    """Arrays as lists, for JSON."""
    return np.asarray(value).tolist()
