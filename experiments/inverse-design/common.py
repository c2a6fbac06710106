"""What the experiments here share: an optimum held against a grid, and the report of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ferrojax.design import Design, save
from ferrojax.files import write_text


def grid(settings: dict) -> dict[str, np.ndarray]:
    """Axes of the scan, each given as [first, last, points]."""
    return {name: np.linspace(first, last, points) for name, (first, last, points) in settings["grid"].items()}


def best_of(values: np.ndarray, axes: dict[str, np.ndarray], sense: str) -> dict[str, float]:
    """Where a scanned objective is best."""
    place = np.unravel_index(np.nanargmin(values) if sense == "minimise" else np.nanargmax(values), values.shape)
    return {name: float(axis[k]) for (name, axis), k in zip(axes.items(), place)}


def report(found: Design, axes: dict[str, np.ndarray], values: np.ndarray, settings: dict, folder: Path, **more: Any) -> None:
    """Confirm the optimum, compare it with the best of the grid, and write design.json, trace.csv, trace.png and summary.json."""
    fresh = found.confirm()
    best = best_of(values, axes, found.problem.sense)
    optimum = dict(zip(found.problem.names, found.z.tolist()))
    steps = {name: abs(optimum[name] - best[name]) / float(axis[1] - axis[0]) for name, axis in axes.items()}
    numbers = {
        "optimum": optimum,
        "objective": found.found.objective,
        "constraints": dict(zip(found.problem.constraints, found.found.constraints.tolist())),
        "confirmed_from_scratch": fresh.tolist(),
        "evaluations": len(found.trace),
        "grid": {name: axis.tolist() for name, axis in axes.items()},
        "grid_values": values.tolist(),
        "grid_best": best,
        "distance_in_grid_steps": steps,
    }
    save(found, folder)
    write_text(folder / "summary.json", json.dumps({"settings": settings} | numbers | more, indent=1) + "\n")
    print(found)
    print("grid:", best, "distance in grid steps:", {name: round(x, 3) for name, x in steps.items()})


def trace_on(axes: Axes, found: Design, names: tuple[str, str]) -> None:
    """The accepted designs in the plane of two variables."""
    x, y = (found.problem.names.index(name) for name in names)
    path = np.array([record.z for record in found.trace if record.accepted])
    axes.plot(path[:, x], path[:, y], "o-", color="white", markeredgecolor="black", markersize=4, linewidth=1.0)
    axes.plot(*found.z[[x, y]], "*", color="#D55E00", markersize=12)
