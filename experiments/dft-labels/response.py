"""Symmetric cells for Born charges and ε∞: along the polar distortions and under strain, where linear response is cheap.

    python experiments/dft-labels/response.py PbTiO3 structures/pbtio3-linear-response.extxyz     in experiments/dft-labels
    ferrojax label add structures/pbtio3-linear-response.extxyz --queue QUEUE --engine espresso --properties born_charges polarizability

Atoms are moved along the polar displacements of the relaxed tetragonal cell (relax.py), turned to [001], [011] or [111], in cubic and
tetragonal cells.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

A_SITES = {"PbTiO3": "Pb", "BaTiO3": "Ba"}
IDEAL = np.array([(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
BONDS = [0, 0, 2, 1, 0]  # axis of the oxygens' bonds with titanium; the first two rows are not used
CASES = {  # name: (direction, share of the displacements, a and c as shares of those of the tetragonal cell's way from the cubic one)
    "cubic": ((0, 0, 1), 0.0, 0.0),
    "tetragonal, relaxed": ((0, 0, 1), 1.0, 1.0),
    "tetragonal, three quarters": ((0, 0, 1), 0.75, 0.75),
    "tetragonal, half": ((0, 0, 1), 0.5, 0.5),
    "tetragonal, in the cubic cell": ((0, 0, 1), 0.6, 0.0),
    "centred in the tetragonal cell": ((0, 0, 1), 0.0, 1.0),
    "orthorhombic": ((0, 1, 1), 0.7, 0.0),
    "rhombohedral": ((1, 1, 1), 0.7, 0.0),
}


def main(formula: str, out: str) -> None:
    relaxed = json.loads((Path(__file__).parent / f"{formula.lower()}-relaxed.json").read_text())
    structures = [structure(formula, relaxed, name, *case) for name, case in CASES.items()]
    for scale in (0.98, 1.02):
        squeezed = structures[0].copy()
        squeezed.set_cell(squeezed.cell * scale, scale_atoms=True)
        squeezed.info["system"] = f"{formula} cubic, {scale:g} of its edge"
        structures.append(squeezed)
    write(out, structures, format="extxyz")
    print(f"{len(structures)} structures in {out}")


def structure(formula: str, relaxed: dict, name: str, direction: tuple, share: float, cell: float) -> Atoms:
    cubic = relaxed["cubic"]["cell"][0][0]
    tetragonal = np.diag(relaxed["tetragonal"]["cell"])
    edges = cubic + cell * (tetragonal - cubic)
    moved = (np.array(relaxed["tetragonal"]["scaled_positions"]) - IDEAL)[:, 2] * tetragonal[2]
    along, across = moved[2], moved[3]
    shifts = np.zeros((5, 3))
    for axis, part in enumerate(np.array(direction) / np.linalg.norm(direction)):
        shifts[:2, axis] = part * moved[:2]
        shifts[2:, axis] = [part * (along if BONDS[k] == axis else across) for k in (2, 3, 4)]
    atoms = Atoms([A_SITES[formula], "Ti", "O", "O", "O"], scaled_positions=IDEAL, cell=edges, pbc=True)
    atoms.positions += share * shifts
    atoms.info["system"] = f"{formula} {name}"
    return atoms


if __name__ == "__main__":
    main(*sys.argv[1:3])
