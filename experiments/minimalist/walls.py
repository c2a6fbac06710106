"""Energies and profiles of the domain walls of PbTiO3 by a trained potential.

    python experiments/minimalist/walls.py experiments/minimalist/titanates-walls.yaml

Bulk, then two walls in each cell, relaxed with the cell held (it is the mean of both domains, so the walls are free of stress).
The folder of the configuration's name gets summary.json, walls.csv (energies), profiles.csv and walls.png.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from ase import Atoms
from common import read_experiment

from ferrojax import plotting
from ferrojax.ferroelectrics import local, structures, walls
from ferrojax.ferroelectrics.cells import find_cells
from ferrojax.ferroelectrics.structures.perovskite import species
from ferrojax.files import write_csv, write_text


def main() -> None:
    settings, folder, potential = read_experiment(__doc__)
    start = structures.polarize(structures.perovskite(settings["formula"], settings["cell_A"]), settings["mode_A"])
    bulk, energy = potential.relaxed(start, True)
    rows, profiles = [], {}
    for case in settings["walls"]:
        built, reference = structures.domain_wall(bulk, settings["formula"], case["angle"], case["cells"], centre=case["centre"])
        found, whole = potential.relaxed(built, False)
        area = float(np.linalg.norm(np.cross(found.cell[1], found.cell[2])))
        gamma = walls.wall_energy(whole, energy * len(found) / len(bulk), area)
        moved = structures.displacements(found, reference)
        name = f"{case['angle']}° {case['centre']}"
        profiles[label(settings, case)] = off_centring(settings, found, moved, reference)
        rows.append({"wall": name, "atoms": len(found), "energy_mJ_per_m2": round(gamma, 2), "reference": case["reference"]})
        print(rows[-1], flush=True)
    record(settings, bulk, rows, folder)
    draw(settings, profiles, folder)


def record(settings: dict, bulk: Atoms, rows: list[dict], folder: Path) -> None:
    summary = {"settings": settings, "bulk_cell_A": bulk.cell.lengths().round(5).tolist(), "walls": rows}
    write_text(folder / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    write_csv(folder / "walls.csv", rows)


def label(settings: dict, case: dict) -> str:
    """Which wall, by the element of the atoms that lie on it."""
    a, b = species(settings["formula"])[:2]
    return f"{case['angle']}° through {a if case['centre'] == 'A' else b}"


def off_centring(settings: dict, found: Atoms, moved: np.ndarray, reference: Atoms) -> np.ndarray:
    """x of each B atom and how far it is from the middle of its oxygens, in the direction that switches, Å, across the walls."""
    cells = find_cells(reference, *species(settings["formula"])[:2])
    off = local.off_centring(cells, moved)[1]
    share = (found.positions[cells.b] @ np.linalg.inv(found.cell.array))[:, 0]
    x = share.round(6) % 1.0 * found.cell.lengths()[0]  # rounded, or a plane at 0 may end up at the other end
    order = np.argsort(x)
    return np.stack([x[order], off[order, int(off.std(0).argmax())]], 1)


def draw(settings: dict, profiles: dict[str, np.ndarray], folder: Path) -> None:
    """profiles.csv and walls.png."""
    rows = [(name, *(round(float(value), 5) for value in point)) for name, points in profiles.items() for point in points]
    write_csv(folder / "profiles.csv", rows, ("wall", "x_A", "off_centring_A"))
    with plotting.journal():
        figure, axes = plotting.figure()
        for (name, points), mark in zip(profiles.items(), ("o-", "s--", "^-")):
            axes.plot(*points.T, mark, label=name)
        axes.set(xlabel="x (Å)", ylabel=f"off-centring of {species(settings['formula'])[1]} (Å)")
        axes.legend(loc="upper right")
        plotting.save(figure, folder / "walls.png")


if __name__ == "__main__":
    main()
