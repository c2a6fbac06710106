"""Superlattices and slabs, stacked along z."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.perovskite import perovskite, species
from ferrojax.ferroelectrics.structures.sites import OZ, A, cell_indices, cells_along, sites_of

Layer = tuple[str, int] | tuple[str, int, float]
TERMINATIONS = ("AO", "BO2")


def superlattice(layers: Sequence[Layer], a: float, size: tuple[int, int] = (1, 1)) -> Atoms:
    """Layers of perovskites along z on a common square lattice.

    layers: from the bottom, (formula, cells) or (formula, cells, height of a cell in Å; by default a), such as [("PbTiO3", 3, 4.1),
    ("SrTiO3", 3)]. A layer begins with its AO plane. a: in-plane lattice constant, Å. size: cells along x and y.

    Raises FerrojaxError for a layer without cells, other formulas, or lengths that are not above zero.
    """
    cells = [(species(layer[0]), layer[2] if len(layer) == 3 else a) for layer in layers for _ in range(_count(layer))]
    if not cells or not all(np.isfinite(height) and height > 0 for _, height in cells):
        raise FerrojaxError(f"superlattice: every layer needs cells of a height above 0 Å; got {list(layers)!r}.")
    floors = np.concatenate([[0.0], np.cumsum([height for _, height in cells])])
    atoms = perovskite(layers[0][0], a, (*size, len(cells)))
    level, sites = cell_indices(atoms)[:, 2], sites_of(atoms)
    fractions = atoms.positions[:, 2] / a - level
    atoms.positions[:, 2] = floors[level] + fractions * np.diff(floors)[level]
    atoms.set_chemical_symbols([cells[k][0][site] for k, site in zip(level, sites)])
    atoms.cell[2, 2] = floors[-1]
    return atoms


def slab(atoms: Atoms, termination: str | tuple[str, str] = ("AO", "BO2"), vacuum: float = 15.0) -> Atoms:
    """A slab of all the cells of a bulk or a superlattice, with vacuum along z.

    termination: "AO" or "BO2" for both faces or (bottom, top). Of ("AO", "BO2") the n cells are whole; "BO2" at the bottom takes
    an AO plane away, "AO" at the top adds one. vacuum: between the slab and its image, Å. pbc stays True along z too, as
    ferrojax needs it: use the slab boundary condition.

    Raises FerrojaxError for another termination, a vacuum that is not above zero, or a z axis that is not normal to the faces.
    """
    bottom, top = (termination, termination) if isinstance(termination, str) else termination
    if bottom not in TERMINATIONS or top not in TERMINATIONS:
        raise FerrojaxError(f"slab: a face is terminated by AO or BO2; got {(bottom, top)!r}.")
    if not vacuum > 0:
        raise FerrojaxError(f"slab: the vacuum must be above 0 Å; got {vacuum}.")
    cell = atoms.cell.array
    if np.abs([cell[0, 2], cell[1, 2], cell[2, 0], cell[2, 1]]).max() > 1e-6:
        raise FerrojaxError("slab: the third axis must lie along z, normal to the other two; give another cell.")
    ao = np.isin(sites_of(atoms), (A, OZ))
    level = cell_indices(atoms)[:, 2]
    lowest = ao & (level == 0)
    cut = atoms[~lowest] if bottom == "BO2" else atoms.copy()
    if top == "AO":
        cut += _lid(atoms[lowest], cell[2], cells_along(atoms)[2])
    cut.center(vacuum=vacuum / 2, axis=2)
    cut.pbc = True
    return cut


def _lid(plane: Atoms, up: np.ndarray, level: int) -> Atoms:
    """The lowest AO plane once more, above the top cell."""
    lid = plane.copy()
    lid.positions += up
    lid.arrays["cell_index"][:, 2] = level
    return lid


def _count(layer: Any) -> int:
    if len(layer) not in (2, 3) or not isinstance(layer[1], int) or layer[1] < 1:
        raise FerrojaxError(
            f"superlattice: a layer is (formula, cells) or (formula, cells, height), with at least one cell; got {layer!r}."
        )
    return layer[1]
