"""Strains and field direction that minimise a switching barrier at fixed remanent polarization.

    python experiments/inverse-design/barrier.py experiments/inverse-design/batio3-barrier.yaml

Writes beside the configuration a folder of its name: summary.json, design.json, trace.csv, trace.png, scan.png.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import grid, report, trace_on
from matplotlib.figure import Figure
from scipy.optimize import brentq

from ferrojax import effective, plotting
from ferrojax.design import Constraint, Design, Problem, Setting, Structure, Variable, optimise, setting, strain_component
from ferrojax.paths.space import Point
from ferrojax.study import read_study
from ferrojax.units import KV_PER_CM

FREE = (2, 3, 4)  # a film: the substrate holds xx, yy and xy


def main() -> None:
    settings, folder = read_study(__doc__)
    jax.config.update("jax_enable_x64", True)
    problem = rotation(settings)
    found = optimise(problem)
    axes = grid(settings)
    values = scanned(found, axes)
    report(found, axes, values, settings, folder)
    draw(found, axes, values, folder / "scan.png")


def rotation(settings: dict) -> Problem:
    """Up to down with P_x kept: the saddle has lost P_z."""
    bounds, size = settings["bounds"], settings["field_kV_per_cm"] * KV_PER_CM
    params, enthalpy = effective.load_parameters(settings["parameters"]), effective.make_enthalpy((1, 1, 1))
    substrate = effective.strain_tensor(jnp.array([bounds["strain_xx"][2], bounds["strain_yy"][2], 0, 0, 0, 0]))

    def start(mode: list[float]) -> Point:
        state = effective.uniform_state((1, 1, 1), mode)
        found = effective.stationary(enthalpy, params, state, substrate, clamp="epitaxial")
        return Point(effective.prepare(params, found.state), found.strain)

    def turned(here: Setting, degrees: jnp.ndarray) -> Setting:
        angle = jnp.deg2rad(degrees)
        return here.replace(field=size * jnp.stack([jnp.sin(angle), jnp.zeros(()), -jnp.cos(angle)]))

    low, high = start(settings["start_modes_A"]["up"]), start(settings["start_modes_A"]["top"])
    remanence = settings["remanence_C_per_m2"]
    return Problem(
        enthalpy,
        setting(params),
        [
            strain_component("xx", *bounds["strain_xx"]),
            strain_component("yy", *bounds["strain_yy"]),
            Variable("angle", *bounds["angle"], turned, "degrees"),
        ],
        {
            "up": Structure(low, free=FREE),
            "top": Structure(high, saddle=True, free=FREE),
            "remanent": Structure(low, free=FREE, in_field=False),
        },
        lambda here: here.barrier("top", "up"),
        {"remanence": Constraint(lambda here: here.polarization("remanent")[2], remanence, remanence, scale=0.1, unit="C/m²")},
        unit="eV",
    )


def scanned(found: Design, axes: dict[str, np.ndarray]) -> np.ndarray:
    """The barrier (eV) over strain_xx and angle; at each strain_xx the strain_yy of the remanence is found by Brent's method."""
    problem, values = found.problem, np.full([len(axis) for axis in axes.values()], np.nan)
    wanted, previous = problem.constraints["remanence"].lower, (problem.start, problem.relaxed(problem.start, problem.first()))
    for i, xx in enumerate(axes["strain_xx"]):

        def at(yy: float, degrees: float = 0.0, xx: float = xx) -> np.ndarray:
            nonlocal previous
            z = np.array([xx, yy, degrees])
            previous = (z, problem.follow(z, previous))
            return problem.value(*previous)

        # Along a line of constant remanence both strains change by nearly as much.
        guess = previous[0][1] - (xx - previous[0][0])
        yy = brentq(lambda yy, at=at: at(yy)[1] - wanted, guess - 0.0015, guess + 0.0015, xtol=1e-7)
        for j, degrees in enumerate(axes["angle"]):
            values[i, j] = at(yy, degrees)[0]
    return values


def draw(found: Design, axes: dict[str, np.ndarray], values: np.ndarray, path: Path) -> None:
    panel = Figure(figsize=(5.2, 4.0), layout="constrained")
    ax = panel.subplots()
    image = ax.pcolormesh(axes["strain_xx"], axes["angle"], 1e3 * values.T, cmap="viridis", shading="nearest")
    panel.colorbar(image, label="barrier (meV per cell)")
    trace_on(ax, found, ("strain_xx", "angle"))
    ax.set(
        xlabel="strain along x", ylabel="angle of the field to -z (degrees)", title=f"$P_z$ = {found.found.constraints[0]:.3g} C/m² held"
    )
    plotting.save(panel, path, dpi=150)


if __name__ == "__main__":
    main()
