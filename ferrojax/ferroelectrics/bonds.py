"""Neighbours that make a perovskite: the B atoms an oxygen joins, the cage an A atom sits in."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import vesin
from ase import Atoms
from jaxtyping import Float, Int

from ferrojax.errors import FerrojaxError

BRIDGE = 0.85  # of a cell: an oxygen's own B atoms are closer, also at c/a = 1.3; the next ones stand at 1.1
CAGE = 1.4  # of half a diagonal of the cell: A atoms are off centre by less


class Bridges(NamedTuple):
    """The two B atoms that each oxygen joins, counted among the B atoms, and the vector from the first to the second, Å."""

    ends: Int[np.ndarray, "oxygens 2"]
    vectors: Float[np.ndarray, "oxygens 3"]


def bridges(atoms: Atoms, b: Int[np.ndarray, " b"], o: Int[np.ndarray, " o"]) -> Bridges:
    """Of each oxygen. Raises FerrojaxError for one that has fewer than two B atoms within 0.85 cells."""
    reach = BRIDGE * (atoms.get_volume() / len(b)) ** (1 / 3)
    oxygen, neighbour, vector = _pairs(atoms, o, b, reach)
    order = np.lexsort((np.linalg.norm(vector, axis=1), oxygen))
    oxygen, neighbour, vector = oxygen[order], neighbour[order], vector[order]
    counts = np.bincount(oxygen, minlength=len(o))
    if counts.min() < 2:
        atom = o[counts.argmin()]
        raise FerrojaxError(
            f"find_cells: oxygen atom {atom} has {counts.min()} B atoms within {reach:.2f} Å, not two; is this a whole perovskite?"
        )
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return Bridges(np.stack([neighbour[first], neighbour[first + 1]], 1), vector[first + 1] - vector[first])


def choose_axes(oxygens: Bridges) -> Float[np.ndarray, "3 3"]:
    """Rough pseudo-cubic axes from the bonds of one B atom: closest to x, then closest to y, right-handed."""
    bonds = oxygens.vectors[(oxygens.ends == oxygens.ends[0, 0]).any(1)]
    bonds = np.concatenate([bonds, -bonds])
    lengths = np.linalg.norm(bonds, axis=1, keepdims=True)
    axes: list[np.ndarray] = []
    for wish in ((1.0, 0.1, 0.01), (0.01, 1.0, 0.1), (0.01, 0.1, 1.0)):  # the small parts decide between axes at 45 degrees
        apart = [np.abs((bonds / lengths) @ (axis / np.linalg.norm(axis))) < 0.7 for axis in axes]
        free = np.logical_and.reduce(apart) if apart else np.ones(len(bonds), bool)
        if not free.any():
            raise FerrojaxError("find_cells: the bonds of a B atom do not lie along three axes; is the reference a perovskite?")
        axes.append(bonds[free][np.argmax((bonds / lengths)[free] @ wish)])
    if np.linalg.det(axes) < 0:
        axes[2] = -axes[2]
    return np.stack(axes)


def cages(atoms: Atoms, a: Int[np.ndarray, " a"], b: Int[np.ndarray, " b"], axes: Float[np.ndarray, "3 3"]) -> Int[np.ndarray, " a"]:
    """Of each A atom the B atom, counted among them, at the corner (+, +, +) of its cage.

    Raises FerrojaxError for an A atom without such a corner, or two with the same.
    """
    diagonals = np.array(list(product((-1, 1), repeat=3))) @ axes / 2
    owner, neighbour, vector = _pairs(atoms, a, b, CAGE * np.linalg.norm(diagonals, axis=1).max())
    offset = vector @ np.linalg.inv(axes) - 0.5
    inside = (np.abs(offset) < 0.5).all(1)
    order = np.flatnonzero(inside)[np.lexsort((np.linalg.norm(offset[inside], axis=1), owner[inside]))]
    found, first = np.unique(owner[order], return_index=True)
    corners = neighbour[order][first]
    if len(found) < len(a):
        lost = a[np.setdiff1d(np.arange(len(a)), found)[0]]
        raise FerrojaxError(f"find_cells: atom {lost} ({atoms.symbols[lost]}) is in no cage of eight B atoms; are the sites named rightly?")
    taken = np.bincount(corners, minlength=len(b))
    if taken.max() > 1:
        two = a[corners == taken.argmax()]
        raise FerrojaxError(f"find_cells: atoms {two[0]} and {two[1]} are in the same cage of B atoms; are the sites named rightly?")
    return corners


def _pairs(atoms: Atoms, one: np.ndarray, other: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(number among the one, number among the other, vector between them) of all pairs closer than the reach, images counted."""
    points = np.concatenate([atoms.positions[one], atoms.positions[other]])
    listing = vesin.NeighborList(cutoff=reach, full_list=True)
    i, j, vector = listing.compute(points=points, box=atoms.cell.array, periodic=True, quantities="ijD")
    i, j = i.astype(np.int64), j.astype(np.int64)
    mixed = (i < len(one)) & (j >= len(one))
    return i[mixed], j[mixed] - len(one), vector[mixed]
