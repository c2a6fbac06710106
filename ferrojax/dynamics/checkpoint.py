"""Checkpoints of a run: all that going on bit for bit takes, written whole or not at all, verified when read."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferrojax.dynamics.undo import KEPT
from ferrojax.effective.lattice import LatticeState
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_bytes
from ferrojax.state import State
from ferrojax.topology import rebuild

DIGEST = 32  # bytes of SHA-256 in front of the archive


@dataclass
class Checkpoint:
    """number: of the commit; arrays: leaves by name; meta: step, rebuilds, shapes of the topology, sizes of the files, bytes."""

    number: int
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]


def gather(progress: Any, state: State | LatticeState) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and meta of a run's place.

    Of the topology only the geometry it was built for: made anew from that, in the same shapes, it is the same.
    """
    named = _leaves(progress)
    arrays = {name: np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for name, leaf in named}
    keys = {name: str(jax.random.key_impl(leaf)) for name, leaf in named if _is_key(leaf)}
    topology = state.topology
    if topology is None:
        return arrays, {"keys": keys}
    arrays |= {"positions": np.asarray(topology.reference_positions), "cell": np.asarray(topology.reference_cell)}
    return arrays, {"keys": keys, "slots": topology.neighbors.shape[1], "kgrid": list(topology.kgrid), "near": topology.near}


def restore(checkpoint: Checkpoint, template: Any, state: State | LatticeState) -> tuple[Any, State | LatticeState]:
    """Progress and state; ``template`` has the shapes of the progress, ``state`` species, cutoffs and layout."""
    leaves, keys = [], checkpoint.meta["keys"]
    for name, _ in _leaves(template):
        saved = jnp.asarray(checkpoint.arrays[name])
        leaves.append(jax.random.wrap_key_data(saved, impl=keys[name]) if name in keys else saved)
    progress = jax.tree.unflatten(jax.tree.structure(template), leaves)
    if state.topology is None:
        return progress, state
    old, meta = state.topology, checkpoint.meta
    neighbors = np.zeros((len(old.neighbors), meta["slots"]), np.int32)
    shapes = old.replace(neighbors=neighbors, kgrid=tuple(meta["kgrid"]), near=meta["near"])
    positions, cell = (jnp.asarray(checkpoint.arrays[name]) for name in ("positions", "cell"))
    built = rebuild(state.replace(positions=positions, cell=cell, topology=shapes))
    return progress, built


class Checkpoints:
    """The newest checkpoint of a folder and the one before it, should the newest be damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for unfinished in folder.glob(".*.tmp"):  # of a process that was killed
            unfinished.unlink()

    def write(self, checkpoint: Checkpoint) -> None:
        """Add one and remove what is too old. Raises FerrojaxError if the disk is full."""
        stream = io.BytesIO()
        meta = np.frombuffer(json.dumps(checkpoint.meta).encode(), np.uint8)
        np.savez(stream, meta=meta, **checkpoint.arrays)  # type: ignore[arg-type]
        data = stream.getvalue()
        write_bytes(self._path(checkpoint.number), hashlib.sha256(data).digest() + data)
        for number in self._numbers():
            if number <= checkpoint.number - KEPT:
                self._path(number).unlink(missing_ok=True)

    def newest(self) -> tuple[Checkpoint | None, str]:
        """The newest good one, None if there never was one, and a sentence if a newer one is damaged.

        Raises FerrojaxError if all are damaged.
        """
        numbers, note = self._numbers(), ""
        for number in reversed(numbers):
            found = self._read(number)
            if found is not None:
                return found, note and f"{note}: going on from the one before it, step {found.meta['step']}."
            note = f"{self._path(number)} is damaged"
        if numbers:
            raise FerrojaxError(f"{self.folder}: no checkpoint in it can be read; remove the run's folder to start from the beginning.")
        return None, ""

    def _read(self, number: int) -> Checkpoint | None:
        data = self._path(number).read_bytes()
        if hashlib.sha256(data[DIGEST:]).digest() != data[:DIGEST]:
            return None
        try:
            with np.load(io.BytesIO(data[DIGEST:])) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (ValueError, OSError, zipfile.BadZipFile):
            return None
        return Checkpoint(number, arrays, json.loads(arrays.pop("meta").tobytes()))

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("[0-9]*.npz"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.npz"


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    return [("progress" + jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
