"""Errors of a model on labelled frames, in bucketed batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, Float

from ferrojax.data import Frame
from ferrojax.training.batches import Batch, Dataset, pack
from ferrojax.training.loss import LossSettings, frame_losses, predict_batch
from ferrojax.training.metrics import compare, covered, summarize

if TYPE_CHECKING:
    from ferrojax.potential.model import Model

ATOMS_PER_BATCH = 1024

Predictor = Callable[[Any, Batch], tuple[dict[str, Array], Float[Array, " batch"]]]


def evaluate(
    model: Model,
    params: Any,
    info: Mapping[str, Any],
    frames: Sequence[Frame],
    align_energies: bool = False,
    dtype: type = np.float32,
    predictions: bool = False,
) -> dict[str, Any]:
    """RMSE and MAE, with counts, of every quantity the frames are labelled with.

    energy, energy_aligned, virial (meV/atom), forces (meV/Å), stress (GPa), dipole (minimum
    image, e·Å), born_charges (e), polarizability (e·Å²/V and %). Tensors count all nine
    components. ``energy`` needs ``info["reference_energies"]`` of the frame's data set; with
    ``align_energies`` a shift of each element is fitted on these frames and ``energy_aligned``
    is given too. ``notes`` says what was left out and why. With ``predictions`` the
    pairs (label, prediction) are added as arrays.

    Raises FerrojaxError for zero frames, unusable frames and unknown elements.
    """
    references = info.get("reference_energies", {})
    dataset = pack(frames, model, dtype=dtype)
    values, _ = predict_all(make_predictor(model), params, dataset)
    pairs = compare(frames, values, references, align_energies)
    result: dict[str, Any] = {"counts": _counts(frames), **summarize(frames, pairs), "notes": _notes(frames, references, align_energies)}
    if predictions:
        result["predictions"] = pairs
    return result


def make_predictor(model: Model, settings: LossSettings = LossSettings()) -> Predictor:
    """Compiled (params, batch) -> (predictions, loss of each frame)."""

    def predictor(params, batch):
        values = predict_batch(model, params, batch)
        return values, frame_losses(settings, values, batch)

    return jax.jit(predictor)


def predict_all(predictor: Predictor, params: Any, dataset: Dataset) -> tuple[list[dict[str, np.ndarray]], float]:
    """Predictions for each frame, padding removed, in the order of the frames; and the mean loss."""
    results: list[dict[str, np.ndarray]] = [{} for _ in dataset.frames]
    total = 0.0
    for bucket, members in zip(dataset.buckets, dataset.members):
        size = min(max(1, ATOMS_PER_BATCH // bucket.numbers.shape[1]), bucket.size)
        for start in range(0, bucket.size, size):
            places = np.arange(start, start + size)
            values, losses = jax.device_get(predictor(params, bucket.take(places % bucket.size)))
            real = int(np.sum(places < bucket.size))
            total += float(np.sum(losses[:real], dtype=np.float64))
            for row, frame in enumerate(members[places[:real]]):
                results[frame] = {name: _unpad(name, value[row], len(dataset.frames[frame].atoms)) for name, value in values.items()}
    return results, total / len(dataset.frames)


def _unpad(name: str, value: np.ndarray, atoms: int) -> np.ndarray:
    return np.asarray(value[:atoms] if name in ("forces", "born_charges") else value, np.float64)


def _counts(frames: Sequence[Frame]) -> dict[str, int]:
    """Frames, atoms, and frames with each label."""
    counts = {"frames": len(frames), "atoms": sum(len(f.atoms) for f in frames)}
    for frame in frames:
        for name in frame.labels():
            counts[name] = counts.get(name, 0) + 1
    return counts


def _notes(frames: Sequence[Frame], references: Mapping[str, Any], aligned: bool) -> list[str]:
    missing = sorted({f.dataset for f in frames if f.energy is not None and not covered(f, references)})
    if not missing:
        return []
    remedy = "energy_aligned compares them after a per-element shift" if aligned else "use align_energies to compare them after a shift"
    return [f"energies of frames of {missing} were left out: the model has no reference energies for all their elements; {remedy}."]
