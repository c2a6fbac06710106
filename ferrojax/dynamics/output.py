"""The output folder of a run: trajectory, log, checkpoints and run.json, and going on from them."""

from __future__ import annotations

import fcntl
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ferrojax.dynamics.checkpoint import Checkpoint, Checkpoints, gather, restore
from ferrojax.dynamics.describe import difference, environment, now
from ferrojax.dynamics.log import Log, read_log, require_parquet, write_parquet
from ferrojax.dynamics.meter import Meter
from ferrojax.dynamics.records import Records
from ferrojax.dynamics.trajectory import H5MD, ExtendedXYZ
from ferrojax.dynamics.undo import UndoFile
from ferrojax.dynamics.writer import Writer
from ferrojax.effective.lattice import LatticeState
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.state import State

TRAJECTORIES = {"h5md": "trajectory.h5", "extxyz": "trajectory.extxyz"}


@dataclass(frozen=True)
class Output:
    """Where and what a run writes; a folder's name alone stands for Output(folder).

    trajectory: "h5md" (trajectory.h5), "extxyz" or None. log: "csv" (log.csv), or "parquet" for a log.parquet besides,
    written when the run ends. velocities, forces: also in the trajectory. checkpoint_seconds: time between
    checkpoints. show: a line of progress; None for only on a terminal.
    """

    folder: str | Path
    trajectory: Literal["h5md", "extxyz"] | None = "h5md"
    log: Literal["csv", "parquet"] = "csv"
    velocities: bool = False
    forces: bool = False
    checkpoint_seconds: float = 60.0
    show: bool | None = None

    def __post_init__(self) -> None:
        if self.trajectory not in (None, *TRAJECTORIES) or self.log not in ("csv", "parquet"):
            raise FerrojaxError(
                f"output: trajectory must be one of {[*TRAJECTORIES, None]} and log 'csv' or 'parquet'; "
                f"got {self.trajectory!r} and {self.log!r}."
            )

    @property
    def kept(self) -> tuple[str, ...]:
        """Fields of Records, one value an atom, that the trajectory holds."""
        chosen = {"positions": True, "velocities": self.velocities, "forces": self.forces}
        return tuple(name for name, wanted in chosen.items() if wanted) if self.trajectory else ()


class Place(NamedTuple):
    """Where a run stands: what a checkpoint brings back."""

    progress: Any
    state: State | LatticeState
    rebuilds: int


