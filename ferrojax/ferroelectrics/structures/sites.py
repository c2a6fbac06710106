"""Which atom of a perovskite sits where: two arrays that travel with the structure.

atoms.arrays["site"]: 0 for A, 1 for B, 2 to 4 for the oxygen whose B-O-B bond runs along x, y, z.
atoms.arrays["cell_index"]: the cell (i, j, k) to which the atom belongs.
The atoms stand cell by cell, z fastest, five to a cell, as in ``LatticeState.modes``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int

from ferrojax.effective.lattice import Shape
from ferrojax.errors import FerrojaxError

SITES = ("A", "B", "Ox", "Oy", "Oz")
A, B, OX, OY, OZ = range(5)
# An oxygen lies half a cell below the B of its cell: fractions of the cell.
OFFSETS = np.array([(0, 0, 0), (0.5, 0.5, 0.5), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
REMEDY = "build it with ferrojax.ferroelectrics.structures, or lend it the arrays of one built there"


def sites_of(atoms: Atoms) -> Int[np.ndarray, " atoms"]:
    """Site of each atom, an index of SITES. Raises FerrojaxError for a structure that does not say."""
    return _array(atoms, "site")


def cell_indices(atoms: Atoms) -> Int[np.ndarray, "atoms 3"]:
    """Cell of each atom, counted from 0 along each axis.

    Raises FerrojaxError for a structure that does not say, or that was repeated since: then two atoms share a site.
    """
    cells = _array(atoms, "cell_index")
    places = np.column_stack([cells, sites_of(atoms)])
    if len(np.unique(places, axis=0)) < len(atoms):
        raise FerrojaxError(
            "structure: two atoms have the same site and cell_index; give the size when it is built instead of repeating it."
        )
    return cells


def cells_along(atoms: Atoms) -> Shape:
    """Cells along each axis. Raises FerrojaxError as cell_indices."""
    x, y, z = cell_indices(atoms).max(axis=0) + 1
    return int(x), int(y), int(z)


def pick(atoms: Atoms, site: str) -> Int[np.ndarray, " picked"]:
    """Indices of the atoms on a site: "A", "B", one of the oxygens, or "O" for all three. Raises FerrojaxError for another word."""
    if site == "O":
        return np.flatnonzero(sites_of(atoms) >= OX)
    if site not in SITES:
        raise FerrojaxError(f"the site must be one of {', '.join(SITES)} or O; got {site!r}.")
    return np.flatnonzero(sites_of(atoms) == SITES.index(site))


def locate(atoms: Atoms, cell: Any, site: int) -> int:
    """Index of the atom on a site of a cell, which may lie in a periodic image. Raises FerrojaxError for a place that is empty."""
    indices, wanted = cell_indices(atoms), np.mod(cell, cells_along(atoms))
    found = np.flatnonzero((indices == wanted).all(axis=1) & (sites_of(atoms) == site))
    if not len(found):
        raise FerrojaxError(f"structure: there is no atom on site {SITES[site]} of cell {wanted.tolist()}; was it removed?")
    return int(found[0])


def triple(values: Any, what: str) -> Float[np.ndarray, "3"]:
    """Three finite numbers. Raises FerrojaxError otherwise, which names them by ``what``."""
    try:
        numbers = np.asarray(values, float)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (3,) or not np.isfinite(numbers).all():
        raise FerrojaxError(f"{what} must be three finite numbers; got {values!r}.")
    return numbers


def _array(atoms: Atoms, name: str) -> np.ndarray:
    if name not in atoms.arrays:
        raise FerrojaxError(f"structure: it does not say which atom sits where (no array {name!r}); {REMEDY}.")
    return atoms.arrays[name]
