"""Ideal perovskites, the reference from which displacements are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.formula import Formula
from jaxtyping import Float

from ferrojax.effective.lattice import check_shape
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.sites import OFFSETS, OX, SITES, cell_indices, cells_along, pick, sites_of


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
    """A perovskite from elsewhere with its atoms in the order of ``reference``, next to their ideal places.

    reference: from ``perovskite``, of as many cells along each axis as the bulk has; its species say which atom is A and which is B.
    The A atoms are put on their places, in the mean. Raises FerrojaxError for other atoms, or where an atom is not nearest to one
    ideal place of its own.
    """
    if sorted(bulk.numbers) != sorted(reference.numbers):
        raise FerrojaxError(
            f"bulk: {bulk.get_chemical_formula()} and the reference {reference.get_chemical_formula()} must hold the same elements, "
            "as many of each."
        )
    size = np.array(cells_along(reference))
    on_a = np.isin(bulk.numbers, reference.numbers[pick(reference, "A")])
    fractions = bulk.get_scaled_positions() * size
    fractions -= np.angle(np.exp(2j * np.pi * fractions[on_a]).mean(axis=0)) / (2 * np.pi)
    sites = _nearest_sites(fractions, bulk.numbers, reference)
    cells = np.round(fractions - OFFSETS[sites])
    found_at = np.column_stack([np.mod(cells, size), sites, bulk.numbers])
    order = _matched(found_at, np.column_stack([cell_indices(reference), sites_of(reference), reference.numbers]))
    moved = (fractions - cells - OFFSETS[sites])[order]
    places = reference.get_scaled_positions(wrap=False) + moved / size
    found = Atoms(bulk.numbers[order], scaled_positions=places, cell=bulk.cell, pbc=True)
    for name in ("site", "cell_index"):
        found.set_array(name, reference.arrays[name].copy())
    return found


def _nearest_sites(fractions: np.ndarray, numbers: np.ndarray, reference: Atoms) -> np.ndarray:
    """Site of each atom: of those that its element takes, the one with the nearest ideal place."""
    away = fractions[:, None] - OFFSETS
    distance = np.linalg.norm(away - np.round(away), axis=-1)
    for site, name in enumerate(SITES):
        distance[~np.isin(numbers, reference.numbers[pick(reference, name)]), site] = np.inf
    return distance.argmin(axis=1)


def _matched(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of the atom on each wanted place."""
    order, target = np.lexsort(places.T), np.lexsort(wanted.T)
    if (places[order] != wanted[target]).any():
        raise FerrojaxError(
            "bulk: its atoms cannot be told apart by their places; give a cell with its axes along the B-O-B bonds and atoms near those of "
            "the ideal crystal."
        )
    return order[np.argsort(target)]


def polar_direction(moved: Float[np.ndarray, "5 3"]) -> Float[np.ndarray, "3"]:
    """Where the cations went from the centre of their oxygens, of displacements of the five sites: along P in perovskites."""
    return moved[:OX].mean(axis=0) - moved[OX:].mean(axis=0)
