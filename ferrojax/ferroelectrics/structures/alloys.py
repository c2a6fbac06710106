"""Solid solutions: random, ordered, and special quasirandom."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.sites import cell_indices, cells_along, pick

# Along which axes neighbours differ.
ORDERS = {"rocksalt": (0, 1, 2), "columnar": (0, 1), "layered": (2,)}


def random_alloy(atoms: Atoms, site: str, composition: Mapping[str, float], seed: int) -> Atoms:
    """Elements drawn without bias onto a site, in whole numbers nearest to the composition.

    site: "A", "B" or "O". composition: such as {"Ba": 0.5, "Sr": 0.5}, shares that add up to 1.
    Raises FerrojaxError for shares that do not, unknown elements or another site.
    """
    there = pick(atoms, site)
    counts = element_counts(composition, len(there))
    drawn = np.repeat([atomic_numbers[element] for element in counts], list(counts.values()))
    found = atoms.copy()
    found.numbers[there] = np.random.default_rng(seed).permutation(drawn)
    return found


def ordered_alloy(atoms: Atoms, site: str, elements: tuple[str, str], order: str) -> Atoms:
    """Two elements that alternate on "A" or "B".

    order: "rocksalt", alternating along x, y and z; "columnar", along x and y, in columns along z; "layered", along z. The first
    element takes cell (0, 0, 0).
    Raises FerrojaxError for another order, an odd number of cells along an axis of alternation, or unknown elements.
    """
    if order not in ORDERS:
        raise FerrojaxError(f"the order of an alloy must be one of {', '.join(ORDERS)}; got {order!r}.")
    axes, cells = list(ORDERS[order]), cells_along(atoms)
    if any(cells[axis] % 2 for axis in axes):
        raise FerrojaxError(f"{order} order alternates along {''.join('xyz'[i] for i in axes)}: even numbers of cells, not {cells}.")
    if site not in ("A", "B"):
        raise FerrojaxError(f"ordered alloys have two elements on A or on B; got site {site!r}.")
    there = pick(atoms, site)
    numbers = np.array([_number(element) for element in elements])
    found = atoms.copy()
    found.numbers[there] = numbers[cell_indices(atoms)[there][:, axes].sum(axis=1) % 2]
    return found


def element_counts(composition: Mapping[str, float], atoms: int) -> dict[str, int]:
    """Whole numbers of each element that add up to ``atoms``, nearest to the composition: the largest remainders are rounded up.

    Raises FerrojaxError for shares below 0 or that do not add up to 1, and for unknown elements.
    """
    shares = np.array(list(composition.values()), float)
    if not (shares >= 0).all() or not abs(shares.sum() - 1) < 1e-6:
        raise FerrojaxError(f"the shares of a composition must be 0 or more and add up to 1; got {dict(composition)}.")
    for element in composition:
        _number(element)
    counts = np.floor(shares * atoms + 1e-9).astype(int)
    remainders = shares * atoms - counts
    counts[np.argsort(-remainders, kind="stable")[: atoms - counts.sum()]] += 1
    return dict(zip(composition, counts.tolist()))


def _number(element: str) -> int:
    if element not in atomic_numbers:
        raise FerrojaxError(f"{element!r} is no element; write its symbol, such as Sr.")
    return atomic_numbers[element]
