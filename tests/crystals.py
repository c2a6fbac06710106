"""A crystal and what the tests of structures measure on it."""

import spglib
from ase.neighborlist import neighbor_list

from ferrojax.ferroelectrics import structures as st

A0 = 3.95
TITANATE = st.perovskite("PbTiO3", A0, (2, 2, 2))


def symmetry(atoms, symprec=1e-4):
    return spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec)


def shortest(atoms):
    return neighbor_list("d", atoms, 3.5).min()


def bonds(atoms, centre, ligand="O", cutoff=2.6):
    """Vectors from every centre to its ligands."""
    i, j, vectors = neighbor_list("ijD", atoms, cutoff)
    keep = (atoms.symbols[i] == centre) & (atoms.symbols[j] == ligand)
    return i[keep], vectors[keep]
