"""What every generated structure passes: no atoms too close, no structure twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from ase import Atoms

from ferrojax.data import Frame
from ferrojax.data.checks.contact import CLOSE, contacts
from ferrojax.data.checks.duplicates import find_duplicates
from ferrojax.errors import FerrojaxError

TRIES = 20  # draws for each structure wanted, before it is given up


def is_open(atoms: Atoms, closest: float = CLOSE) -> bool:
    """Whether no two atoms are nearer than ``closest`` times the sum of their covalent radii."""
    return contacts(Frame(atoms))[0] > closest


def without_copies(structures: Sequence[Atoms]) -> list[Atoms]:
    """The structures in their order, without those that repeat an earlier one within 1e-3 Å (atoms permuted or wrapped too)."""
    frames = [Frame(atoms) for atoms in structures]
    copies = {id(copy) for _, copy in find_duplicates(frames)}
    return [frame.atoms for frame in frames if id(frame) not in copies]


def draw(make: Callable[[np.random.Generator], Atoms], count: int, seed: int, origin: str, closest: float) -> list[Atoms]:
    """``count`` random structures without close contacts and copies; the k-th draw depends on the seed and k alone.

    Raises FerrojaxError if so few draws pass that the displacements must be too large.
    """
    if count < 1:
        raise FerrojaxError(f"{origin}: {count} structures asked for; give a number of at least 1.")
    draws = (make(np.random.default_rng((seed, k))) for k in range(TRIES * count))
    passed = (tagged(atoms, origin) for atoms in draws if is_open(atoms, closest))
    found: list[Atoms] = []
    while len(found) < count and (more := list(islice(passed, count - len(found)))):
        found = without_copies([*found, *more])
    if len(found) < count:
        raise FerrojaxError(
            f"{origin}: {count} structures wanted, but of {TRIES * count} draws only {len(found)} differ and have no atoms closer than "
            f"{closest:g} times their covalent radii; use other strains or displacements."
        )
    return found


def tagged(atoms: Atoms, origin: str, **info: float) -> Atoms:
    """The structure without calculator and constraints, with its origin and what else is known of it in ``info``."""
    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    bare.info = {"origin": origin, **info}
    return bare


def name_of(atoms: Atoms) -> str:
    """What the structure is called: ``info["name"]``, else its formula, metals first."""
    return str(atoms.info.get("name", atoms.get_chemical_formula("metal", empirical=True)))
