"""The same structure twice, also with its atoms permuted or wrapped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from ferrojax.data.frame import Frame
from ferrojax.data.report import Finding, Severity

SAME = 1e-3  # Å; largest displacement of an atom between copies
ENERGY, FORCE = 1e-3, 1e-2  # eV/atom, eV/Å; copies that differ more contradict each other
WAVES = np.array(list(np.ndindex(3, 3, 3))) - 1
WAVES = WAVES[14:]  # half of the 26 shortest reciprocal vectors


def check_duplicates(frames: Sequence[Frame]) -> list[Finding]:
    """One finding a data set for copies, and one for copies whose labels differ."""
    findings: list[Finding] = []
    for dataset in dict.fromkeys(frame.dataset for frame in frames):
        copies = find_duplicates([frame for frame in frames if frame.dataset == dataset])
        different = [pair for pair in copies if labels_differ(*pair)]
        remedy = "keep one of each, or a validation set holds training structures"
        findings += _finding("warning", copies, "frames repeat an earlier structure", remedy)
        findings += _finding(
            "error", different, "frames repeat an earlier structure with different labels", "find out which is right, drop the other"
        )
    return findings


def find_duplicates(frames: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    """Pairs (earlier, copy) of equal structures."""
    table: dict[tuple[int, ...], list[Frame]] = {}
    for frame in frames:
        table.setdefault(tuple(sorted(frame.atoms.numbers)), []).append(frame)
    return [pair for members in table.values() for pair in _copies(members)]


def labels_differ(one: Frame, other: Frame) -> bool:
    """Whether the energies of two copies differ by more than 1 meV/atom, or their forces by more than 10 meV/Å."""
    if one.energy is not None and other.energy is not None and abs(one.energy - other.energy) > ENERGY * len(one.atoms):
        return True
    if one.forces is None or other.forces is None:
        return False
    norms = [np.sort(np.linalg.norm(forces, axis=1)) for forces in (one.forces, other.forces)]  # sorted: the atoms may be permuted
    return bool(np.abs(norms[0] - norms[1]).max() > FORCE)


def _copies(frames: list[Frame]) -> list[tuple[Frame, Frame]]:
    """Neighbours in a fingerprint that is smooth and blind to wrapping and order, confirmed atom by atom."""
    if len(frames) < 2:
        return []
    prints = np.array([_fingerprint(frame) for frame in frames])
    # A shift of 1e-3 Å of every atom moves the fingerprint by less than this.
    tolerance = 2 * np.pi * SAME * np.sqrt(len(WAVES) * len(frames[0].atoms))
    _, neighbours = cKDTree(prints).query(prints, k=min(4, len(frames)), distance_upper_bound=tolerance)
    found = []
    for k, row in enumerate(neighbours):
        earlier = next((m for m in sorted(row) if m < k and same_structure(frames[m], frames[k])), None)
        if earlier is not None:
            found.append((frames[earlier], frames[k]))
    return found


def _fingerprint(frame: Frame) -> np.ndarray:
    """Cell and, for each element, its structure factor at the shortest reciprocal vectors."""
    scaled = frame.atoms.positions @ np.linalg.inv(frame.atoms.cell.array)
    phases = np.exp(2j * np.pi * scaled @ WAVES.T)
    factors = np.array([phases[frame.atoms.numbers == z].sum(axis=0) for z in np.unique(frame.atoms.numbers)]).ravel()
    return np.concatenate([frame.atoms.cell.array.ravel(), factors.real, factors.imag])


def same_structure(one: Frame, other: Frame) -> bool:
    """Whether each atom of one lies within 1e-3 Å of an atom of the same element of the other, modulo lattice vectors."""
    cell = one.atoms.cell.array
    if np.abs(cell - other.atoms.cell.array).max() > SAME:
        return False
    inverse = np.linalg.inv(cell)
    difference = (one.atoms.positions[:, None] - other.atoms.positions[None]) @ inverse
    distance = np.linalg.norm((difference - np.round(difference)) @ cell, axis=-1)
    distance[one.atoms.numbers[:, None] != other.atoms.numbers[None]] = np.inf
    partner = distance.argmin(axis=1)
    return bool(distance.min(axis=1).max() < SAME and len(np.unique(partner)) == len(partner))


def _finding(severity: Severity, pairs: list[tuple[Frame, Frame]], sentence: str, remedy: str) -> list[Finding]:
    if not pairs:
        return []
    named = "; ".join(f"{copy.source} = {first.source}" for first, copy in pairs[:2])
    source = named + (f" and {len(pairs) - 2} more" if len(pairs) > 2 else "")
    return [Finding(severity, "duplicates", source, f"{len(pairs)} {sentence}", remedy, {"count": float(len(pairs))})]
