"""Train from Python: one call."""

from __future__ import annotations

import functools
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
from ferrojax.data import Frame, fit_reference_energies
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.potential import Model, load, save_model
from ferrojax.sections import read_section
from ferrojax.training.batches import pack
from ferrojax.training.config import TrainConfig, load_config
from ferrojax.training.evaluate import evaluate
from ferrojax.training.heads import Heads, add_heads, choose_heads
from ferrojax.training.loop import Trainer
from ferrojax.training.optimizer import init_state
from ferrojax.training.plots import parity_plot
from ferrojax.training.report import Progress
from ferrojax.training.sources import Frames, load_frames
from ferrojax.training.start import Start, inherit_settings, starting_point, untrained
from ferrojax.training.zero import align_to_model

FOLDERS = ("checkpoints", "best", "last", "heads")
FILES = ("config.yaml", "metrics.csv", "clock.csv", "results.json", "learning_curve.png", "parity.png")


@dataclass(frozen=True)
class TrainResult:
    """A finished training: the chosen weights (lowest validation loss, the last ones without validation) and their errors.

    folder holds best/ and last/ (models), metrics.csv, results.json, learning_curve.png, parity.png, checkpoints/. With several
    heads these are of the main one, and heads/NAME holds best/, last/, results.json and parity.png of each other.
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
    settings = settings.model_copy(update={"model": inherit_settings(settings.model)})
    folder = Path(settings.output.folder)
    if resume:
        _require_same(folder / "config.yaml", settings)
    frames = load_frames(settings.data, settings.seed)
    start = starting_point(settings.model, frames.train + frames.validation, settings.seed)
    heads = choose_heads(settings.model.heads, settings.model.head, frames.train)
    initial = add_heads(start.params, heads)
    state = init_state(initial, settings.optimizer)
    zeros = fit_reference_energies(frames.train)
    packed = functools.partial(pack, model=start.model, max_buckets=settings.max_buckets, heads=heads)
    train_set = packed(frames.train, references=zeros, weights=frames.weights)
    train_set, references = align_to_model(start.model, initial, train_set, zeros)
    references = references or start.references  # without energies nothing says that those of an earlier training have moved
    provenance = _provenance(settings, frames, start)

    def save_weights(name: str, params: Any, summary: Mapping[str, Any]) -> None:
        for place, own, table in heads.models(params, references):
            info = {"reference_energies": table, "provenance": provenance | {"weights": name, **summary}}
            save_model(folder / place / name, start.model, own, info)

    validation = packed(frames.validation, references=references) if frames.validation else None
    trainer = Trainer(settings, start.model, train_set, validation, references, save_weights, quiet)
    _open_folder(folder, settings, resume)  # only now, when nothing is left to refuse
    for note in start.notes + untrained(settings, frames.train):
        Progress(quiet).line(note)
    trainer.run(state)
    return _finish(folder, frames, heads)


def _finish(folder: Path, frames: Frames, heads: Heads) -> TrainResult:
    """Errors of the chosen weights of each head on its held-out frames, as JSON and parity plot; returns the main head's."""
    name = "best" if frames.validation else "last"
    for head, other in enumerate(heads.names[1:], 1):
        place = folder / "heads" / other
        _errors(place, load(place / name), [f for f in frames.validation if heads.of(f.dataset) == head])
    chosen = load(folder / name)
    metrics = _errors(folder, chosen, [f for f in frames.validation if heads.of(f.dataset) == 0])
    return TrainResult(*chosen, metrics, folder)


def _errors(folder: Path, model: tuple[Model, Any, dict[str, Any]], frames: list[Frame]) -> dict[str, Any]:
    if not frames:
        return {}
    metrics = evaluate(*model, frames, predictions=True)
    parity_plot(metrics.pop("predictions"), folder / "parity.png")
    write_text(folder / "results.json", json.dumps(metrics, indent=1) + "\n")
    return metrics


def _require_same(stored: Path, settings: TrainConfig) -> None:
    """Refuse to resume under another configuration."""
    if stored.exists() and _essential(read_section(TrainConfig, stored)[0]) != _essential(settings):
        raise FerrojaxError(
            f"{stored.parent}: holds a training of another configuration; choose another output.folder, or use resume=False."
        )


def _open_folder(folder: Path, settings: TrainConfig, resume: bool) -> None:
    """Make the output folder and store the configuration as understood."""
    if not resume:
        _remove_run(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FerrojaxError(f"{folder}: cannot be made ({error.strerror}); choose another output.folder.") from None
    write_text(folder / "config.yaml", yaml.safe_dump(settings.model_dump(), sort_keys=False))


def _remove_run(folder: Path) -> None:
    """Remove what a training writes, and nothing else."""
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def _essential(settings: TrainConfig) -> dict[str, Any]:
    """What must not change when a training is resumed; of the rates the order counts too."""
    values = settings.model_dump(exclude={"output", "devices"})
    return values | {"rates": list(values["optimizer"]["rates"])}


def _provenance(settings: TrainConfig, frames: Frames, start: Start) -> dict[str, Any]:
    """Where a model comes from: data (names only, no paths), frames, settings and versions."""
    chosen = settings.model_dump(exclude={"data": {"__all__": {"path"}}, "model": {"start_from"}, "output": True})
    return {
        "datasets": sorted({f.dataset for f in frames.train}),
        **start.provenance,
        "train_frames": len(frames.train),
        "validation_frames": len(frames.validation),
        "config": chosen,
        "versions": {"ferrojax": ferrojax.__version__, "jax": jax.__version__, "python": platform.python_version()},
        "device": jax.devices()[0].device_kind,
    }
