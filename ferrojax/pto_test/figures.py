"""Figures of a test: the heated crystal, and the time of a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ferrojax.plotting import PAGE, figure, journal, save
from ferrojax.plotting.style import BLUE, GREEN, GREY, RED
from ferrojax.pto_test.config import Criteria

Runs = list[dict[str, Any]]


def draw_heating(path: Path, npt: Runs, nvt: Runs, criteria: Criteria, start: dict[str, Any] | None) -> None:
    """Lattice constants, c/a and P_z against temperature; crosses: runs that did not survive. ``start``: the relaxed cell, at 0 K."""
    with journal():
        made, (lengths, ratio, polar) = figure(1, 3, width=PAGE, height=60)
        for key, colour, marker in (("a", BLUE, "o"), ("c", RED, "s")):
            _points(lengths, npt, key, colour, marker, key)
            if start and "a" in start:
                lengths.plot(0, start[key], marker, color=colour, markersize=4, markerfacecolor="white")
        lengths.set(ylabel="lattice constants (Å)")
        _points(ratio, npt, "c/a", BLUE, "o", None)
        low, high = criteria.ca_300K
        ratio.plot([300, 300], [low, high], color=GREEN, linewidth=4, alpha=0.5, solid_capstyle="butt", label="passes at 300 K")
        ratio.axhline(1, color=GREY, linewidth=0.6)
        ratio.set(ylabel="c/a")
        _polarizations(polar, npt, nvt)
        for axes, title in zip((lengths, ratio, polar), ("(a) constant stress", "(b) constant stress", "(c) polarization")):
            axes.set(xlabel="T (K)", xlim=(-40, 1.05 * max(run["temperature_K"] for run in npt + nvt)))
            axes.set_title(title)
            _lost(axes, npt)
            count = len(axes.get_legend_handles_labels()[1])
            if count:  # above the lines: room for it is made
                low, high = axes.get_ylim()
                axes.set_ylim(low, high + (0.04 + 0.12 * count) * (high - low))
                axes.legend(loc="upper right")
        save(made, path)


def draw_efficiency(path: Path, timings: Runs) -> None:
    """Time an atom and a step against the number of atoms."""
    with journal():
        made, axes = figure()
        good = [run for run in timings if run["status"] == "finished"]
        sizes = sorted({run["atoms"] for run in good})
        times = [float(np.median([run["us_per_atom_step"] for run in good if run["atoms"] == size])) for size in sizes]
        axes.semilogx(sizes, times, "o-", color=BLUE, markersize=4)
        axes.set(xlabel="atoms", ylabel="time (µs/atom/step)", ylim=(0, None))
        save(made, path)


def _polarizations(axes: Any, npt: Runs, nvt: Runs) -> None:
    """From Born charges, and where the model has one its own."""
    for runs, colour, marker, name in ((npt, BLUE, "o", "constant stress"), (nvt, RED, "s", "experimental cell")):
        _points(axes, runs, "Pz", colour, marker, name)
        _points(axes, runs, "dipole_Pz", colour, marker, None, linestyle="--")
    if any("dipole_Pz" in run.get("means", {}) for run in npt + nvt):
        axes.plot([], [], "--", color=GREY, label="model's dipole")
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.set(ylabel="P$_z$ (C/m²)")


def _points(axes: Any, runs: Runs, key: str, colour: str, marker: str, label: str | None, linestyle: str = "-") -> None:
    known = [(run["temperature_K"], run["means"]) for run in runs if key in run.get("means", {})]
    points = [(kelvin, means[key], means.get(f"{key}_error", 0.0)) for kelvin, means in known]
    if points:
        x, y, error = zip(*points)
        style = {"color": colour, "marker": marker, "linestyle": linestyle, "markersize": 4, "linewidth": 1.1, "capsize": 2}
        axes.errorbar(x, y, error, label=label, **style)


def _lost(axes: Any, runs: Runs) -> None:
    """Crosses on the lower edge."""
    lost = [run["temperature_K"] for run in runs if run["status"] != "finished"]
    if lost:
        axes.plot(lost, np.zeros(len(lost)), "x", color="black", transform=axes.get_xaxis_transform(), clip_on=False, label="lost")
