"""Parity plots and the learning curve as PNG."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ferrojax.training.metrics import UNITS
from ferrojax.training.report import read_metrics

CURVES = ("energy", "forces", "virial", "dipole", "born_charges", "polarizability")


def parity_plot(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Prediction against label, one panel for each quantity, with its RMSE."""
    names = [name for name in pairs if name not in ("virial", "energy_aligned")]
    columns = min(3, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    figure = Figure(figsize=(4 * columns, 3.8 * rows), layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, place + 1)
        label, value = pairs[name]
        axes.plot(label, value, ".", markersize=2, alpha=0.5, rasterized=True)
        limits = [min(label.min(), value.min()), max(label.max(), value.max())]
        axes.plot(limits, limits, "k-", linewidth=0.7)
        rmse = np.sqrt(np.mean((value - label) ** 2))
        axes.set(title=f"{name.replace('_', ' ')}: RMSE {rmse:.3g} {UNITS[name]}", xlabel=f"label, {UNITS[name]}", ylabel="prediction")
    _save(figure, path)


def learning_curve(metrics: Path, path: Path) -> None:
    """Training and validation loss, and the validation RMSE of each quantity, against optimisation steps."""
    rows = read_metrics(metrics)
    if not rows:
        return
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    for name in ("train_loss", "validation_loss"):
        _curve(losses, rows, name, name.replace("_", " "))
    for name in CURVES:
        _curve(errors, rows, f"{name}_rmse", f"{name.replace('_', ' ')}, {UNITS[name]}")
    losses.set_ylabel("loss")
    errors.set_ylabel("validation RMSE")
    for axes in (losses, errors):
        axes.set(xlabel="step", yscale="log")
        if axes.lines:
            axes.legend(fontsize=8)
    _save(figure, path)


def _curve(axes, rows: list[dict[str, str]], column: str, label: str) -> None:
    points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
    if points:
        axes.plot(*zip(*points), marker="." if len(points) < 30 else None, label=label)


def _save(figure: Figure, path: Path) -> None:
    _replace(path, lambda temporary: FigureCanvasAgg(figure).print_png(temporary))


def _replace(path: Path, write: Callable[[str], None]) -> None:
    temporary = path.with_name(f".{path.name}")
    try:
        write(str(temporary))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
