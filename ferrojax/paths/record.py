"""Paths and barriers as files: images, tables, a figure."""

from __future__ import annotations

import io
import json
from pathlib import Path as File
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from matplotlib.figure import Figure

from ferrojax.effective.lattice import VOIGT, VOIGT_NAMES
from ferrojax.files import write_csv, write_text
from ferrojax.paths.barrier import Activation
from ferrojax.paths.path import Path
from ferrojax.paths.switching import Switching
from ferrojax.plotting import energy_path, figure, journal, save
from ferrojax.units import E_PER_A2


def images_of(path: Path) -> list[Atoms]:
    """The strained images as ASE structures with energy (G, eV) and forces; the polarization (C/m²) in ``info``."""
    frames = []
    for k, point in enumerate(path.points):
        atoms = point.geometry().to_ase()
        forces = path.forces[k][np.asarray(point.state.mobile)]
        atoms.calc = SinglePointCalculator(atoms, energy=float(path.energies[k]), forces=forces)
        atoms.info["polarization"] = path.polarization[k] * E_PER_A2
        atoms.info["distance"] = float(path.distance[k])
        if not point.state.follows_cell:
            atoms.info["strain"] = np.asarray(point.strain)
        frames.append(atoms)
    return frames


def table_of(path: Path) -> list[dict[str, float]]:
    """A row an image: distance (Å), energy above the first image (meV), polarization (C/m²), strain (Voigt)."""
    rows = []
    for k, point in enumerate(path.points):
        strain = np.asarray(point.strain)
        row = {"image": k, "distance_A": float(path.distance[k]), "energy_meV": 1e3 * float(path.energies[k] - path.energies[0])}
        row |= {f"P{axis}_C_per_m2": float(p) for axis, p in zip("xyz", path.polarization[k] * E_PER_A2)}
        row |= {f"strain_{name}": float(strain[pair]) for name, pair in zip(VOIGT_NAMES, VOIGT)}
        rows.append(row)
    return rows


def save_path(path: Path, folder: str | File) -> None:
    """``path.extxyz`` (images), ``path.csv`` (``table_of``) and ``path.png`` (``figure_of``) in a folder; each whole or not at all."""
    from ase.io import write

    folder, text = File(folder), io.StringIO()
    write(text, images_of(path), format="extxyz")
    write_text(folder / "path.extxyz", text.getvalue())
    write_csv(folder / "path.csv", table_of(path))
    save(figure_of(path), folder / "path.png")


def save_switching(found: Switching, folder: str | File) -> None:
    """What ``save_path`` writes, ``barrier.json`` with every number and its unit, ``saddle.extxyz``."""
    from ase.io import write

    folder, text = File(folder), io.StringIO()
    save_path(found.path, folder)
    write(text, found.saddle.point.geometry().to_ase(), format="extxyz")
    write_text(folder / "saddle.extxyz", text.getvalue())
    write_text(folder / "barrier.json", json.dumps(summary(found), indent=1) + "\n")


def summary(found: Switching) -> dict[str, Any]:
    """Barriers and derivatives both ways, how well the points converged, the path as a table."""
    numbers = {
        "forward": _numbers(found.forward),
        "backward": _numbers(found.backward),
        "longest_force_eV_per_A": {"saddle": found.saddle.force, "first": found.first.force, "last": found.last.force},
        "field_V_per_A": np.asarray(found.path.conditions.field).tolist(),
        "stress_eV_per_A3": np.asarray(found.path.conditions.stress).tolist(),
        "free_strains": list(found.path.conditions.free),
        "path": table_of(found.path),
    }
    if found.second is not None:
        numbers["second_derivatives"] = {
            "order": "strain xx yy zz yz xz xy (eta4 = 2 eps_yz), field x y z (V/A), stress xx yy zz yz xz xy (eV/A3); eV per product",
            "values": found.second.tolist(),
        }
    return numbers


def _numbers(activation: Activation) -> dict[str, Any]:
    return {
        "barrier_eV": activation.barrier,
        "by_strain_eV": activation.strain.tolist(),
        "dipole_e_A": activation.dipole.tolist(),
        "activation_strain": activation.stretch.tolist(),
        "activation_volume_A3": activation.volume,
        "unstable_mode_eV_per_A2": activation.soft,
    }


def figure_of(path: Path) -> Figure:
    """Energy and polarization along the path."""
    with journal():
        drawn, (upper, lower) = figure(2, 1, height=110, sharex=True)
        energy_path(upper, path.distance, path.energies).set(xlabel="")
        # Relative to the middle of the ends, on whatever branch the path lies.
        middle = (path.polarization[0] + path.polarization[-1]) / 2
        for axis, style in enumerate(("-.", "--", "-")):
            component = (path.polarization[:, axis] - middle[axis]) * E_PER_A2
            lower.plot(path.distance, component, style, marker="o", label=f"$P_{'xyz'[axis]}$")
        lower.axhline(0.0, color="0.7", linewidth=0.7, zorder=0)
        lower.set(xlabel="distance along the path (Å)", ylabel="polarization (C/m²)\nfrom the middle of the ends")
        lower.legend(ncols=3)
    return drawn
