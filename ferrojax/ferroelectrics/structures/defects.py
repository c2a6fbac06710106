"""Vacancies and dipole pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.sites import OFFSETS, SITES, A, B, locate, pick, triple


def vacancies(atoms: Atoms, site: str, number: int, seed: int) -> Atoms:
    """Remove atoms of a site ("A", "B", "O", "Ox" ...) at random. Raises FerrojaxError if there are fewer, or for another site."""
    there = pick(atoms, site)
    if not 0 <= number <= len(there):
        raise FerrojaxError(f"vacancies: {number} atoms cannot be removed from the {len(there)} on site {site}.")
    kept = np.ones(len(atoms), bool)
    kept[np.random.default_rng(seed).choice(there, number, replace=False)] = False
    return atoms[kept]


def defect_dipole(atoms: Atoms, cell: Sequence[int], direction: Any, acceptor: str | None = None) -> Atoms:
    """An oxygen vacancy beside a negative defect; the dipole points along ``direction``, from the defect to the vacancy.

    With an acceptor, such as "Fe", it takes the B site of the cell, and the oxygen next to it along a ⟨001⟩ direction is missing:
    (0, 0, 1) or (-1, 0, 0). Without one the A atom of the cell is missing too, and the oxygen lies along ⟨011⟩: (0, 1, -1).

    Raises FerrojaxError for another direction, or where the atoms are missing already.
    """
    centre = A if acceptor is None else B
    step = triple(direction, "the direction of a defect dipole")
    if not np.isin(step, (-1, 0, 1)).all() or np.abs(step).sum() != (2 if acceptor is None else 1):
        kinds = (
            "two axes, such as (0, 1, 1), beside an A vacancy" if acceptor is None else "one axis, such as (0, 0, 1), beside an acceptor"
        )
        raise FerrojaxError(f"defect dipole: the direction lies along {kinds}; got {direction!r}.")
    place = OFFSETS[centre] + step / 2
    # The oxygen site whose place differs from this one by whole cells.
    site = next(s for s in range(2, len(SITES)) if not np.mod(place - OFFSETS[s], 1).any())
    oxygen = locate(atoms, np.asarray(cell) + np.round(place - OFFSETS[site]).astype(int), site)
    negative = locate(atoms, cell, centre)
    found = atoms.copy()
    if acceptor is not None:
        found.symbols[negative] = acceptor
    kept = np.ones(len(atoms), bool)
    kept[[oxygen] if acceptor else [oxygen, negative]] = False
    return found[kept]
