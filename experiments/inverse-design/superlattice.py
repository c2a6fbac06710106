"""Layer thickness of a superlattice that gives the largest susceptibility of a stable structure.

    python experiments/inverse-design/superlattice.py experiments/inverse-design/basrtio3-superlattice.yaml

Writes beside the configuration a folder of its name: summary.json, design.json, trace.csv, trace.png, scan.png.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import grid, report
from matplotlib.figure import Figure

from ferrojax import effective, plotting
from ferrojax.design import Constraint, Design, Problem, Structure, layer_thickness, optimise, scan, setting
from ferrojax.paths.space import Point
from ferrojax.study import read_study

FREE = (2, 3, 4)  # a film: the substrate holds xx, yy and xy


def main() -> None:
    settings, folder = read_study(__doc__)
    jax.config.update("jax_enable_x64", True)
    problem = superlattice(settings)
    found = optimise(problem, settings["method"])
    axes = grid(settings)
    every = scan(problem, axes)
    values = np.where(feasible(problem, every), every[..., 0], np.nan)
    report(found, axes, values, settings, folder, constraint_values=every[..., 1:].tolist())
    draw(found, axes, every, folder / "scan.png")


def superlattice(settings: dict) -> Problem:
    """Ba layers in SrTiO3 along z, one cell wide in the plane, P along z."""
    shape = (1, 1, settings["period_cells"])
    params, enthalpy = effective.load_parameters(settings["parameters"]), effective.make_enthalpy(shape)
    thickness = layer_thickness(shape, *settings["bounds"]["thickness"], intermixing=settings["intermixing_cells"])
    base = setting(params, strain=settings["misfit"] * jnp.diag(jnp.array([1.0, 1.0, 0.0])))
    filled = thickness.apply(base, jnp.asarray(thickness.start)).occupation
    state = effective.uniform_state(shape, settings["start_mode_A"]).replace(occupation=filled)
    well = effective.minimise(enthalpy, params, state, base.strain, clamp="epitaxial", tolerance=1e-7)
    axis = "xyz".index(settings["axis"])
    stiff = Constraint(lambda here: here.stiffness("well"), lower=settings["stiffness_eV_per_A2"], scale=0.1, unit="eV/Å²")
    return Problem(
        enthalpy,
        base,
        [thickness],
        {"well": Structure(Point(effective.prepare(params, well.state), well.strain), free=FREE)},
        lambda here: here.susceptibility("well")[axis, axis],
        {"stiffness": stiff},
        "maximise",
    )


def feasible(problem: Problem, values: np.ndarray) -> np.ndarray:
    """Where a grid keeps the constraints."""
    good = np.isfinite(values[..., 0])
    for k, constraint in enumerate(problem.constraints.values()):
        good &= (values[..., 1 + k] >= constraint.lower) & (values[..., 1 + k] <= constraint.upper)
    return good


def draw(found: Design, axes: dict[str, np.ndarray], values: np.ndarray, path: Path) -> None:
    panel = Figure(figsize=(5.0, 3.4), layout="constrained")
    ax = panel.subplots()
    ax.plot(axes["thickness"], values[:, 0], "o-", color="#0072B2", markersize=4, linewidth=1.2, label="scan")
    steps = [(record.z[0], record.objective) for record in found.trace if record.accepted]
    ax.plot(*np.transpose(steps), "s", color="black", fillstyle="none", markersize=5, label="accepted designs")
    ax.plot(found.z[0], found.found.objective, "*", color="#D55E00", markersize=12, label="optimum")
    bad = ~feasible(found.problem, values)
    ax.plot(axes["thickness"][bad], values[bad, 0], "o", color="0.7", markersize=4, label="too soft" if bad.any() else None)
    ax.set(xlabel="thickness of the Ba layer (cells)", ylabel="susceptibility")
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    plotting.save(panel, path, dpi=150)


if __name__ == "__main__":
    main()
