"""Train from Python: one call."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import yaml

import ferrojax
from ferrojax.data import fit_reference_energies
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.potential import Model, load_model, save_model
from ferrojax.training.batches import pack
from ferrojax.training.config import TrainConfig, load_config
from ferrojax.training.evaluate import evaluate
from ferrojax.training.loop import Trainer
from ferrojax.training.optimizer import init_state
from ferrojax.training.plots import parity_plot
from ferrojax.training.sources import Frames, build_model, load_frames
from ferrojax.training.zero import align_to_model

FOLDERS = ("checkpoints", "best", "last")
FILES = ("config.yaml", "metrics.csv", "clock.csv", "results.json", "learning_curve.png", "parity.png")


@dataclass(frozen=True)
class TrainResult:
    """A finished training: the chosen weights (lowest validation loss, the last ones without validation) and their errors.

    folder holds best/ and last/ (models), metrics.csv, results.json, learning_curve.png, parity.png, checkpoints/.
    """

    model: Model
    params: Any
    info: dict[str, Any]
    metrics: dict[str, Any]
    folder: Path


def train(config: TrainConfig | str | Path | dict[str, Any], resume: bool = True, quiet: bool = False) -> TrainResult:
    """Train as the configuration says; a run that was stopped goes on exactly where its last checkpoint stands.

        result = train("titanates.yaml")

    Args:
        config: YAML file, dictionary or TrainConfig.
        resume: False removes an earlier run from the output folder first.
        quiet: print nothing.

    Raises:
        FerrojaxError: faults in configuration or data, a damaged checkpoint, a full disk.
    """
    settings = config if isinstance(config, TrainConfig) else load_config(config)
    folder = Path(settings.output.folder)
    _open_folder(folder, settings, resume)
    frames = load_frames(settings.data, settings.seed)
    model = build_model(settings.model, frames.train + frames.validation)
    initial = _initial_params(settings, model)
    zeros = fit_reference_energies(frames.train)
    train_set = pack(frames.train, model, zeros, frames.weights, max_buckets=settings.max_buckets)
    train_set, references = align_to_model(model, initial, train_set, zeros)
    provenance = _provenance(settings, frames)

    def save_weights(name: str, params: Any, summary: Mapping[str, Any]) -> None:
        info = {"reference_energies": references, "provenance": provenance | {"weights": name, **summary}}
        save_model(folder / name, model, params, info)

    validation = pack(frames.validation, model, references, max_buckets=settings.max_buckets) if frames.validation else None
    trainer = Trainer(settings, model, train_set, validation, references, save_weights, quiet)
    trainer.run(init_state(initial, settings.optimizer))
    return _finish(folder, frames)


def _initial_params(settings: TrainConfig, model: Model) -> Any:
    """Random parameters, or those of the model folder that ``model.start_from`` names."""
    if settings.model.start_from is None:
        return model.init(jax.random.key(settings.seed))
    start, params, _ = load_model(settings.model.start_from)
    if start != model:
        raise FerrojaxError(
            f"model.start_from: {settings.model.start_from} is another model ({start.config}); give the model section its preset, "
            "elements and settings, or leave start_from out."
        )
    return jax.tree.map(jax.numpy.asarray, params)


def _finish(folder: Path, frames: Frames) -> TrainResult:
    """Errors of the chosen weights on the held-out frames, as JSON and parity plot."""
    name = "best" if frames.validation else "last"
    model, params, info = load_model(folder / name)
    if not frames.validation:
        return TrainResult(model, params, info, {}, folder)
    metrics = evaluate(model, params, info, frames.validation, predictions=True)
    parity_plot(metrics.pop("predictions"), folder / "parity.png")
    write_text(folder / "results.json", json.dumps(metrics, indent=1) + "\n")
    return TrainResult(model, params, info, metrics, folder)


def _open_folder(folder: Path, settings: TrainConfig, resume: bool) -> None:
    """Make the output folder and store the configuration; refuse to resume under another one."""
    stored, present = folder / "config.yaml", yaml.safe_dump(settings.model_dump(), sort_keys=False)
    if not resume:
        _remove_run(folder)
    if stored.exists() and _essential(yaml.safe_load(stored.read_text())) != _essential(settings.model_dump()):
        raise FerrojaxError(f"{folder}: holds a training of another configuration; choose another output.folder, or use resume=False.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FerrojaxError(f"{folder}: cannot be made ({error.strerror}); choose another output.folder.") from None
    write_text(stored, present)


def _remove_run(folder: Path) -> None:
    """Remove what a training writes, and nothing else."""
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def _essential(values: dict[str, Any]) -> dict[str, Any]:
    """What must not change when a training is resumed."""
    return {key: value for key, value in values.items() if key not in ("output", "devices")}


def _provenance(settings: TrainConfig, frames: Frames) -> dict[str, Any]:
    """Where a model comes from: data (names only, no paths), frames, settings and versions."""
    chosen = settings.model_dump(exclude={"data": {"__all__": {"path"}}, "model": {"start_from"}, "output": True})
    return {
        "datasets": sorted({f.dataset for f in frames.train}),
        "train_frames": len(frames.train),
        "validation_frames": len(frames.validation),
        "config": chosen,
        "versions": {"ferrojax": ferrojax.__version__, "jax": jax.__version__, "python": platform.python_version()},
        "device": jax.devices()[0].device_kind,
    }
