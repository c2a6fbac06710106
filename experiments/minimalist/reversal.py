"""Reversal of the polarization of all cells at once, with the octahedra upright and with tilts that come and go on the way.

    python experiments/minimalist/reversal.py experiments/minimalist/pbtio3-reversal.yaml

The cell is clamped in the plane, as on a substrate; its height follows. A path that starts without tilts keeps none (its symmetry
forbids them), whatever they would gain: the others start with the tilts of the configuration at their middle. The folder of the
configuration's name gets summary.json, paths.csv and paths.png.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from ase import Atoms
from common import read_experiment

from ferrojax import plotting
from ferrojax.ferroelectrics import local, structures
from ferrojax.ferroelectrics.cells import find_cells
from ferrojax.ferroelectrics.structures.perovskite import species
from ferrojax.files import write_csv, write_text
from ferrojax.paths import minimum_energy_path
from ferrojax.paths.space import Point
from ferrojax.units import E_PER_A2

FREE = (2,)  # the height of the cell
COLUMNS = ("tilts", "image", "distance_A", "energy_meV_per_cell", "polarization_C_per_m2", "tilt_degrees")


def main() -> None:
    settings, folder, potential = read_experiment(__doc__)
    start = structures.polarize(structures.perovskite(settings["formula"], settings["cell_A"]), settings["mode_A"])
    up, _ = potential.relaxed(start, True)
    ideal = structures.perovskite(settings["formula"], up.cell.lengths(), settings["repeat"])
    rows, found = [], {}
    for tilts in settings["tilts"]:
        states = [potential.prepare(atoms) for atoms in images(settings, up, ideal, tilts)]
        points = [Point(state, np.zeros((3, 3))) for state in states]
        options = {"free": FREE, "start": points, "force_tolerance": potential.tolerance}
        path = minimum_energy_path(potential.enthalpy, potential.params, states[0], states[-1], **options)
        energies = 1e3 * (path.energies - path.energies[0]) / (len(ideal) // 5)
        angles = [largest_tilt(point.geometry().to_ase(), settings["formula"], ideal) for point in path.points]
        found[tilts] = {"barrier_meV_per_cell": float(energies.max()), "largest_tilt_degrees": max(angles)}
        values = zip(range(len(energies)), path.distance, energies, path.polarization[:, 2] * E_PER_A2, angles)
        rows += [(tilts, *(round(float(x), 5) for x in row)) for row in values]
        print(tilts, json.dumps(found[tilts]), flush=True)
    write_text(folder / "summary.json", json.dumps({"settings": settings, "paths": found}, indent=1) + "\n")
    write_csv(folder / "paths.csv", rows, COLUMNS)
    draw(rows, folder / "paths.png")


def images(settings: dict, up: Atoms, ideal: Atoms, tilts: str) -> list[Atoms]:
    """From up to down along a straight line, with the tilts as sin(πt)."""
    polar = structures.displacements(up.repeat(settings["repeat"]), ideal)
    angles = settings["tilts"][tilts]
    tilted = structures.displacements(structures.tilt(ideal, tilts, angles), ideal) if angles else np.zeros_like(polar)
    path = []
    for share in np.linspace(0, 1, settings["images"]):
        atoms = ideal.copy()
        atoms.positions += (1 - 2 * share) * polar + np.sin(np.pi * share) * tilted
        path.append(atoms)
    return path


def largest_tilt(atoms: Atoms, formula: str, ideal: Atoms) -> float:
    """Largest turn of an octahedron about z, degrees."""
    a, b = species(formula)[:2]
    moved = structures.displacements(atoms, ideal)
    omega = local.tilts(find_cells(ideal, a, b), moved, atoms.cell.array)
    return float(np.abs(omega[:, 2]).max())


def draw(rows: list[tuple], file: Path) -> None:
    with plotting.journal():
        figure, axes = plotting.figure()
        for colour, tilts in zip(plotting.PALETTE, dict.fromkeys(row[0] for row in rows)):
            mine = np.array([row[1:] for row in rows if row[0] == tilts])
            axes.plot(mine[:, 3], mine[:, 2], "o-", color=colour, label=tilts)
        axes.set(xlabel="$P_z$ (C/m²)", ylabel="energy (meV per cell)")
        axes.legend()
        plotting.save(figure, file)


if __name__ == "__main__":
    main()
