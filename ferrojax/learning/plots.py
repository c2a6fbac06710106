"""Figures of active learning: the learning curve, and uncertainty against error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import LogLocator, NullFormatter

from ferrojax.learning.calibration import Calibration
from ferrojax.plotting import PAGE, figure, journal, save


def learning_plot(reports: list[dict[str, Any]], path: Path) -> None:
    """Force RMSE on the validation frames, and the share of accurate structures, against the number of training frames."""
    frames = [report["training_frames"] for report in reports]
    rounds = [report for report in reports if "explored" in report]  # the last may be a training alone
    with journal():
        drawn, (error, share) = figure(1, 2, width=PAGE)
        error.plot(frames, [report["on_validation"]["force_rmse"] for report in reports], "o-")
        error.set(xlabel="training frames", ylabel="force RMSE, validation (meV/Å)")
        error.set_ylim(bottom=0)
        for name, style in (("accurate", "o-"), ("failed", "s--")):
            share.plot(frames[: len(rounds)], [100 * report[name] / report["explored"] for report in rounds], style, label=name)
        share.set(xlabel="training frames", ylabel="share of the explored (%)", ylim=(-2, 102))
        share.legend()
    save(drawn, path)


def uncertainty_plot(sigma: Float[np.ndarray, " n"], error: Float[np.ndarray, " n"], calibration: Calibration, path: Path) -> None:
    """Error of the force on each atom against its uncertainty (both eV/Å in, meV/Å drawn)."""
    shown = (sigma > 0) & (error > 0)
    x, y = 1e3 * sigma[shown], 1e3 * error[shown]
    first, second = (100 * share for share in calibration.coverage)
    with journal():
        drawn, axes = figure(height=80)
        axes.loglog(x, y, ".", markersize=3, alpha=0.5, rasterized=True)
        ends = np.array([x.min(), x.max()])
        axes.loglog(ends, calibration.scale * ends, "-", label=f"{calibration.scale:.2g} × uncertainty")
        axes.set(xlabel="uncertainty of the force (meV/Å)", ylabel="error of the force (meV/Å)")
        axes.set_title(f"Spearman {calibration.spearman:.2f}; {first:.0f} of 68 %, {second:.0f} of 95 %")
        axes.legend()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
    save(drawn, path)
