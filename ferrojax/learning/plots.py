"""Figures of active learning: the learning curve, and uncertainty against error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ferrojax.learning.calibration import Calibration

BLUE, ORANGE = "#0072B2", "#D55E00"


def learning_plot(reports: list[dict[str, Any]], path: Path) -> None:
    """Force RMSE on the validation frames, and the share of accurate structures, against the number of training frames."""
    frames = [report["training_frames"] for report in reports]
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    error, share = figure.subplots(1, 2)
    error.plot(frames, [report["on_validation"]["force_rmse"] for report in reports], "o-", color=BLUE)
    error.set(xlabel="training frames", ylabel="force RMSE, validation (meV/Å)")
    error.set_ylim(bottom=0)
    for name, style, colour in (("accurate", "o-", BLUE), ("failed", "s--", ORANGE)):
        share.plot(frames, [100 * report[name] / report["explored"] for report in reports], style, color=colour, label=name)
    share.set(xlabel="training frames", ylabel="share of the explored (%)", ylim=(-2, 102))
    share.legend(frameon=False)
    _save(figure, path)


def uncertainty_plot(sigma: Float[np.ndarray, " n"], error: Float[np.ndarray, " n"], calibration: Calibration, path: Path) -> None:
    """Error of the force on each atom against its uncertainty (both eV/Å in, meV/Å drawn)."""
    figure = Figure(figsize=(3.6, 3.4), layout="constrained")
    axes = figure.subplots()
    shown = (sigma > 0) & (error > 0)
    x, y = 1e3 * sigma[shown], 1e3 * error[shown]
    axes.loglog(x, y, ".", color=BLUE, markersize=3, alpha=0.5, rasterized=True)
    ends = np.array([x.min(), x.max()])
    axes.loglog(ends, calibration.scale * ends, "-", color=ORANGE, linewidth=1, label=f"{calibration.scale:.2g} × uncertainty")
    first, second = (100 * share for share in calibration.coverage)
    axes.set(xlabel="uncertainty of the force (meV/Å)", ylabel="error of the force (meV/Å)")
    axes.set_title(f"Spearman {calibration.spearman:.2f}; {first:.0f} of 68 %, {second:.0f} of 95 %", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    temporary = path.with_name(f".{path.name}")
    try:
        figure.savefig(temporary, dpi=150, format="png")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
