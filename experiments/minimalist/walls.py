"""Energies and profiles of the domain walls of PbTiO3 by a trained potential.

    python experiments/minimalist/walls.py experiments/minimalist/titanates-walls.yaml

Bulk, then two walls in each cell, relaxed with the cell held (it is the mean of both domains, so the walls are free of stress).
The folder of the configuration's name gets summary.json, walls.csv and walls.png.
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
        profiles[name] = (found, moved, reference)
        rows.append({"wall": name, "atoms": len(found), "energy_mJ_per_m2": round(gamma, 2), "reference": case["reference"]})
        print(rows[-1], flush=True)
    record(settings, bulk, rows, folder)
    draw(settings, profiles, folder / "walls.png")


def record(settings: dict, bulk: Atoms, rows: list[dict], folder: Path) -> None:
    summary = {"settings": settings, "bulk_cell_A": bulk.cell.lengths().round(5).tolist(), "walls": rows}
    write_text(folder / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    write_csv(folder / "walls.csv", rows)


def draw(settings: dict, profiles: dict, path: Path) -> None:
    """How far each B atom is from the middle of its oxygens, in the direction that switches, across each cell."""
    a, b = species(settings["formula"])[:2]
    with plotting.journal():
        figure, axes = plotting.figure()
        for name, (atoms, moved, reference) in profiles.items():
            cells = find_cells(reference, a, b)
            off = local.off_centring(cells, moved)[1]
            x = (atoms.positions[cells.b] @ np.linalg.inv(atoms.cell.array))[:, 0] % 1.0 * atoms.cell.lengths()[0]
            order = np.argsort(x)
            axes.plot(x[order], off[order, int(off.std(0).argmax())], "o-", label=name)
        axes.set(xlabel="x (Å)", ylabel=f"off-centring of {b} (Å)")
        axes.legend(loc="upper right")
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
