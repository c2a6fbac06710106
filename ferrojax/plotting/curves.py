"""Curves of ferroelectrics: loops, walls, bands, paths, parity, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes

from ferrojax.ferroelectrics.walls import Walls, kinks
from ferrojax.plotting.style import BLUE, GREY, RED

MARKS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "markersize": 6.0, "fillstyle": "none"},
    {"marker": "s", "markersize": 2.8},
    {"marker": "D", "markersize": 3.2},
)  # one inside the other where components are equal


def loop(
    axes: Axes,
    field: Float[np.ndarray, " n"],
    polarization: Float[np.ndarray, " n"],
    first: Bool[np.ndarray, " n"] | None = None,
    **line: Any,
) -> Axes:
    """P (C/m²) against E (kV/cm). first: which points belong to the virgin curve, drawn dashed."""
    virgin = np.zeros(len(field), bool) if first is None else first
    if virgin.any():
        axes.plot(field[virgin], polarization[virgin], "--", color=GREY)
    axes.plot(field[~virgin], polarization[~virgin], **({"color": BLUE} | line))
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.set(xlabel="E (kV/cm)", ylabel="P (C/m²)")
    return axes


def wall_profile(
    axes: Axes,
    x: Float[np.ndarray, " n"],
    polarization: Float[np.ndarray, "n components"],
    names: Sequence[str] = ("x", "y", "z"),
    fit: Walls | tuple[float, float, float] | None = None,
) -> Axes:
    """Components of P (C/m²) across walls (x in Å), equal ones one inside the other.

    fit, drawn beneath: what ``fit_walls`` found, x being then its planes, evenly spaced over one period; or P0, x0, ξ of
    P0 tanh((x - x0)/ξ).
    """
    for k, (name, mark) in enumerate(zip(names, MARKS)):
        axes.plot(x, polarization[:, k], linestyle="none", **mark, label=f"$P_{name}$")
    if fit is not None:
        fine, curve, label = _fitted(x, fit)
        axes.plot(fine, curve, color=GREY, zorder=0, label=label)
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.set(xlabel="x (Å)", ylabel="P (C/m²)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2, columnspacing=1.2, handletextpad=0.4)
    return axes


def bands(
    axes: Axes,
    distance: Float[np.ndarray, "segments points"],
    frequencies: Float[np.ndarray, "segments points modes"],
    ends: Sequence[float],
    names: Sequence[str],
    **line: Any,
) -> Axes:
    """Phonon frequencies (THz, imaginary ones negative) along a path, with the names of its corners."""
    style: dict[str, Any] = {"color": BLUE, "linewidth": 0.9} | line
    for along, values in zip(distance, frequencies):
        axes.plot(along, values, **style)
    axes.set_xticks(ends, names)
    for end in ends:
        axes.axvline(end, color="0.85", linewidth=0.6, zorder=0)
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    axes.set(xlim=(ends[0], ends[-1]), ylabel="frequency (THz)")
    return axes


def energy_path(axes: Axes, distance: Float[np.ndarray, " images"], energies: Float[np.ndarray, " images"], **line: Any) -> Axes:
    """Energy (eV) of the images of a path above the first, in meV, against the distance along it (Å); the highest is marked."""
    height = 1e3 * (energies - energies[0])
    top = int(height.argmax())
    axes.plot(distance, height, "o-", **({"color": BLUE} | line))
    axes.plot(distance[top], height[top], "o", color=RED, markersize=5)
    axes.annotate(f"{height[top]:.4g} meV", (distance[top], height[top]), (8, 0), textcoords="offset points", va="center")
    axes.set(xlabel="distance along the path (Å)", ylabel="energy (meV)")
    return axes


def parity(axes: Axes, label: Float[np.ndarray, " n"], value: Float[np.ndarray, " n"], unit: str, name: str) -> Axes:
    """Prediction against label with their RMSE in the title."""
    axes.plot(label, value, ".", color=BLUE, markersize=2, alpha=0.5, rasterized=True)
    limits = [min(label.min(), value.min()), max(label.max(), value.max())]
    axes.plot(limits, limits, color="black", linewidth=0.6)
    error = float(np.sqrt(np.mean((value - label) ** 2)))
    axes.set(title=f"{name}: RMSE {error:.3g} {unit}", xlabel=f"label ({unit})", ylabel=f"prediction ({unit})")
    return axes


def training_curve(axes: Axes, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], ylabel: str) -> Axes:
    """Named curves (steps, values) on a logarithmic scale; points are marked where there are few."""
    for name, (steps, values) in curves.items():
        if len(steps):
            axes.plot(steps, values, marker="." if len(steps) < 30 else None, label=name)
    axes.set(xlabel="step", ylabel=ylabel, yscale="log")
    if axes.lines:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return axes


def _fitted(x: np.ndarray, fit: Walls | tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, str]:
    """The curve of a fit on a fine grid, and its label with its width."""
    if isinstance(fit, tuple):
        size, place, width = fit
        fine = np.linspace(x.min(), x.max(), 400)
        return fine, size * np.tanh((fine - place) / width), f"tanh, ξ = {width:.3g} Å"
    widths = np.array([width.value for width in fit.widths])
    step = float(x[1] - x[0])
    fine = np.linspace(x[0] - step / 2, x[-1] + step / 2, 800)
    found = fit.offset.value + fit.amplitude.value * kinks(fine, fit.places, widths / 2, np.array(fit.signs), step * len(x))
    return fine, found, f"tanh, 2ξ = {' and '.join(dict.fromkeys(f'{width:.3g}' for width in widths))} Å"
