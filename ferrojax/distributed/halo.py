"""Host side of the decomposition: which atoms a slab owns, and which it needs of its neighbours. Integers only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

PLACES_MARGIN = 1.1  # room in a halo beyond what is needed now, for atoms that come and go
PLACES_BUCKET = 8


@dataclass(frozen=True)
class Halos:
    """Neighbour lists that point to extended rows [own | from the left | from the right], and what to send.

    neighbors, mask: as in Topology, for all slabs one after another.
    to_left, to_right: own rows that the slab on the left and on the right needs.
    overflow: a halo did not fit in its places; pairs are missing.
    """

    neighbors: Int[np.ndarray, "rows slots"]
    mask: Bool[np.ndarray, "rows slots"]
    to_left: Int[np.ndarray, "devices places"]
    to_right: Int[np.ndarray, "devices places"]
    overflow: bool


def slab_atoms(numbers: np.ndarray, height: np.ndarray, devices: int) -> Int[np.ndarray, "devices rows"]:
    """Atoms of each slab, in order of height; slabs differ by one atom at most and are padded with len(numbers)."""
    real = np.flatnonzero(numbers > 0)
    slabs = np.array_split(real[np.argsort(height[real], kind="stable")], devices)
    owned = np.full((devices, len(slabs[0])), len(numbers), np.int32)
    for row, slab in zip(owned, slabs):
        row[: len(slab)] = slab
    return owned


def find_halos(owned: np.ndarray, neighbors: np.ndarray, mask: np.ndarray, places: int | None = None) -> Halos | None:
    """Halos for neighbour lists in the order of ``owned``; None if a slab needs atoms from beyond the next slab.

    Args:
        owned: (devices, rows), see slab_atoms.
        neighbors, mask: (devices * rows, slots), neighbours as atoms of the whole system.
        places: room in a halo; by default what is needed and a tenth more.
    """
    devices, rows = owned.shape
    home, row = np.zeros((2, owned.max() + 1), np.int32)
    home[owned], row[owned] = np.arange(devices)[:, None], np.arange(rows)
    sides = _sides(home[neighbors], row[neighbors], mask, owned.shape)
    if sides is None:
        return None
    needs = [_needed(side, neighbors, rows) for side in sides]
    most = max(int(need.rank.max(initial=-1)) + 1 for need in needs)
    places = places or -(-int(PLACES_MARGIN * most + 1) // PLACES_BUCKET) * PLACES_BUCKET
    local, listed = row[neighbors] * mask, mask.copy()
    sent = []
    for side, need in enumerate(needs):
        local[need.edges] = rows + side * places + need.rank[need.which]
        listed[need.edges] = need.rank[need.which] < places
        # What comes from the left is what the slab before this one sends to its right.
        sender = (need.device + (1 if side else -1)) % devices
        send, fits = np.zeros((devices, places), np.int32), need.rank < places
        send[sender[fits], need.rank[fits]] = row[need.atom[fits]]
        sent.append(send)
    to_right, to_left = sent
    return Halos(local * listed, listed, to_left, to_right, overflow=most > places)


@dataclass(frozen=True)
class _Need:
    """Atoms that slabs need from one side: ``rank`` is the place of ``atom`` in the halo of ``device``."""

    device: np.ndarray
    atom: np.ndarray
    rank: np.ndarray
    edges: tuple[np.ndarray, np.ndarray]  # the list entries that point to them
    which: np.ndarray  # for each entry, the index of its atom in the arrays above


def _needed(side: np.ndarray, neighbors: np.ndarray, rows: int) -> _Need:
    edges = np.nonzero(side)
    atoms = int(neighbors.max(initial=0)) + 1
    keys, which = np.unique((edges[0] // rows).astype(np.int64) * atoms + neighbors[edges], return_inverse=True)
    device = keys // atoms
    rank = np.arange(len(keys)) - np.searchsorted(device, device)
    return _Need(device, keys % atoms, rank, (edges[0], edges[1]), which)


def _sides(home: np.ndarray, row: np.ndarray, mask: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Which list entries point to the left slab and which to the right one; None if one points farther."""
    devices, rows = shape
    offset = (home - np.repeat(np.arange(devices, dtype=np.int32), rows)[:, None]) % devices
    remote = mask & (offset != 0)
    right = remote & (offset == 1)
    if devices == 2:  # the one other slab is on both sides: its lower half lies to the right
        right &= row < rows / 2
    left = remote & ~right
    return None if np.any(left & (offset != devices - 1)) else (left, right)
