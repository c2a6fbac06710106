"""Random strains and displacements of a structure."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ferrojax.data.checks.contact import CLOSE
from ferrojax.errors import FerrojaxError
from ferrojax.learning.explore.check import draw, name_of

Bounds = tuple[float, float]


def strained(
    atoms: Atoms,
    count: int,
    strain: Bounds = (-0.03, 0.03),
    shear: Bounds = (-0.03, 0.03),
    rattle: float = 0.0,
    seed: int = 0,
    closest: float = CLOSE,
) -> list[Atoms]:
    """The structure under random symmetric strains, fractional positions kept, then rattled.

        R' = R (I + ε)ᵀ + u,    ε_aa uniform in ``strain``, ε_ab in ``shear``, u normal

    Args:
        strain, shear: lowest and highest value. rattle: standard deviation of each component of u, Å; without a common displacement.
        seed: the same seed gives the same structures. closest: in sums of covalent radii.

    Raises FerrojaxError for bounds out of order or beyond ±0.5, a negative rattle, and if hardly any draw passes.
    """
    for name, (low, high) in (("strain", strain), ("shear", shear)):
        if not -0.5 < low <= high < 0.5:
            raise FerrojaxError(f"strained: the bounds of the {name} are {low:g} and {high:g}; give them in order, within ±0.5.")
    if rattle < 0:
        raise FerrojaxError(f"strained: the rattle is {rattle:g} Å; give a standard deviation of 0 or more.")

    def make(rng: np.random.Generator) -> Atoms:
        return displaced(deformed(atoms, random_strain(rng, strain, shear)), rng.normal(0.0, rattle, (len(atoms), 3)))

    origin = f"{name_of(atoms)}, strained" + (" and rattled" if rattle else "")
    return draw(make, count, seed, origin, closest)


def rattled(atoms: Atoms, count: int, rattle: float = 0.05, seed: int = 0, closest: float = CLOSE) -> list[Atoms]:
    """The structure with normal displacements of standard deviation ``rattle`` (Å) in each component; otherwise as ``strained``."""
    if not rattle > 0:
        raise FerrojaxError(f"rattled: the rattle is {rattle:g} Å; give a standard deviation above 0.")

    def make(rng: np.random.Generator) -> Atoms:
        return displaced(atoms, rng.normal(0.0, rattle, (len(atoms), 3)))

    return draw(make, count, seed, f"{name_of(atoms)}, rattled", closest)


def random_strain(rng: np.random.Generator, strain: Bounds, shear: Bounds) -> np.ndarray:
    """A symmetric tensor with uniform components."""
    tensor = np.diag(rng.uniform(*strain, 3))
    tensor[np.triu_indices(3, 1)] = rng.uniform(*shear, 3)
    return np.triu(tensor) + np.triu(tensor, 1).T


def deformed(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """Cell and atoms carried along by a strain."""
    result = atoms.copy()
    result.set_cell(atoms.cell.array @ (np.eye(3) + strain).T, scale_atoms=True)
    return result


def displaced(atoms: Atoms, displacements: np.ndarray) -> Atoms:
    """Atoms moved by so much, Å, less the common displacement."""
    result = atoms.copy()
    result.positions = atoms.positions + displacements - displacements.mean(0)
    return result
