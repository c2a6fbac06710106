"""Domain variants of a polar perovskite, and the walls between them that need neither charge nor stress.

A tetragonal crystal polar along [001] or a rhombohedral one along [111] has its variants by the 48 operations of the cube. Two of
them meet without stress on a plane n if every vector within it is as long in both (Fousek and Janovec, J. Appl. Phys. 40, 135 (1969)),
and without bound charge if P1·n = P2·n.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ferrojax.errors import FerrojaxError

Miller = tuple[int, int, int]


@dataclass(frozen=True)
class WallGeometry:
    """Polarizations of the two domains, the normal of the wall, and two directions in it along which the cell is rectangular;
    normal, across and along are right-handed."""

    first: Miller
    second: Miller
    normal: Miller
    across: Miller
    along: Miller


# Keys: family, angle in degrees, charged or not.
WALLS = {
    ("tetragonal", 180, False): WallGeometry((0, 0, 1), (0, 0, -1), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ("tetragonal", 180, True): WallGeometry((0, 0, 1), (0, 0, -1), (0, 0, 1), (1, 0, 0), (0, 1, 0)),
    ("tetragonal", 90, False): WallGeometry((0, 0, 1), (1, 0, 0), (1, 0, 1), (0, 1, 0), (-1, 0, 1)),
    ("tetragonal", 90, True): WallGeometry((0, 0, 1), (-1, 0, 0), (1, 0, 1), (0, 1, 0), (-1, 0, 1)),
    ("rhombohedral", 180, False): WallGeometry((1, 1, 1), (-1, -1, -1), (1, -1, 0), (1, 1, -2), (1, 1, 1)),
    ("rhombohedral", 180, True): WallGeometry((1, 1, 1), (-1, -1, -1), (1, 1, 1), (1, -1, 0), (1, 1, -2)),
    ("rhombohedral", 71, False): WallGeometry((1, 1, 1), (1, 1, -1), (1, 1, 0), (-1, 1, 0), (0, 0, 1)),
    ("rhombohedral", 71, True): WallGeometry((1, 1, 1), (1, 1, -1), (0, 0, 1), (1, 1, 0), (-1, 1, 0)),
    ("rhombohedral", 109, False): WallGeometry((1, 1, 1), (1, -1, -1), (1, 0, 0), (0, 1, 1), (0, -1, 1)),
    ("rhombohedral", 109, True): WallGeometry((1, 1, 1), (1, -1, -1), (0, 1, 1), (1, 0, 0), (0, 1, -1)),
}
FAMILIES = {"tetragonal": 1, "rhombohedral": 3}  # how many components of P are not zero


def cube_operations() -> list[Int[np.ndarray, "3 3"]]:
    """The 48 rotations and reflections of the cube; the identity comes first."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            found.append(np.eye(3, dtype=int)[list(order)] * np.array(signs)[:, None])
    return found


def nearest_variant(direction: Float[np.ndarray, "3"]) -> tuple[str, Miller]:
    """Family and variant of a polarization, from its components along the pseudocubic axes.

    Raises FerrojaxError for no polarization, or one more than 8 degrees from ⟨001⟩ and ⟨111⟩.
    """
    length = np.linalg.norm(direction)
    for family, count in FAMILIES.items():
        for x, y, z in itertools.product((-1, 0, 1), repeat=3):
            if abs(x) + abs(y) + abs(z) == count and length > 0 and direction @ (x, y, z) > 0.99 * length * np.sqrt(count):
                return family, (x, y, z)
    raise FerrojaxError(
        f"bulk: its polarization, along {np.round(direction / (length or 1), 3).tolist()} in pseudocubic axes, lies along neither ⟨001⟩ "
        "nor ⟨111⟩; walls are known for tetragonal and rhombohedral crystals."
    )


def operation(start: Miller, end: Miller) -> Int[np.ndarray, "3 3"]:
    """An operation of the cube that takes one direction to another; the inversion for opposite ones, so that it needs no mirror plane."""
    if np.array_equal(start, np.negative(end)):
        return -np.eye(3, dtype=int)
    return next(op for op in cube_operations() if np.array_equal(op @ np.array(start), end))
