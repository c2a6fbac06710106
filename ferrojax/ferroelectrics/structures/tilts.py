"""Tilts of the octahedra in Glazer's notation."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.effective.lattice import Shape
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.sites import OX, cell_indices, cells_along, sites_of

NOTATION = re.compile(r"([abc])([0+-])" * 3)


def tilt_size(notation: str) -> Shape:
    """Cells along x, y, z of the smallest supercell that holds the tilts: (2, 2, 1) for "a0a0c+", (2, 2, 2) for "a-a-c+".

    Raises FerrojaxError for another notation.
    """
    _, signs = _parse(notation)
    doubled = [signs[axis] == "-" or any(sign != "0" for other, sign in enumerate(signs) if other != axis) for axis in range(3)]
    x, y, z = (2 if double else 1 for double in doubled)
    return x, y, z


def tilt(atoms: Atoms, notation: str, angles: Mapping[str, float]) -> Atoms:
    """Rotate the octahedra about x, y, z by the tilt system of Glazer, Acta Cryst. B 28, 3384 (1972).

    notation: a letter and a sign for each axis, equal letters for equal angles; "-" for neighbours along the axis in
    antiphase, "+" in phase, "0" for none. angles: degrees for each letter that turns, such as {"a": 5, "c": 8}.

    Octahedron n with the pseudovector ω(n), whose component along an axis alternates along the other two, moves the oxygen at d
    from its centre by ω(n) × d; the two that share the oxygen agree. |ω| = tan(angle), so one tilt alone turns the B-O
    bonds by exactly the angle. To first order the octahedra stay rigid; the cell is left as it is.

    Raises FerrojaxError for another notation, missing or useless angles, or a supercell that does not hold the tilts.
    """
    letters, signs = _parse(notation)
    tangents = _tangents(letters, signs, angles)
    size, least = cells_along(atoms), tilt_size(notation)
    if any(n % m for n, m in zip(size, least)):
        raise FerrojaxError(f"tilts {notation} need a supercell of multiples of {least} cells; this one has {size}.")
    sites = sites_of(atoms)
    oxygen = sites >= OX
    omega = tangents * _alternation(cell_indices(atoms)[oxygen], signs)
    bonds = -0.5 * (atoms.cell.array / np.array(size)[:, None])[sites[oxygen] - OX]
    moved = atoms.copy()
    moved.positions[oxygen] += np.cross(omega, bonds)
    return moved


def _alternation(cells: np.ndarray, signs: tuple[str, ...]) -> Float[np.ndarray, "oxygens 3"]:
    """Sign of each component of ω: (-1)^(j + k) about x, times (-1)^i in antiphase."""
    others = cells.sum(axis=1, keepdims=True) - cells
    antiphase = np.array([sign == "-" for sign in signs])
    return (-1.0) ** (others + antiphase * cells)


def _parse(notation: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Letters and signs of the three axes."""
    found = NOTATION.fullmatch(notation)
    if not found:
        raise FerrojaxError(f"a tilt system is three letters a, b, c, each with 0, + or -, such as a-a-c+; got {notation!r}.")
    return found.groups()[::2], found.groups()[1::2]


def _tangents(letters: tuple[str, ...], signs: tuple[str, ...], angles: Mapping[str, float]) -> Float[np.ndarray, "3"]:
    turning = {letter for letter, sign in zip(letters, signs) if sign != "0"}
    if set(angles) != turning:
        raise FerrojaxError(f"give the angle in degrees of each letter that turns, {sorted(turning)}; got {sorted(angles)}.")
    degrees = np.array([angles[letter] if sign != "0" else 0.0 for letter, sign in zip(letters, signs)], float)
    if not (np.abs(degrees) < 45).all():
        raise FerrojaxError(f"tilt angles must be below 45 degrees; got {degrees.tolist()}.")
    return np.tan(np.radians(degrees))
