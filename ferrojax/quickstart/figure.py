"""One figure of the whole quick start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from ferrojax import plotting
from ferrojax.plotting.style import BLUE, GREY, RED
from ferrojax.quickstart.statics import ATOMS

if TYPE_CHECKING:
    from ferrojax.quickstart.fit import Fit
    from ferrojax.quickstart.statics import Statics
    from ferrojax.quickstart.switching import Switching


def draw(path: Path, fitted: Fit, switching: Switching, rows: list[tuple[str, str, str]], statics: Statics) -> None:
    """Learning curve, force parity, numbers beside the reference, P_z(t) with E_z(t); written whole or not at all."""
    with plotting.journal():
        figure = Figure(figsize=(10.4, 6.4), layout="constrained")
        grid = figure.add_gridspec(2, 3, height_ratios=(1.2, 1.0), width_ratios=(1.0, 1.08, 1.3))
        _learning_curve(figure.add_subplot(grid[0, 0]), fitted)
        _parity(figure.add_subplot(grid[0, 1]), fitted)
        _numbers(figure.add_subplot(grid[0, 2]), rows, statics)
        _switching(figure.add_subplot(grid[1, :]), switching)
        plotting.save(figure, path, dpi=200)


def _learning_curve(axes: Any, fitted: Fit) -> None:
    curve = fitted.curve
    for name, label, colour, marker in (("forces_rmse", "forces (meV/Å)", BLUE, "o"), ("energy_rmse", "energy (meV/atom)", RED, "s")):
        axes.plot(curve["step"], curve[name], color=colour, marker=marker, markersize=2.2, linewidth=1.1, label=label)
    axes.set(xlabel="optimization step", ylabel="RMSE, held-out frames", yscale="log", ylim=_decades(curve))
    axes.set_title("(a) training from scratch")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(LogLocator(subs=tuple(range(2, 10))))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="upper right")


def _decades(curve: dict[str, np.ndarray]) -> tuple[float, float]:
    """Room for the legend above, a margin below."""
    values = np.concatenate([curve["forces_rmse"], curve["energy_rmse"]])
    return 0.7 * float(values.min()), 3.0 * float(values.max())


def _parity(axes: Any, fitted: Fit) -> None:
    styles = {"train": (GREY, "o", 5, 0.6), "held_out": (BLUE, "D", 9, 1.0)}
    for name, (colour, marker, size, alpha) in styles.items():
        label, value = (side / 1e3 for side in fitted.forces[name])
        rmse = 1e3 * np.sqrt(np.mean((label - value) ** 2))
        text = f"{name.replace('_', '-')}: {rmse:.0f} meV/Å"
        axes.scatter(label, value, s=size, c=colour, marker=marker, alpha=alpha, linewidths=0, label=text)
    limit = 1.08 * max(np.abs(side).max() for pair in fitted.forces.values() for side in pair) / 1e3
    axes.plot([-limit, limit], [-limit, limit], color="black", linewidth=0.6, zorder=0)
    axes.set(xlabel="DFT force (eV/Å)", ylabel="model force (eV/Å)", xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.set_anchor("N")
    axes.set_title("(b) force parity, RMSE")
    axes.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.0)


def _numbers(axes: Any, rows: list[tuple[str, str, str]], statics: Statics) -> None:
    """A table with rules above, between and below."""
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title("(c) PbTiO$_3$ at 0 K, shipped model")
    numbers = [("", "pbtio3-v1", "GPAW, PBEsol"), *rows]
    born: list[tuple[str, ...]] = [("Z*, tetragonal (e)", "xx", "yy", "zz")]
    born += [(name, *(f"{value:+.2f}" for value in np.diag(tensor))) for name, tensor in zip(ATOMS, statics.born)]
    height = 1.0 / (len(numbers) + len(born) + 1)
    _table(axes, numbers, (0.66, 1.0), 1.0, height)
    _table(axes, born, (0.56, 0.78, 1.0), 1.0 - (len(numbers) + 0.6) * height, height)


def _table(axes: Any, rows: Sequence[tuple[str, ...]], columns: tuple[float, ...], top: float, height: float) -> None:
    """First column flush left, the others flush right at ``columns``; the first row is the head."""
    for place, (name, *cells) in enumerate(rows):
        y = top - (place + 0.5) * height
        axes.text(0.0, y, name.replace("P_s", "$P_s$").replace("-", "\N{EN DASH}"), va="center")
        for x, cell in zip(columns, cells):
            axes.text(x, y, cell.replace("-", "\N{MINUS SIGN}") if place else cell, va="center", ha="right")
    for place, width in ((0, 0.9), (1, 0.5), (len(rows), 0.9)):
        axes.plot([0, 1], [top - place * height] * 2, color="black", linewidth=width, clip_on=False)


def _switching(axes: Any, switching: Switching) -> None:
    time = switching.time / 1e3
    axes.plot(time, switching.polarization, color=BLUE, linewidth=1.2)
    axes.axhline(0.0, color=GREY, linewidth=0.5, zorder=0)
    limit = 1.25 * max(0.1, float(np.abs(switching.polarization).max()))
    axes.set(xlabel="time (ps)", xlim=(0, time[-1]), ylim=(-limit, limit))
    axes.set_ylabel("$P_z$ (C/m²), solid", color=BLUE)
    axes.set_title(f"(d) field reversal, {switching.atoms} atoms, 300 K, cell fixed")
    other = axes.twinx()
    other.spines["right"].set_visible(True)
    other.plot(time, switching.field, color=RED, linewidth=1.2, linestyle=(0, (5, 2)))
    strongest = 1.25 * max(1e-9, float(np.abs(switching.field).max()))
    other.set_ylim(-strongest, strongest)
    other.set_ylabel("$E_z$ (V/Å), dashed", color=RED)
    for side, colour in ((axes, BLUE), (other, RED)):
        side.tick_params(axis="y", colors=colour)
