"""One round of active learning, stage after stage; each stage leaves a file behind, and one that is there is not done again."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from ferrojax.data import Frame, read_frames, write_frames
from ferrojax.data.structure import read_structures
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.labelling import Job
from ferrojax.learning.committee import Committee
from ferrojax.learning.config import STORED, DynamicsSource, LearnConfig
from ferrojax.learning.deviation import Measure
from ferrojax.learning.labels import Labels
from ferrojax.learning.last_layer import fit_last_layer
from ferrojax.learning.select import select, trust_levels
from ferrojax.learning.sources import stretch_of, structures_of, unlabelled
from ferrojax.potential import load
from ferrojax.training import train
from ferrojax.training.config import DataConfig, OutputConfig, TrainConfig

POOL, SELECTED, SELECTION, LABELLED, TRAINING = "pool.extxyz", "selected.extxyz", "selection.json", "labelled.extxyz", "training.extxyz"


@dataclass(frozen=True)
class Round:
    """Round ``number`` of a loop, in a folder of its own."""

    config: LearnConfig
    number: int

    @property
    def folder(self) -> Path:
        """Folder of the round."""
        return Path(self.config.output) / f"round-{self.number:03d}"

    @property
    def before(self) -> Round | None:
        """The round before this one."""
        return Round(self.config, self.number - 1) if self.number else None

    @property
    def members(self) -> list[Path]:
        """Folders of the trained members."""
        return [self.folder / f"member-{k}" / "last" for k in range(self.config.members)]

    @cached_property
    def validation_frames(self) -> list[Frame]:
        """Frames that are never trained on."""
        return [frame for path in self.config.validation for frame in read_labelled(path, self.config.elements)]

    @cached_property
    def training_frames(self) -> list[Frame]:
        """What this round trains on: the data to begin with, and the labels of all rounds before."""
        if self.before is None:
            return [frame for path in self.config.data for frame in read_labelled(path, self.config.elements)]
        return self.before.training_frames + read_frames(self.before.folder / LABELLED)

    def train(self, quiet: bool) -> None:
        """Train every member, each from another seed; a training that was stopped goes on."""
        path = self.folder / TRAINING
        self.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_frames(path, self.training_frames)
        for k in range(self.config.members):
            train(self._training(k), quiet=quiet)

    @cached_property
    def measure(self) -> Measure:
        """What tells the uncertainty: the committee, or the last layer's posterior of a single member."""
        if self.config.members > 1:
            return Committee.load(self.members, self.training_frames[-1].dataset)  # the engine's, once it has labelled
        return fit_last_layer(*load(self.members[0]), self.training_frames)

    def selection(self) -> dict[str, Any]:
        """Explore, and choose what to label. Writes pool.extxyz, selected.extxyz and selection.json, and returns what is in the last."""
        path = self.folder / SELECTION
        if path.exists():
            return json.loads(path.read_text())
        model, params, _ = load(self.members[0])
        found, runs = self._explore(model, params)
        known = [*self.training_frames, *self.validation_frames]
        pool = without(found, known)
        pool = pool if self._stored else Labels(self.config).possible(pool)
        if not pool:
            raise FerrojaxError(f"{self.folder}: exploration found nothing that is not labelled already; widen explore.")
        atoms = [frame.atoms for frame in pool]
        chosen = select(self.config.select, self.measure, model, params, atoms, self.training_frames, seed=self.config.seed + self.number)
        # Where a run was interrupted comes first: without its label the run would be interrupted there again.
        doubts = [k for k, frame in enumerate(pool) if any(frame is found[run["doubt"]] for run in runs if run["doubt"] is not None)]
        wanted = [*doubts, *(int(k) for k in chosen.chosen if k not in doubts)][: max(self.config.select.per_round, len(doubts))]
        self._write(POOL, pool)
        if wanted:
            self._write(SELECTED, [pool[k] for k in wanted])
        counts = {name: len(getattr(chosen, name)) for name in ("accurate", "candidate", "failed")}
        low, high = chosen.levels
        told: dict[str, Any] = {"explored": len(pool), **counts, "selected": len(wanted), "low_eV_per_A": low, "high_eV_per_A": high}
        told |= {"runs": [run | {"doubt": run["doubt"] is not None} for run in runs]} if runs else {}
        write_text(path, json.dumps(told, indent=1) + "\n")
        return told

    def label(self, quiet: bool) -> list[Frame]:
        """Label what was selected, and write labelled.extxyz; finished labels are in the queue whatever happens."""
        path = self.folder / LABELLED
        if path.exists():
            return read_frames(path)
        wanted = self._read(SELECTED)
        found = wanted if self._stored else Labels(self.config).calculated(wanted, -self.number, quiet)
        if not found:
            raise FerrojaxError(f"{self.folder}: none of {len(wanted)} selected structures could be labelled; see ferrojax label status.")
        write_frames(path, found)
        return found

    def _training(self, member: int) -> TrainConfig:
        model = self.config.model
        if self.config.warm_start and self.before is not None:
            model = model.model_copy(update={"start_from": str(self.before.members[member])})
        return TrainConfig(
            data=[DataConfig(path=str(self.folder / TRAINING), validation=0)],
            model=model,
            loss=self.config.loss,
            optimizer=self.config.optimizer,
            stop=self.config.length,
            output=OutputConfig(folder=str(self.folder / f"member-{member}")),
            seed=1000 * self.config.seed + member,
        )

    def _explore(self, model: Any, params: Any) -> tuple[list[Frame], list[dict[str, Any]]]:
        """Structures of all sources; and of each run that goes on: source, time, and place of the structure where it came to doubt."""
        pool: list[Frame] = []
        runs: list[dict[str, Any]] = []
        for k, source in enumerate(self.config.explore):
            seed = self.config.seed + 7919 * self.number + k  # a prime apart, so that no two rounds draw the same
            if not (isinstance(source, DynamicsSource) and source.go_on):
                pool += structures_of(source, model, params, seed, self._stored)
                continue
            stretch = stretch_of(source, self.measure, params, self._levels, seed, self._place(k))
            write_structure(self.folder / place(k), stretch.left)
            pool += unlabelled(stretch.frames, source.kind)
            runs.append({"source": k, "time_fs": stretch.left.info["time"], "doubt": len(pool) - 1 if stretch.doubt else None})
        return pool, runs

    def _place(self, k: int) -> Atoms | None:
        """Where the k-th source, a dynamics that goes on, was left by the round before, with momenta."""
        if self.before is None or not (self.before.folder / place(k)).exists():
            return None
        return ase.io.read(self.before.folder / place(k))

    @property
    def _levels(self) -> tuple[float, float]:
        return trust_levels(np.zeros(0), self.config.select)

    @property
    def _stored(self) -> bool:
        return self.config.label.engine == STORED

    def _write(self, name: str, frames: list[Frame]) -> None:
        """Structures, with their labels if these are stored ones, else with what is known of their origin."""
        if self._stored:
            write_frames(self.folder / name, frames)
            return
        write_structure(self.folder / name, [frame.atoms for frame in frames])

    def _read(self, name: str) -> list[Frame]:
        path = self.folder / name
        return read_frames(path) if self._stored else unlabelled(read_structures(path), name)


def place(k: int) -> str:
    """File of the structure at which the k-th source goes on."""
    return f"place-{k}.extxyz"


def write_structure(path: Path, structures: Atoms | list[Atoms]) -> None:
    """Extended XYZ, whole or not at all."""
    text = io.StringIO()
    ase.io.write(text, structures, format="extxyz")
    write_text(path, text.getvalue())


def read_labelled(path: str, elements: list[str] | None) -> list[Frame]:
    """Frames of a file with at least energy and forces. Raises FerrojaxError if there are none."""
    frames = read_frames(path, elements=elements)
    labelled = [frame for frame in frames if frame.energy is not None and frame.forces is not None]
    if not labelled:
        raise FerrojaxError(f"{path}: no frame has an energy and forces; give labelled frames.")
    return labelled


def without(frames: list[Frame], known: list[Frame]) -> list[Frame]:
    """The frames that are not among the known ones, atom by atom within 1e-6 Å."""
    seen = {_identity(frame) for frame in known}
    return [frame for frame in frames if _identity(frame) not in seen]


def _identity(frame: Frame) -> str:
    return Job(frame.atoms, "", {}).key
