"""The unit cells of a perovskite crystal as integers: which atoms each has, and which cell comes next along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from jaxtyping import Float, Int

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.bonds import bridges, cages, choose_axes

Species = str | Sequence[str]
# Cells an atom may be from its ideal place; beyond it the crystal is no longer the one of the reference. Below one, because where two cells
# repeat nothing is farther than one: atoms in another order would pass.
FARTHEST = 0.75


@dataclass(frozen=True)
class PerovskiteCells:
    """Cells of ABO3, found once by ``find_cells``; everything here is integers but the ideal fractions.

    Cell c holds B atom b[c], the A atom a[c] at its lower corner (-½, -½, -½) and the oxygens o[c, k] on its lower faces, -½ along axis k.
    next, previous: neighbouring cell along each axis. index: place of the cell in the pseudo-cubic lattice. The lattice vectors of
    the crystal are supercell @ (pseudo-cubic axes). shape: cells along the axes where the supercell repeats along them, and then cells are
    in the order of a grid (last axis fastest); else None. ideal: fractional coordinates of the centrosymmetric, unstrained crystal
    where the reference stands. numbers: atomic numbers of the reference.
    """

    a: Int[np.ndarray, " cells"]
    b: Int[np.ndarray, " cells"]
    o: Int[np.ndarray, "cells 3"]
    next: Int[np.ndarray, "cells 3"]
    previous: Int[np.ndarray, "cells 3"]
    index: Int[np.ndarray, "cells 3"]
    supercell: Int[np.ndarray, "3 3"]
    shape: tuple[int, int, int] | None
    ideal: Float[np.ndarray, "atoms 3"]
    numbers: Int[np.ndarray, " atoms"]

    def __len__(self) -> int:
        return len(self.b)

    def axes(self, cell: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
        """The mean pseudo-cubic lattice vectors as rows, Å, of a frame's cell."""
        return np.linalg.solve(self.supercell, cell)

    def grid(self, values: Float[np.ndarray, "cells 3"]) -> Float[np.ndarray, "x y z 3"]:
        """Vectors of the cells as an array over the grid. Raises FerrojaxError if the supercell is no grid."""
        if self.shape is None:
            raise FerrojaxError(
                f"the supercell {self.supercell.tolist()} does not repeat along its pseudo-cubic axes: it has no layers or walls."
            )
        return values.reshape(*self.shape, 3)

    def displacements(
        self,
        positions: Float[np.ndarray, "atoms 3"],
        cell: Float[np.ndarray, "3 3"],
        numbers: Int[np.ndarray, " atoms"] | None = None,
    ) -> Float[np.ndarray, "atoms 3"]:
        """u_i, Å, of each atom from its ideal place in the frame's own cell, their mean zero; wrapping and drift do not matter.

        numbers: atomic numbers of the frame, to be compared with those of the reference.

        Raises FerrojaxError for another number, another order or other kinds of atoms and for one that has left its cell.
        """
        if positions.shape != self.ideal.shape:
            raise FerrojaxError(
                f"cells: the frame has {len(positions)} atoms, the reference {len(self.ideal)}; give the reference of this run."
            )
        if numbers is not None:
            self._compare(numbers)
        moved = positions @ np.linalg.inv(cell)
        moved -= self.ideal
        _at_rest(moved, self.b)
        farthest = np.abs(moved @ self.supercell).max(1)
        if farthest.max() > FARTHEST:
            atom = int(farthest.argmax())
            raise FerrojaxError(
                f"atom {atom} is {farthest[atom]:.2f} cells from its place in the reference; has the crystal molten or diffused?"
            )
        return moved @ cell

    def _compare(self, numbers: Int[np.ndarray, " atoms"]) -> None:
        if np.array_equal(numbers, self.numbers):
            return
        atom = int((numbers != self.numbers).argmax())
        here, there = chemical_symbols[numbers[atom]], chemical_symbols[self.numbers[atom]]
        raise FerrojaxError(
            f"cells: atom {atom} is {here} in the frame and {there} in the reference; "
            "give a reference with the atoms of the trajectory in the same order (its first frame), or the elements of its types."
        )


