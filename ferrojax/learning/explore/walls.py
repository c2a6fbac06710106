"""Structures between domains: walls, and images of switching paths."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ferrojax.data.checks.contact import CLOSE
from ferrojax.errors import FerrojaxError
from ferrojax.learning.explore.check import draw, is_open, name_of, tagged, without_copies
from ferrojax.learning.explore.distort import displaced
from ferrojax.paths.path import Path
from ferrojax.paths.record import images_of


def domain_walls(
    atoms: Atoms, cells: int = 4, normal: int = 0, axis: int = 2, count: int = 1, rattle: float = 0.0, seed: int = 0, closest: float = CLOSE
) -> list[Atoms]:
    """A row of cells, one half of them with the polarization reversed: two sharp 180° walls, centred on the first atom's plane.

    Args:
        atoms: polar cell with polarization along lattice vector ``axis``; the first atom (the A site of a perovskite) is where
            it is reversed: s → 2 s_first - s in the fractional coordinate of the axis.
        cells: an even number, along lattice vector ``normal``.
        count: structures, each rattled by normal displacements of standard deviation ``rattle`` (Å); one if there is no rattle.
        seed, closest: as for ``strained``.

    Raises FerrojaxError for an odd number of cells, a wall across its own polarization, and a structure that is its own reverse.
    """
    if cells < 2 or cells % 2:
        raise FerrojaxError(f"domain_walls: {cells} cells do not make two domains of one size; give an even number.")
    if normal == axis or {normal, axis} - {0, 1, 2}:
        raise FerrojaxError(f"domain_walls: normal {normal} and axis {axis} must be two different lattice vectors, 0 to 2.")
    if count > 1 and not rattle > 0:
        raise FerrojaxError(f"domain_walls: {count} structures without rattle are one; give a rattle above 0 Å.")
    wall = sharp_walls(atoms, cells, normal, axis)

    def make(rng: np.random.Generator) -> Atoms:
        return displaced(wall, rng.normal(0.0, rattle, (len(wall), 3)))

    return draw(make, count, seed, f"{name_of(atoms)}, 180° walls", closest)


def sharp_walls(atoms: Atoms, cells: int, normal: int, axis: int) -> Atoms:
    """The row of cells itself, first the domain as given."""
    up, down = atoms.get_scaled_positions(wrap=False), atoms.get_scaled_positions(wrap=False)
    mirrored = 2 * up[0, axis] - up[:, axis]
    down[:, axis] = mirrored - np.round(mirrored - up[:, axis])  # the image nearest to where the atom was
    if np.abs(down - up).max() < 1e-3:
        raise FerrojaxError("domain_walls: reversing the polarization leaves the structure as it is; give a polar one.")
    repeat, step = np.ones(3, int), np.eye(3)[normal]
    repeat[normal] = cells
    domains = [(up if k < cells // 2 else down) + k * step for k in range(cells)]
    row = atoms.repeat(tuple(repeat.tolist()))
    row.positions = np.concatenate(domains) @ atoms.cell.array
    row.set_atomic_numbers(np.tile(atoms.numbers, cells))
    return row


def path_images(path: Path, closest: float = CLOSE) -> list[Atoms]:
    """The images of a switching path, without copies; ``info`` has the distance along it (Å)."""
    frames = [tagged(image, "switching path", distance=image.info["distance"]) for image in images_of(path)]
    return without_copies([frame for frame in frames if is_open(frame, closest)])
