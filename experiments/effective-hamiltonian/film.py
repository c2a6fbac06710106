"""Domains of a film between electrodes that screen imperfectly: quenched from high temperature by Monte Carlo.

    python experiments/effective-hamiltonian/film.py experiments/effective-hamiltonian/batio3-wc-film.yaml

Writes beside the configuration a folder of its name: summary.json, modes.npz, film.extxyz (for OVITO) and film.png.
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

from ferrojax import effective
from ferrojax.dynamics import Constant, MonteCarlo, Ramp, run
from ferrojax.files import write_bytes, write_text
from ferrojax.study import read_study


def main() -> None:
    settings, folder = read_study(__doc__)
    results = {f"dead_layers={d}": quench(settings, d, folder) for d in settings["dead_layers"]}
    write_text(folder / "summary.json", json.dumps({"settings": settings, "films": results}, indent=1) + "\n")
    for name, numbers in results.items():
        print(name, json.dumps(numbers))


def quench(settings: dict, dead_layers: int, folder: Path) -> dict[str, float | bool]:
    """One film, cooled linearly and then held."""
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
    save(params, state.replace(modes=jnp.asarray(modes)), dead_layers, folder)
    return analyse(modes)


def analyse(modes: np.ndarray) -> dict[str, float | bool]:
    """What kind of domains: share of up and down, mean, turning of the modes at the electrodes."""
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


def save(params: effective.HeffParams, state: effective.LatticeState, dead_layers: int, folder: Path) -> None:
    """modes.npz, an extended XYZ and a picture."""
    data = io.BytesIO()
    np.savez(data, modes=np.asarray(state.modes, np.float32))
    write_bytes(folder / f"modes-{dead_layers}.npz", data.getvalue())
    atoms, text = state.to_ase(), io.StringIO()
    write_ase(text, atoms, format="extxyz")
    write_text(folder / f"film-{dead_layers}.extxyz", text.getvalue())
    draw(np.asarray(state.modes), f"{dead_layers} dead layers", folder / f"film-{dead_layers}.png")


def draw(modes: np.ndarray, title: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 2])
    limit = float(np.abs(modes[..., 2]).max())
    middle = modes[:, :, modes.shape[2] // 2, 2]
    image = left.imshow(middle.T, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit)
    left.set(xlabel="x (cells)", ylabel="y (cells)", title="$u_z$ in the middle plane (Å)")
    figure.colorbar(image, ax=left, shrink=0.8)
    cut = modes[:, modes.shape[1] // 2]
    x, z = np.meshgrid(np.arange(cut.shape[0]), np.arange(cut.shape[1]), indexing="ij")
    right.quiver(x, z, cut[..., 0], cut[..., 2], cut[..., 2], cmap="RdBu_r", clim=(-limit, limit), pivot="mid", scale=limit * 32)
    right.set(xlabel="x (cells)", ylabel="z (cells)", title=f"a cut at y = {modes.shape[1] // 2}; {title}", aspect="equal")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