def _at_rest(moved: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Take the drift off fractional displacements, whatever was wrapped, in place; the drift is returned."""
    drift = np.angle(np.exp(2j * np.pi * moved[b]).mean(0)) / (2 * np.pi)
    moved -= drift
    moved -= np.rint(moved)
    rest = moved.mean(0)
    moved -= rest
    return drift + rest


def find_cells(reference: Atoms, a: Species, b: Species, o: Species = "O") -> PerovskiteCells:
    """The cells of a perovskite, in any supercell, orientation, order of atoms and wrapping.

    Each oxygen joins the two B atoms nearest to it; the three directions of these bonds are the pseudo-cubic axes, named so that the
    first lies closest to x, the second then closest to y; each A atom belongs to the cage of eight B around it. Polar displacements,
    tilts and strain of up to a fourth of a cell do no harm.

    Args:
        reference: periodic; of an ABO3 crystal without vacancies.
        a, b, o: symbols of the species on each kind of site.

    Raises FerrojaxError, naming the atom, for species on no site, numbers that are not 1:1:3, a B atom without six oxygens, and an A
    atom without a cage of its own.
    """
    sites = _sites(reference, a, b, o)
    cell, positions = reference.cell.array, reference.positions
    oxygens = bridges(reference, sites[1], sites[2])
    axes = choose_axes(oxygens)
    kind, lower, upper = _edges(reference, sites, oxygens.ends, oxygens.vectors @ np.linalg.inv(axes))
    axes = np.stack([_mean_bond(oxygens.vectors, axes, kind == k, k) for k in range(3)])
    supercell = np.rint(cell @ np.linalg.inv(axes)).astype(int)
    count = len(sites[1])
    following, faces = np.empty((count, 3), int), np.empty((count, 3), int)
    following[lower, kind], faces[upper, kind] = upper, sites[2]
    corners = cages(reference, sites[0], sites[1], np.linalg.solve(supercell, cell))
    corner = np.empty(count, int)
    corner[corners] = sites[0]
    index = _walk(following, supercell)
    shape, numbers = _shape(supercell), reference.numbers.copy()
    cells = _ordered(PerovskiteCells(corner, sites[1], faces, following, following, index, supercell, shape, 0.0 * positions, numbers))
    cells.ideal[:] += _at_rest(positions @ np.linalg.inv(cell) - cells.ideal, cells.b)  # so that the cells stand where the atoms are
    return cells


def _sites(reference: Atoms, a: Species, b: Species, o: Species) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the atoms on each kind of site."""
    if not reference.cell.rank == 3:
        raise FerrojaxError("find_cells: the reference has no periodic cell; give a bulk crystal.")
    names = [{x} if isinstance(x, str) else set(x) for x in (a, b, o)]
    symbols = np.array(reference.get_chemical_symbols())
    stray = sorted(set(symbols.tolist()) - (names[0] | names[1] | names[2]))
    if stray:
        raise FerrojaxError(
            f"find_cells: {', '.join(stray)} is on none of the sites A {sorted(names[0])}, B {sorted(names[1])}; name its site."
        )
    found = [np.flatnonzero(np.isin(symbols, list(x))) for x in names]
    numbers = [len(x) for x in found]
    if numbers[1] == 0 or numbers != [numbers[1], numbers[1], 3 * numbers[1]]:
        raise FerrojaxError(
            f"find_cells: {numbers[0]} A, {numbers[1]} B and {numbers[2]} O atoms; a crystal ABO3 without vacancies has 1:1:3."
        )
    return found[0], found[1], found[2]


def _edges(reference: Atoms, sites: tuple, ends: np.ndarray, reduced: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axis of each oxygen's bond, and the cells below and above it; every B has one on each side along each axis."""
    kind = np.abs(reduced).argmax(1)
    forward = np.take_along_axis(reduced, kind[:, None], 1)[:, 0] > 0
    lower, upper = np.where(forward, ends[:, 0], ends[:, 1]), np.where(forward, ends[:, 1], ends[:, 0])
    sides = np.stack([np.bincount(end * 3 + kind, minlength=3 * len(sites[1])) for end in (lower, upper)], -1)
    wrong = (sides.reshape(-1, 6) != 1).any(1)
    if wrong.any():
        cell = int(wrong.argmax())
        atom, count = sites[1][cell], int(sides.reshape(-1, 6)[cell].sum())
        raise FerrojaxError(
            f"find_cells: atom {atom} ({reference.symbols[atom]}) has {count} oxygens shared with a neighbour along the three axes, "
            "not one on each of six sides; take a reference nearer to the perovskite structure."
        )
    return kind, lower, upper


def _mean_bond(vectors: np.ndarray, axes: np.ndarray, chosen: np.ndarray, k: int) -> np.ndarray:
    """Mean of the bonds along an axis. Around the crystal they add up to its lattice vectors, so that the mean is exact."""
    bonds = vectors[chosen]
    return (bonds * np.sign(bonds @ np.linalg.inv(axes)[:, k])[:, None]).mean(0)


def _walk(following: np.ndarray, supercell: np.ndarray) -> np.ndarray:
    """Integer places of all cells, walking from the first; FerrojaxError where two ways to a cell disagree."""
    index, known, front = np.zeros(following.shape, int), np.zeros(len(following), bool), np.array([0])
    known[0] = True
    while len(front):
        reached = []
        for k in range(3):
            targets = following[front, k]
            fresh = ~known[targets]
            index[targets[fresh]] = index[front[fresh]] + np.eye(3, dtype=int)[k]
            known[targets[fresh]] = True
            reached.append(targets[fresh])
        front = np.concatenate(reached)
    steps = (index[following] - index[:, None] - np.eye(3, dtype=int)) @ np.linalg.inv(supercell)
    if not known.all() or np.abs(steps - np.rint(steps)).max() > 1e-6 or round(abs(np.linalg.det(supercell))) != len(following):
        raise FerrojaxError(
            "find_cells: the octahedra are not joined as in one perovskite crystal (a dislocation?); take another reference."
        )
    return index


def _shape(supercell: np.ndarray) -> tuple[int, int, int] | None:
    """Repeats n_k after which k-th axis comes back to itself, if nothing else repeats before."""
    volume = round(np.linalg.det(supercell))
    cofactors = np.rint(np.linalg.inv(supercell) * volume).astype(int)
    repeats = [abs(volume) // int(np.gcd.reduce([volume, *row])) for row in cofactors.tolist()]
    return (repeats[0], repeats[1], repeats[2]) if int(np.prod(repeats)) == abs(volume) else None


def _ordered(cells: PerovskiteCells) -> PerovskiteCells:
    """Cells in the order of the grid, with what follows from it."""
    if cells.shape is None:
        inverse = np.linalg.inv(cells.supercell)
        index = cells.index - np.floor(cells.index @ inverse + 1e-9).astype(int) @ cells.supercell
    else:
        index = cells.index % cells.shape
    order = np.lexsort(index.T[::-1])
    rank = np.argsort(order)
    following, index = rank[cells.next[order]], index[order]
    ideal, a, b, o = np.empty_like(cells.ideal), cells.a[order], cells.b[order], cells.o[order]
    ideal[a], ideal[b] = index, index + 0.5
    for k in range(3):
        ideal[o[:, k]] = index + 0.5 - 0.5 * np.eye(3)[k]
    ideal @= np.linalg.inv(cells.supercell)
    previous = np.argsort(following, axis=0)
    return replace(cells, a=a, b=b, o=o, next=following, previous=previous, index=index, ideal=ideal)
