"""The epitaxial strain that maximises a flexoelectric coefficient of a stable PbTiO3 film, by the trained potential.

The coefficient grows without end as tension makes the polarization along z unstable, so the softest mode has to keep some stiffness.

    python experiments/inverse-design/flexo.py experiments/inverse-design/pbtio3-flexo.yaml

Writes beside the configuration a folder of its name: summary.json, design.json, trace.csv, trace.png, scan.png.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from common import grid, report
from matplotlib.figure import Figure

from ferrojax import plotting
from ferrojax.design import Constraint, Design, Problem, Structure, epitaxial, optimise, scan, setting
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium import relax
from ferrojax.paths.space import Point
from ferrojax.potential import load
from ferrojax.response.bloch import with_images
from ferrojax.study import read_study

FREE = (2,)  # zz follows; the film keeps the tetragonal axes
SITES = [(0, 0, 0.094), (0.5, 0.5, 0.556), (0.5, 0.5, 0.978), (0.5, 0, 0.473), (0, 0.5, 0.473)]  # PbTiO3, PBEsol


def main() -> None:
    settings, folder = read_study(__doc__)
    jax.config.update("jax_enable_x64", True)
    problem = film(settings, folder.parent)
    found = optimise(problem)
    axes = grid(settings)
    values, stiffness = np.moveaxis(scan(problem, axes), -1, 0)
    allowed = np.where(stiffness >= settings["softest_eV_per_A2"], values, np.nan)
    report(found, axes, allowed, settings, folder, scan=values.tolist(), stiffness_eV_per_A2=stiffness.tolist())
    draw(found, axes["epitaxial"], values, stiffness, settings, folder / "scan.png")


def film(settings: dict, folder: Path) -> Problem:
    """A tetragonal film with its polarization along z; zero strain is the relaxed bulk."""
    model, params, _ = load(folder / settings["model"])
    enthalpy, (a, c) = make_enthalpy(model, long_range="ewald"), settings["cell_A"]
    params = jax.tree.map(lambda x: jnp.asarray(x, float), params)
    start = model.prepare(Atoms("PbTiO3", scaled_positions=SITES, cell=[a, a, c], pbc=True), np.float64, skin=1.0)
    bulk = relax(enthalpy, params, start, cell=np.eye(3), force_tolerance=1e-6).state
    index = tuple("xyz".index(letter) for letter in settings["component"])
    return Problem(
        enthalpy,
        setting(params),
        [epitaxial(*settings["bounds"]["epitaxial"], name="epitaxial")],
        {"film": Structure(Point(with_images(bulk), jnp.zeros((3, 3))), free=FREE)},
        lambda here: jnp.abs(here.flexoelectric("film", model)[index]),
        {"stability": Constraint(lambda here: here.stiffness("film"), lower=settings["softest_eV_per_A2"], unit="eV/Å²")},
        sense="maximise",
        unit="nC/m",
    )


def draw(found: Design, strain: np.ndarray, values: np.ndarray, stiffness: np.ndarray, settings: dict, path: Path) -> None:
    panel = Figure(figsize=(5.0, 4.6), layout="constrained")
    top, bottom = panel.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    top.plot(100 * strain, values, "o-", color="#0072B2", markersize=4, linewidth=1.2, label="scan")
    steps = [(100 * record.z[0], record.objective) for record in found.trace if record.accepted]
    top.plot(*np.transpose(steps), "s", color="black", fillstyle="none", markersize=5, label="accepted designs")
    top.plot(100 * found.z[0], found.found.objective, "*", color="#D55E00", markersize=12, label="optimum")
    top.set(ylabel=f"|$\\mu_{{{settings['component']}}}$| (nC/m)")
    top.legend(frameon=False, fontsize=8)
    bottom.plot(100 * strain, stiffness, "o-", color="#009E73", markersize=4, linewidth=1.2)
    bottom.axhline(settings["softest_eV_per_A2"], color="#D55E00", linewidth=1.0, linestyle="--")
    bottom.set(xlabel="epitaxial strain (%)", ylabel="softest mode (eV/Å²)")
    for ax in (top, bottom):
        ax.spines[["top", "right"]].set_visible(False)
    plotting.save(panel, path, dpi=150)


if __name__ == "__main__":
    main()
