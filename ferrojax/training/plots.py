"""Parity plots and the learning curve as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ferrojax.plotting import COLUMN, PAGE, figure, journal, parity, save, training_curve
from ferrojax.training.metrics import UNITS
from ferrojax.training.report import read_metrics

CURVES = ("energy", "forces", "virial", "dipole", "born_charges", "polarizability")


def parity_plot(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Prediction against label, one panel for each quantity, with its RMSE."""
    names = [name for name in pairs if name not in ("virial", "energy_aligned")]
    columns = min(3, max(1, len(names)))
    with journal():
        rows = max(1, -(-len(names) // columns))
        drawn, panels = figure(rows, columns, width=max(COLUMN, 58.0 * columns), height=56.0 * rows, squeeze=False)
        for axes, name in zip(panels.flat, names):
            parity(axes, *pairs[name], UNITS[name], name.replace("_", " "))
        for axes in panels.flat[len(names) :]:
            axes.remove()
    save(drawn, path)


def learning_curve(metrics: Path, path: Path) -> None:
    """Training and validation loss, and the validation RMSE of each quantity, against optimisation steps."""
    rows = read_metrics(metrics)
    if not rows:
        return
    losses = {name.replace("_", " "): _points(rows, name) for name in ("train_loss", "validation_loss")}
    errors = {f"{name.replace('_', ' ')}, {UNITS[name]}": _points(rows, f"{name}_rmse") for name in CURVES}
    with journal():
        drawn, (left, right) = figure(1, 2, width=PAGE)
        training_curve(left, losses, "loss")
        training_curve(right, errors, "validation RMSE")
    save(drawn, path)


def _points(rows: list[dict[str, str]], column: str) -> tuple[list[int], list[float]]:
    """Steps and values where the column has any."""
    found = [row for row in rows if row[column]]
    return [int(row["step"]) for row in found], [float(row[column]) for row in found]
