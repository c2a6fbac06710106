"""Ideal perovskites, the reference from which displacements are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.formula import Formula
from jaxtyping import Float

from ferrojax.effective.lattice import check_shape
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.sites import OFFSETS, OX, sites_of


def perovskite(formula: str, cell: Any, size: Any = (1, 1, 1)) -> Atoms:
    """Ideal ABX3 with A in the corners and B in the centres of its cells.

    formula: such as "PbTiO3": A, then B, then three X. cell: of one formula unit, Å: a number, three lengths or three rows.
    size: cells along the three axes.

    Raises FerrojaxError for another formula, a cell that is flat, left-handed or not finite, or a size that is not whole.
    """
    shape = check_shape(size)
    rows = cell_rows(cell)
    cells = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 1, 3)
    fractions = (cells + OFFSETS).reshape(-1, 3)
    atoms = Atoms(species(formula) * len(cells), positions=fractions @ rows, cell=rows * np.array(shape)[:, None], pbc=True)
    atoms.set_array("site", np.tile(np.arange(5), len(cells)))
    atoms.set_array("cell_index", np.repeat(cells[:, 0], 5, axis=0))
    return atoms


def species(formula: str) -> list[str]:
    """Elements of the five sites of "ABX3". Raises FerrojaxError for another formula."""
    try:
        counts = list(Formula(formula).count().items())
    except (ValueError, TypeError):
        counts = []
    if [n for _, n in counts] != [1, 1, 3]:
        raise FerrojaxError(f"a perovskite has a formula ABX3, such as PbTiO3, with A named first; got {formula!r}.")
    (a, _), (b, _), (x, _) = counts
    return [a, b, x, x, x]


def cell_rows(cell: Any) -> Float[np.ndarray, "3 3"]:
    """Rows of a cell given as one length, three lengths or three rows, Å. Raises FerrojaxError for what spans no right-handed cell."""
    try:
        values = np.asarray(cell, float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape in ((), (3,)) and (values > 0).all():
        values = np.diag(np.broadcast_to(values, 3))
    if values.shape != (3, 3) or not np.isfinite(values).all() or np.linalg.det(values) < 1e-3:
        raise FerrojaxError(f"a cell is a length above 0, three lengths, or three right-handed rows, in Å; got {cell!r}.")
    return values.copy()


def displacements(atoms: Atoms, reference: Atoms) -> Float[np.ndarray, "atoms 3"]:
    """Displacements from a reference of the same order of atoms, Å, by the shortest way and at the strain of ``atoms``.

        u = (s - s0 - nearest whole number) cell, less its mean

    s are fractions of the own cell of either. The mean is that over atoms: a common shift of all of them says nothing.
    Raises FerrojaxError unless both hold the same elements in the same order.
    """
    if len(atoms) != len(reference) or (atoms.numbers != reference.numbers).any():
        raise FerrojaxError(
            f"displacements: {atoms.get_chemical_formula()} and the reference {reference.get_chemical_formula()} must hold the same "
            "elements in the same order."
        )
    # Relative to the first atom, so that a shift of all by half a cell splits nothing.
    shift = atoms.get_scaled_positions(wrap=False) - reference.get_scaled_positions(wrap=False)
    shift -= shift[0]
    shift -= np.round(shift)
    return (shift - shift.mean(axis=0)) @ atoms.cell.array


def in_order(bulk: Atoms, reference: Atoms) -> Atoms:
    """A five-atom perovskite from elsewhere with its atoms in the order of ``reference``, next to their ideal places.

    The species of the reference say which atom is A and which is B; the A atom is put on its place.
    Raises FerrojaxError for other atoms, or where an oxygen is not nearest to one ideal place of its own.
    """
    if sorted(bulk.numbers) != sorted(reference.numbers) or len(bulk) != 5:
        raise FerrojaxError(
            f"bulk: {bulk.get_chemical_formula()} is not one formula unit of {reference.get_chemical_formula()}; give a five-atom cell."
        )
    order = [int(np.flatnonzero(bulk.numbers == number)[0]) for number in reference.numbers[:OX]]
    fractions = bulk.get_scaled_positions() - bulk.get_scaled_positions()[order[0]]
    oxygens = [i for i in range(5) if i not in order]
    order += [oxygens[i] for i in _nearest(fractions[oxygens])]
    moved = fractions[order] - OFFSETS
    found = Atoms(bulk.numbers[order], scaled_positions=OFFSETS + moved - np.round(moved), cell=bulk.cell, pbc=True)
    found.set_array("site", sites_of(reference).copy())
    return found


def _nearest(fractions: np.ndarray) -> list[int]:
    """Which of three oxygens lies nearest to each ideal place."""
    away = fractions[:, None] - OFFSETS[OX:]
    nearest = np.linalg.norm(away - np.round(away), axis=-1).argmin(axis=0)
    if len(set(nearest.tolist())) < 3:
        raise FerrojaxError("bulk: its oxygens cannot be told apart by their places; give a cell with its axes along the B-O-B bonds.")
    return nearest.tolist()


def polar_direction(moved: Float[np.ndarray, "5 3"]) -> Float[np.ndarray, "3"]:
    """Where the cations went from the centre of their oxygens, of displacements of the five sites: along P in perovskites."""
    return moved[:OX].mean(axis=0) - moved[OX:].mean(axis=0)
