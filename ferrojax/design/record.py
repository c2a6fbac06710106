"""An optimisation as files: JSON, CSV of the designs tried, a figure of the trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ferrojax.design.design import Design
from ferrojax.files import write_csv, write_text
from ferrojax.plotting import figure, journal
from ferrojax.plotting import save as save_figure
from ferrojax.plotting.style import GREY


def summary(design: Design) -> dict[str, Any]:
    """The optimum with its gradient, the bounds, and every design tried."""
    problem, found = design.problem, design.found
    lower, upper = problem.bounds
    return {
        "method": design.method,
        "sense": problem.sense,
        "optimum": dict(zip(problem.names, design.z.tolist())),
        "bounds": {name: [float(a), float(b)] for name, a, b in zip(problem.names, lower, upper)},
        "objective": found.objective,
        "gradient": dict(zip(problem.names, found.slope.tolist())),
        "constraints": dict(zip(problem.constraints, found.constraints.tolist())),
        "trace": table(design),
    }


def table(design: Design) -> list[dict[str, Any]]:
    """A row a design tried: z, objective, constraints, scaled projected gradient, accepted, and why it was refused."""
    rows = []
    for record in design.trace:
        row: dict[str, Any] = dict(zip(design.problem.names, map(float, record.z))) | {"objective": record.objective}
        row |= dict(zip(design.problem.constraints, map(float, record.constraints)))
        rows.append(row | {"gradient_norm": record.gradient_norm, "accepted": record.accepted, "lost": record.lost})
    return rows


def save(design: Design, folder: str | Path, **more: Any) -> None:
    """``design.json`` (``summary`` and ``more``), ``trace.csv`` and ``trace.png`` in a folder; each whole or not at all."""
    folder = Path(folder)
    write_text(folder / "design.json", json.dumps(summary(design) | more, indent=1) + "\n")
    write_csv(folder / "trace.csv", table(design))
    save_figure(figure_of(design), folder / "trace.png")


def figure_of(design: Design) -> Figure:
    """Objective, constraints and variables (in their bounds) over the accepted designs."""
    problem, accepted = design.problem, [record for record in design.trace if record.accepted]
    names, steps = list(problem.constraints), np.arange(len(accepted))
    with journal():
        panel, axes = figure(2 + bool(names), 1, height=50 * (2 + bool(names)), sharex=True)
        axes[0].plot(steps, [record.objective for record in accepted], "o-")
        axes[0].set_ylabel(_with_unit("objective", problem.unit))
        lower, upper = problem.bounds
        for k, (name, variable) in enumerate(zip(problem.names, problem.variables)):
            span = f"{lower[k]:g} to {upper[k]:g} {variable.unit}".rstrip()
            axes[1].plot(steps, [(r.z[k] - lower[k]) / (upper[k] - lower[k]) for r in accepted], "o-", label=f"{name}: {span}")
        axes[1].set(ylabel="place between the bounds", ylim=(-0.05, 1.05))
        axes[1].legend()
        for k, name in enumerate(names):
            constraint = problem.constraints[name]
            axes[2].plot(steps, [record.constraints[k] for record in accepted], "o-", label=_with_unit(name, constraint.unit))
            for bound in {constraint.lower, constraint.upper}:
                if np.isfinite(bound):
                    axes[2].axhline(bound, color=GREY, linewidth=0.7, zorder=0)
        if names:
            axes[2].set_ylabel("constraints, with their bounds")
            axes[2].legend()
        axes[-1].set_xlabel("accepted design")
        axes[-1].xaxis.get_major_locator().set_params(integer=True)
    return panel


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name
