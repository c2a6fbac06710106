"""What a round was worth: errors, calibration of the uncertainty, and how both went from round to round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ferrojax.data import Frame
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_csv, write_text
from ferrojax.learning.calibration import calibrate_forces, cross_coverage
from ferrojax.learning.deviation import evaluate as deviations_of
from ferrojax.learning.plots import learning_plot, uncertainty_plot
from ferrojax.learning.rounds import Round
from ferrojax.potential import load
from ferrojax.training.evaluate import evaluate
from ferrojax.training.plots import parity_plot

COLUMNS = {
    "round": "round",
    "training frames": "training_frames",
    "explored": "explored",
    "accurate": "accurate",
    "candidates": "candidate",
    "failed": "failed",
    "labelled": "labelled",
    "energy RMSE (meV/atom)": "on_validation.energy_rmse",
    "force RMSE (meV/Å)": "on_validation.force_rmse",
    "Spearman": "on_validation.spearman",
    "coverage of 68 %": "on_validation.coverage_68",
    "coverage of 95 %": "on_validation.coverage_95",
    "force RMSE of the labelled (meV/Å)": "on_labelled.force_rmse",
}


def assess(current: Round, frames: list[Frame], plots: Path | None = None) -> dict[str, Any]:
    """Errors of the first member on frames it was not trained on, and how its uncertainty compares with them.

    Energies, in meV/atom, after a shift of each element where the frames are of another data set than the labels; forces, meV/Å; the rank
    correlation and coverage are those of the force on an atom (``calibrate``, ``cross_coverage``). ``plots``: folder for parity.png and
    uncertainty.png.
    """
    model, params, info = load(current.members[0])
    errors = evaluate(model, params, info, frames, align_energies=True, predictions=True)
    label, value = errors["predictions"]["forces"]
    ends = np.cumsum([len(frame.atoms) for frame in frames])[:-1]
    deviations = deviations_of(current.measure, frames)
    energy = errors.get("energy", errors["energy_aligned"])
    found: dict[str, Any] = {
        "frames": len(frames),
        "energy_rmse": energy["rmse"],
        "force_rmse": errors["forces"]["rmse"],
    }
    forces = np.split(value.reshape(-1, 3) / 1e3, ends)
    try:
        calibration = calibrate_forces(deviations, frames, forces)["atom"]
        first, second = cross_coverage(deviations, frames, forces)
    except FerrojaxError:  # too few atoms to rank
        return found | {"spearman": None, "coverage_68": None, "coverage_95": None, "scale": None}
    if plots is not None:
        parity_plot(errors["predictions"], plots / "parity.png")
        sigma = np.concatenate([deviation.per_atom for deviation in deviations])
        uncertainty_plot(sigma, np.linalg.norm((value - label).reshape(-1, 3), axis=1) / 1e3, calibration, plots / "uncertainty.png")
    return found | {"spearman": calibration.spearman, "coverage_68": first, "coverage_95": second, "scale": calibration.scale}


def write_report(output: Path, reports: list[dict[str, Any]]) -> None:
    """rounds.csv, report.md and learning.png of all rounds so far."""
    rows = [[_value(report, path) for path in COLUMNS.values()] for report in reports]
    write_csv(output / "rounds.csv", rows, list(COLUMNS))
    lines = ["# Active learning", "", "Errors, rank correlation and coverage on the validation frames.", ""]
    lines += [_line(list(COLUMNS)), _line(["---"] * len(COLUMNS)), *(_line([_short(value) for value in row]) for row in rows)]
    last = reports[-1]
    folder = f"round-{last['round']:03d}"
    lines += ["", "![learning curve](learning.png)", "", f"![parity]({folder}/parity.png)", "", f"![uncertainty]({folder}/uncertainty.png)"]
    write_text(output / "report.md", "\n".join(lines) + "\n")
    learning_plot(reports, output / "learning.png")


def _value(report: dict[str, Any], path: str) -> Any:
    value: Any = report
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _short(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
