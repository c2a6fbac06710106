"""Structures whose labels tell what first principles say of a perovskite: phonons at Γ, Born charges, elastic constants, tilts.

    cd experiments/dft-labels; python ../shipped-models/reference.py pbtio3-relaxed.json structures/pbtio3-reference.extxyz

Around the cubic and tetragonal cells that relax.py relaxed: the displacements that phonopy asks for, strained cells with atoms
held, and the tilts of R (out of phase) and M (in phase) in twenty atoms. Their labels are for comparison, never for training;
validate.py reads them. Names: PHASE/rest, PHASE/move-K, PHASE/strain-COMPONENT±, tilts/R, tilts/M.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.io import write
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

MOVE = 0.03  # Å
STRAIN = 0.005
TILT = 0.05  # Å, of each oxygen in the plane
SYMMETRY = 1e-4  # Å
COMPONENTS = {"xx": (0, 0), "zz": (2, 2), "yz": (1, 2), "xy": (0, 1)}
STRAINS = {"cubic": ("xx+", "xx-", "yz+"), "tetragonal": ("xx+", "xx-", "zz+", "zz-", "yz+", "xy+")}  # shears of both signs are alike


def main(relaxed: str, out: str) -> None:
    found = json.loads(Path(relaxed).read_text())
    cells = {phase: perovskite(found[phase]) for phase in ("cubic", "tetragonal")}
    structures = [named for phase, atoms in cells.items() for named in around(phase, atoms)] + tilts(cells["cubic"])
    write(out, structures, format="extxyz")
    print(f"{len(structures)} structures in {out}")


def perovskite(relaxed: dict) -> Atoms:
    """The cell, without the optimiser's noise in its zeros."""
    cell = np.diag(np.diag(relaxed["cell"]))
    places = np.array(relaxed["scaled_positions"])
    places[:, :2] = np.rint(4 * places[:, :2]) / 4
    return Atoms(relaxed["symbols"], scaled_positions=places, cell=cell, pbc=True)


def around(phase: str, atoms: Atoms) -> list[Atoms]:
    phonopy = phonopy_of(atoms)
    phonopy.generate_displacements(distance=MOVE, is_diagonal=False)
    moves = []
    for k, move in enumerate(phonopy.dataset["first_atoms"]):
        moved = atoms.copy()
        moved.positions[move["number"]] += move["displacement"]
        moves.append(name(moved, f"{phase}/move-{k}"))
    strains = [name(strained(atoms, which), f"{phase}/strain-{which}") for which in STRAINS[phase]]
    return [name(atoms.copy(), f"{phase}/rest"), *moves, *strains]


def phonopy_of(atoms: Atoms) -> Phonopy:
    """Phonons of one cell, at Γ."""
    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(), cell=atoms.cell.array, scaled_positions=atoms.get_scaled_positions(wrap=False)
    )
    return Phonopy(cell, np.eye(3, dtype=int), primitive_matrix=np.eye(3), symprec=SYMMETRY)


def strained(atoms: Atoms, which: str) -> Atoms:
    """The cell strained by one component of the symmetric tensor, atoms following it."""
    strain = np.zeros((3, 3))
    i, j = COMPONENTS[which[:2]]
    strain[i, j] = strain[j, i] = STRAIN if which[2] == "+" else -STRAIN
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return moved


def tilts(cubic: Atoms) -> list[Atoms]:
    """Octahedra turned about z in √2 x √2 x 2 cells: neighbours along z turn the other way (R) or alike (M)."""
    structures = []
    for wave, along_z in (("R", -1), ("M", 1)):
        a = cubic.cell.array[0, 0]
        cell = make_supercell(cubic, [[1, 1, 0], [-1, 1, 0], [0, 0, 2]])
        for atom in cell:
            x, y, z = atom.position / a
            in_plane = atom.symbol == "O" and abs(z % 1 - 0.5) < 0.1  # those beside titanium, not above it
            if in_plane:
                i, j = np.floor(x + 1e-6), np.floor(y + 1e-6)
                sign = (-1) ** int(i + j) * (along_z if int(np.floor(z)) % 2 else 1)
                # Titanium is at (i + 1/2, j + 1/2): oxygen at (i + 1/2, j) moves along x, that at (i, j + 1/2) along -y.
                direction = np.array([1.0, 0, 0]) if abs(x % 1 - 0.5) < 0.1 else np.array([0, -1.0, 0])
                atom.position += sign * TILT * direction
        structures.append(name(cell, f"tilts/{wave}"))
    return structures


def name(atoms: Atoms, system: str) -> Atoms:
    atoms.info["system"] = system
    return atoms


if __name__ == "__main__":
    main(*sys.argv[1:3])
