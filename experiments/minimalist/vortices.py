"""The vortex-antivortex lattice of BaTiO3 against the homogeneous crystal, by a trained potential.

    python experiments/minimalist/vortices.py experiments/minimalist/batio3-vortices.yaml

Polarization in the plane turns about vortices and antivortices in a checkerboard, bulk-like along z. It is relaxed with its cell
held to that of the crystal polarized along [110], whose energy it is compared with. The folder of the configuration's name gets
summary.json, vortices.extxyz and vortices.png.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from ase.io import write
from common import read_experiment

from ferrojax import plotting
from ferrojax.ferroelectrics import local, structures, texture
from ferrojax.ferroelectrics.cells import find_cells
from ferrojax.ferroelectrics.structures.perovskite import species
from ferrojax.files import write_text


def main() -> None:
    settings, folder, potential = read_experiment(__doc__)
    formula, (nx, ny, nz) = settings["formula"], settings["cells"]
    upright = np.eye(3)  # the homogeneous crystal keeps right angles, as the textured one does
    start = structures.polarize(structures.perovskite(formula, settings["a_A"]), settings["homogeneous_A"])
    one, single = potential.relaxed(start, upright)
    ideal = structures.perovskite(formula, one.cell.lengths(), (nx, ny, nz))
    swirl = structures.vortex_lattice(ideal.cell.lengths(), settings["amplitude_A"], axis=2)
    found, energy = potential.relaxed(structures.polarize(ideal, swirl), False)
    cells = find_cells(ideal, *species(formula)[:2])
    _, off_centre = local.off_centring(cells, structures.displacements(found, ideal))
    grid = np.asarray(cells.grid(off_centre))
    cores = texture.vortices(grid, axis=2)[:, :, 0]
    above = 1e3 * (energy - single * nx * ny * nz) / (nx * ny * nz)
    summary = {
        "settings": settings,
        "above_homogeneous_meV_per_fu": round(above, 3),
        "vortices": int((cores == 1).sum()),
        "antivortices": int((cores == -1).sum()),
        "largest_off_centring_A": round(float(np.linalg.norm(grid, axis=-1).max()), 4),
    }
    print(json.dumps({k: v for k, v in summary.items() if k != "settings"}))
    write_text(folder / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    write(folder / "vortices.extxyz", found)
    draw(grid, one.cell.lengths(), folder / "vortices.png")


def draw(grid: np.ndarray, cell: np.ndarray, path: Path) -> None:
    x, y = ((np.arange(n) + 0.5) * length for n, length in zip(grid.shape[:2], cell[:2]))
    with plotting.journal():
        figure, axes = plotting.figure()
        plotting.vector_map(axes, x, y, grid[:, :, 0, :2])
        axes.set(xlabel="x (Å)", ylabel="y (Å)")
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
