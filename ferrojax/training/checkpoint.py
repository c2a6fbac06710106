"""Checkpoints of a training, written whole or not at all, and verified when read."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from ferrojax.errors import FerrojaxError


class Checkpoints:
    """The last ``keep`` checkpoints in a folder, each named by its step.

    Orbax writes to a temporary folder and renames it; a checksum of the arrays, kept with
    the rest of the position in JSON, tells damaged ones from good ones.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self.folder = folder
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False, cleanup_tmp_directories=True)
        try:
            self._manager = ocp.CheckpointManager(folder.absolute(), options=options)
        except OSError as error:
            raise FerrojaxError(f"{folder}: cannot be made ({error.strerror}); free disk space or choose another output.folder.") from None

    @property
    def steps(self) -> list[int]:
        """Steps of the checkpoints present, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, position: dict[str, Any]) -> None:
        """Write one checkpoint; FerrojaxError if the disk does not take it, the earlier ones staying good."""
        if step in self.steps:
            return
        arrays = jax.tree.map(np.asarray, jax.device_get(state))
        meta = position | {"checksum": checksum(arrays)}
        try:
            saved = self._manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(arrays), position=ocp.args.JsonSave(meta)))
            self._manager.wait_until_finished()
        except Exception as error:  # noqa: BLE001  TensorStore reports a full disk in several types
            self._remove_unfinished()
            raise FerrojaxError(
                f"{self.folder}: checkpoint {step} could not be written ({_reason(error)}); free disk space and start again, "
                "training resumes from the checkpoint before."
            ) from None
        if not saved:
            raise FerrojaxError(f"{self.folder}: checkpoint {step} was not written; remove newer checkpoints from the folder.")

    def restore(self, template: Any, step: int | None = None) -> tuple[Any, dict[str, Any]]:
        """State (NumPy arrays) and position of one checkpoint, the newest by default.

        Raises FerrojaxError if it is damaged (naming the one before) or of another model.
        """
        chosen = self.steps[-1] if step is None else step
        arrays = jax.tree.map(np.asarray, template)
        try:
            args = ocp.args.Composite(state=ocp.args.StandardRestore(arrays), position=ocp.args.JsonRestore())
            restored = self._manager.restore(chosen, args=args)
            state, position = jax.tree.map(np.asarray, restored.state), dict(restored.position)
            damage = None if position.pop("checksum") == checksum(state) else "its checksum does not match"
        except Exception as error:  # noqa: BLE001  Orbax and TensorStore raise many types for damaged files
            state, position, damage = None, {}, _reason(error)
        if damage:
            raise FerrojaxError(self._damaged(chosen, damage))
        if _shapes(state) != _shapes(arrays):
            raise FerrojaxError(f"{self.folder / str(chosen)}: the checkpoint is of another model or optimiser; choose another folder.")
        return state, position

    def close(self) -> None:
        """Release the folder."""
        self._manager.close()

    def _remove_unfinished(self) -> None:
        """Remove temporary folders of a failed save; its other threads may still be writing for a moment."""
        for _ in range(50):
            for folder in self.folder.glob("*tmp*"):
                shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.02)
            if not list(self.folder.glob("*tmp*")):
                return

    def _damaged(self, step: int, reason: str) -> str:
        before = [s for s in self.steps if s < step]
        remedy = f"resume from the one before, step {before[-1]}" if before else "start from the beginning"
        return f"{self.folder / str(step)}: the checkpoint is damaged ({reason}); remove that folder to {remedy}."


def checksum(tree: Any) -> str:
    """SHA-256 of all arrays of a tree, with their names, types and shapes."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {np.shape(leaf)}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _shapes(tree: Any) -> list[tuple[str, tuple[int, ...], str]]:
    return [(jax.tree_util.keystr(p), np.shape(x), str(np.asarray(x).dtype)) for p, x in jax.tree_util.tree_leaves_with_path(tree)]


def _reason(error: Exception) -> str:
    """First line of an error, short enough for one sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:160].rstrip(".")