class Folder:
    """Files of one run, open. Everything is written in a thread of its own, in order."""

    def __init__(self, output: Output, settings: dict[str, Any], state: State | LatticeState, dt: float, stop: int) -> None:
        """Open or make the folder; call ``resume`` next. Raises FerrojaxError if it holds another run."""
        self.output, self.folder, self.state, self._stop = output, Path(output.folder), state, stop
        if output.log == "parquet":
            require_parquet()
        self._card = _open_card(self.folder, settings, stop)
        self._checkpoints = Checkpoints(self.folder / "checkpoints")
        self._real = np.asarray(state.mobile)
        self._atoms = state.to_ase()
        self._dt, self._saved = dt, time.monotonic()
        self._files: list[UndoFile] = []
        self._sinks: list[Any] = []

    def resume(self, template: Callable[[], Any]) -> tuple[Place | None, list[Records]]:
        """Put the files back to the newest good checkpoint; its place (None for the beginning) and the records so far."""
        found, note = self._checkpoints.newest()
        if note:
            warnings.warn(note, stacklevel=2)
        sizes: dict[str, int] = found.meta["sizes"] if found else {}
        self._number = found.number if found else 0
        names = ["log.csv"] + ([TRAJECTORIES[self.output.trajectory]] if self.output.trajectory else [])
        step = found.meta["step"] if found else None
        if step is not None and step > self._stop:
            raise FerrojaxError(f"{self.folder}: the run there is at step {step}, beyond the {self._stop} asked for; ask for more steps.")
        with self._sentences():
            self._files += [UndoFile(self.folder / name, self._number, sizes.get(name, 0)) for name in names]
            self._sinks += [Log(self._files[0]), *map(self._trajectory, self._files[1:])]
        self.meter = Meter(step or 0, self._stop, self._dt, self.output.show)
        self._step = step or 0
        self._begin_part(note)
        self._writer = Writer()
        if found is None:
            return None, []
        progress, state = restore(found, template(), self.state)
        return Place(progress, state, found.meta["rebuilds"]), [read_log(self.folder, self.state.cell.dtype)]

    def note(self, place: Place, records: Records) -> None:
        """Append records, with a checkpoint if the last one is old enough, and tell the progress.

        Raises FerrojaxError if the disk did not take earlier ones.
        """
        self._step = int(place.progress.step)
        if len(records):
            real = {name: getattr(records, name)[:, self._real] for name in self.output.kept}
            if "positions" in real and not self.state.follows_cell:
                real["positions"] = real["positions"] + self._atoms.positions.astype(real["positions"].dtype)  # displacements from sites
            chosen = Records(**(vars(records.without_atoms()) | real))
            self._put(lambda: self._append(chosen))
        self.meter.update(self._step, float(records.temperature[-1]) if len(records) else None)
        if time.monotonic() - self._saved >= self.output.checkpoint_seconds:
            self.save(place)

    def save(self, place: Place) -> None:
        """A checkpoint of everything noted so far."""
        self._saved = time.monotonic()
        self._put(lambda: self._commit(place))

    def finish(self) -> None:
        """Wait until all is written."""
        with self._sentences():
            self._writer.finish()
            if self.output.log == "parquet":
                write_parquet(self.folder / "log.csv")

    def close(self, status: str, message: str = "") -> None:
        """Close the files and note in run.json how it ended: finished, stopped or failed."""
        for close in [self._writer.finish] + [x.close for x in (*self._sinks, *self._files)]:
            # What a full disk did not take is no longer of interest: the next start returns to the last checkpoint.
            _quietly(close)
        self.meter.close()
        part = {"ended": now(), "status": status, "to_step": self._step} | ({"message": message} if message else {})
        self._card["parts"][-1] |= part
        self._card |= {"status": status}
        _quietly(lambda: _write_card(self.folder, self._card))

    def _append(self, records: Records) -> None:
        for sink, file in zip(self._sinks, self._files):
            sink.append(records)
            file.check()

    def _commit(self, place: Place) -> None:
        arrays, meta = gather(place.progress, place.state)
        for sink in self._sinks:
            sink.flush()
        for file in self._files:
            file.sync()
        sizes = {file.path.name: file.size for file in self._files}
        self._number += 1
        meta |= {"step": int(place.progress.step), "rebuilds": place.rebuilds, "sizes": sizes}
        self._checkpoints.write(Checkpoint(self._number, arrays, meta))
        for file in self._files:
            file.commit(self._number)

    def _trajectory(self, file: UndoFile) -> H5MD | ExtendedXYZ:
        if self.output.trajectory == "h5md":
            return H5MD(file, self._atoms, self.output.kept, self.state.cell.dtype)
        return ExtendedXYZ(file, self._atoms, self.output.kept)

    def _put(self, job: Callable[[], Any]) -> None:
        with self._sentences():
            self._writer.put(job)

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """A disk that is full, as one sentence, however the libraries in between put it."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            failure = next((file.failure for file in self._files if file.failure), error)
            if not isinstance(failure, OSError):
                raise
            reason = failure.strerror or failure
            raise FerrojaxError(
                f"{self.folder}: cannot be written ({reason}); free disk space and start again: the run goes on from its last checkpoint."
            ) from None

    def _begin_part(self, note: str) -> None:
        for part in self._card["parts"]:
            if part["status"] == "running":
                part["status"] = "killed"
        part = {"started": now(), "from_step": self._step, "status": "running"} | environment() | ({"note": note} if note else {})
        self._card["parts"].append(part)
        _write_card(self.folder, self._card)


@contextmanager
def open_folder(output: Output, settings: dict[str, Any], state: State | LatticeState, dt: float, stop: int) -> Iterator[Folder]:
    """The folder of a run, locked against other processes."""
    folder = Path(output.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "w")  # noqa: SIM115
    except OSError as error:
        raise FerrojaxError(f"{folder}: cannot be made or written to ({error.strerror}); choose another output folder.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FerrojaxError(f"{folder}: another process is writing there; wait for its end or choose another folder.") from None
        except OSError:
            pass  # a file system without locks
        yield Folder(output, settings, state, dt, stop)


def _open_card(folder: Path, settings: dict[str, Any], stop: int) -> dict[str, Any]:
    """run.json of the run in the folder, or a new one."""
    path = folder / "run.json"
    fresh = {"settings": settings, "steps": stop, "status": "running", "parts": []}
    if not path.exists():
        names = [name for name in ("log.csv", "checkpoints", *TRAJECTORIES.values()) if (folder / name).exists()]
        if names:
            raise FerrojaxError(
                f"{folder}: holds {names[0]} but no run.json; choose another folder, or remove the file if it is not needed."
            )
        return fresh
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        old = card["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        raise FerrojaxError(f"{path}: cannot be read as the description of a run; choose another output folder.") from None
    found = difference(old, json.loads(json.dumps(settings)))
    if found:
        raise FerrojaxError(f"{folder}: holds a run of other settings: {found}; choose another output folder, or remove it.")
    return card | {"steps": stop, "status": "running"}


def _write_card(folder: Path, card: dict[str, Any]) -> None:
    write_text(folder / "run.json", json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _quietly(action: Callable[[], Any]) -> None:
    """Do what the end of a run needs; an error in it must not hide the one that ended the run."""
    with suppress(OSError, RuntimeError, FerrojaxError):
        action()
