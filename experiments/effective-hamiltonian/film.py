"""Domains of a film between electrodes that screen imperfectly: quenched from high temperature by Monte Carlo.

    python experiments/effective-hamiltonian/film.py experiments/effective-hamiltonian/batio3-wc-film.yaml

Writes beside the configuration a folder of its name: summary.json, and for each number of dead layers modes-*.npz, film-*.extxyz (for
OVITO) and film-*.png. A film whose modes are stored is only analysed and drawn anew.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ase.io import write as write_ase
from common import parameters

from ferrojax import effective, plotting
from ferrojax.dynamics import Constant, MonteCarlo, Ramp, run
from ferrojax.files import write_bytes, write_text
from ferrojax.study import read_study

UP_DOWN = ("#B35806", "#542788")  # colours of the map


def main() -> None:
    settings, folder = read_study(__doc__)
    results = {}
    for layers in settings["dead_layers"]:
        table = folder / f"modes-{layers}.npz"
        modes = np.load(table)["modes"] if table.exists() else quench(settings, layers, folder)
        results[f"dead_layers={layers}"] = analyse(modes)
        draw(modes, layers, folder / f"film-{layers}.png")
    write_text(folder / "summary.json", json.dumps({"settings": settings, "films": results}, indent=1) + "\n")
    for name, numbers in results.items():
        print(name, json.dumps(numbers))


def quench(settings: dict, dead_layers: int, folder: Path) -> np.ndarray:
    """The mean modes of one film, cooled linearly and then held."""
    shape, sweeps = tuple(settings["shape"]), settings["sweeps"]
    params = parameters(settings)
    boundary = effective.LatticeBoundary(dead_layers=dead_layers)
    enthalpy = effective.make_enthalpy(shape, boundary, clamp="epitaxial")
    noise = 0.05 * jax.random.normal(jax.random.key(settings["seed"]), (*shape, 3), jnp.float32)
    state = effective.prepare(params, effective.LatticeState(noise))
    cooling = Ramp(jnp.asarray(settings["hot_K"]), jnp.asarray(settings["cold_K"]), duration=0.7 * sweeps)
    monte_carlo = MonteCarlo(temperature=cooling)
    misfit = Constant(settings["misfit"] * jnp.diag(jnp.array([1.0, 1.0, 0.0], jnp.float32)))
    options = {"strain": misfit, "every": 100, "keep_positions": False}
    found = run(enthalpy, params, state, monte_carlo, sweeps, key=jax.random.key(settings["seed"]), temperature=300.0, **options)
    # The mean over the last stretch shows the domains without the heat.
    total, count, progress, here = np.zeros((*shape, 3)), 0, found.progress, found.state
    for _ in range(settings["averages"]):
        more = run(enthalpy, params, here, monte_carlo, 20, progress=progress, strain=misfit, every=20, keep_positions=False)
        progress, here = more.progress, more.state
        total, count = total + np.asarray(here.modes, float), count + 1
    modes = total / count
    save(state.replace(modes=jnp.asarray(modes)), dead_layers, folder)
    return modes


def analyse(modes: np.ndarray) -> dict[str, float | bool]:
    """What kind of domains: share of up and down, mean, turning of the modes at the electrodes; a period is an up and a down domain."""
    up = modes[..., 2] > 0
    inner = np.abs(modes[:, :, 1:-1, 2]).mean()
    across = np.hypot(modes[..., 0], modes[..., 1])
    spectrum = np.abs(np.fft.fft2(modes[..., 2].mean(2))) ** 2
    spectrum[0, 0] = 0.0
    peak = np.unravel_index(spectrum.argmax(), spectrum.shape)
    waves = [min(k, n - k) / n for k, n in zip(peak, spectrum.shape)]
    length = 1 / np.hypot(*waves) if any(waves) else float("inf")
    return {
        "share_up": float(up.mean()),
        "mean_uz_A": float(modes[..., 2].mean()),
        "mean_abs_uz_A": float(inner),
        "in_plane_at_electrodes_A": float(across[:, :, [0, -1]].mean()),
        "in_plane_inside_A": float(across[:, :, modes.shape[2] // 2].mean()),
        "period_cells": float(length),
        "domains": bool(0.05 < up.mean() < 0.95),
    }


def save(state: effective.LatticeState, dead_layers: int, folder: Path) -> None:
    """Modes and an extended XYZ."""
    data = io.BytesIO()
    np.savez(data, modes=np.asarray(state.modes, np.float32))
    write_bytes(folder / f"modes-{dead_layers}.npz", data.getvalue())
    atoms, text = state.to_ase(), io.StringIO()
    write_ase(text, atoms, format="extxyz")
    write_text(folder / f"film-{dead_layers}.extxyz", text.getvalue())


def draw(modes: np.ndarray, dead_layers: int, path: Path) -> None:
    """u_z in the middle plane, and a cut across the film whose arrows are as long as a cell where the mode is as large as the key says."""
    nx, ny, nz = modes.shape[:3]
    limit, unit = float(np.abs(modes[..., 2]).max()), 0.2  # Å
    x, y, z = np.arange(nx), np.arange(ny), np.arange(nz)
    cut = modes[:, ny // 2]
    with plotting.journal():
        figure, (left, right) = plotting.figure(1, 2, width=plotting.PAGE, height=50, width_ratios=(1, 1.75))
        plotting.component_map(left, x, y, modes[:, :, nz // 2, 2], "$u_z$ (Å)", largest=limit)
        left.axhline(ny // 2, color="black", linewidth=0.6, linestyle=":")
        left.set(xlabel="x (cells)", ylabel="y (cells)", title="middle plane")
        colour = np.where(cut[..., 2] > 0, *UP_DOWN).ravel()
        style = {"pivot": "mid", "angles": "xy", "scale_units": "xy", "scale": unit, "width": 0.003, "headwidth": 3.5, "color": colour}
        arrows = right.quiver(*np.meshgrid(x, z, indexing="ij"), cut[..., 0], cut[..., 2], **style)
        right.quiverkey(arrows, 0.86, 1.1, unit, f"{unit:g} Å", labelpos="E", coordinates="axes", color="black")
        layers = {0: "no dead layer", 1: "one dead layer"}.get(dead_layers, f"{dead_layers} dead layers")
        right.set(xlabel="x (cells)", ylabel="z (cells)", title=f"cut along the dotted line; {layers}", aspect="equal")
        right.set(xlim=(-1, nx), ylim=(-1, nz), yticks=range(0, nz, 5))
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
