"""Put the energy zero of the labels where the untrained model has its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from ferrojax.data import Frame
from ferrojax.data.reference import fit_unchecked
from ferrojax.potential import Model
from ferrojax.training.batches import Batch, Dataset
from ferrojax.training.loss import predict_batch

References = dict[str, dict[str, float]]
BATCH = 16


def align_to_model(model: Model, params: Any, dataset: Dataset, references: References) -> tuple[Dataset, References]:
    """Shift labels and reference energies by the composition's part of the untrained model's energy.

    Formal charges and close-contact repulsion alone give several eV/atom. What of that
    is a sum over elements is no physics to learn: it goes into the references, so
    training starts from the differences between structures.
    """
    energies = _energies(model, params, dataset)
    imagined = [replace(frame, energy=float(e)) for frame, e in zip(dataset.frames, energies) if frame.dataset in references]
    shifts = fit_unchecked(imagined)
    aligned = {name: {e: value - shifts[name].get(e, 0.0) for e, value in table.items()} for name, table in references.items()}
    buckets = tuple(_shift(bucket, [dataset.frames[i] for i in own], shifts) for bucket, own in zip(dataset.buckets, dataset.members))
    return replace(dataset, buckets=buckets), aligned


def _energies(model: Model, params: Any, dataset: Dataset) -> np.ndarray:
    predict = jax.jit(lambda p, b: predict_batch(model, p, b, born=False)["energy"])  # the unused gradients are compiled away
    energies = np.zeros(len(dataset.frames))
    for bucket, own in zip(dataset.buckets, dataset.members):
        for start in range(0, bucket.size, BATCH):
            places = np.arange(start, start + BATCH)
            values = np.asarray(predict(params, bucket.take(places % bucket.size)), np.float64)
            real = places < bucket.size
            energies[own[places[real]]] = values[real]
    return energies


def _shift(bucket: Batch, frames: list[Frame], shifts: References) -> Batch:
    if "energy" not in bucket.labels:
        return bucket
    rows = [sum(n * shifts.get(f.dataset, {}).get(e, 0.0) for e, n in Counter(f.atoms.symbols).items()) for f in frames]
    energy = bucket.labels["energy"] + bucket.weights["energy"].astype(bool) * np.asarray(rows, bucket.labels["energy"].dtype)
    return bucket.replace(labels=bucket.labels | {"energy": energy})
