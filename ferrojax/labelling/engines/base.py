"""The interface of an engine: what turns a structure into labels."""

from __future__ import annotations

import shlex
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ferrojax.errors import FerrojaxError
from ferrojax.labelling.job import Job, Label, digest, require_complete
from ferrojax.labelling.process import Stop, run_command
from ferrojax.sections import Section, read_section


@dataclass(frozen=True)
class Command:
    """One process of a calculation: its arguments, the file in its folder that takes its output, and more environment."""

    arguments: list[str]
    log: str
    environment: Mapping[str, str] = field(default_factory=dict)


class Engine(ABC):
    """What labels structures, in a scratch folder if it needs one.

    name: as on the command line. settings: what defines the level of theory, nothing of the machine.
    launcher: what processes are started with, e.g. "mpirun -np 2"; no part of the settings.
    Labels of one ``dataset`` share an energy zero; never train on two as if they were one.
    """

    family: ClassVar[str]
    provides: ClassVar[tuple[str, ...]]
    Settings: ClassVar[type[Section]]

    def __init__(self, name: str, settings: Mapping[str, Any] | str | Path | None = None, launcher: str = "") -> None:
        """Raises FerrojaxError for settings that are not known or out of range."""
        self.name, self.launcher = name, shlex.split(launcher)
        source = dict(settings or {}) if not isinstance(settings, (str, Path)) else settings
        self.settings: Any = read_section(self.Settings, source)[0]

    @property
    def dataset(self) -> str:
        """Name of the level of theory: engine, functional and the first digits of the settings' hash."""
        return f"{self.family}-{self.settings.xc.lower()}-{self.settings_hash[:8]}"

    @property
    def settings_hash(self) -> str:
        """SHA-256 of name and settings."""
        return digest([self.name, self.plain_settings()])

    def plain_settings(self) -> dict[str, Any]:
        """The settings as JSON-like dictionary; an engine is made again from it."""
        return self.settings.model_dump(mode="json")

    @abstractmethod
    def check(self) -> None:
        """Raises FerrojaxError, with the remedy, if the program is not there."""

    @abstractmethod
    def label(self, job: Job, folder: Path, stop: Stop) -> Label:
        """The label of a job. Raises FerrojaxError for what failed, Interrupted when told to stop."""

    def earlier(self, job: Job, folder: Path) -> Label | None:
        """The label of a calculation that had finished when its worker was killed, before it could be recorded; None if there is none."""
        return None


class Program(Engine):
    """A program, run as processes of its own. bulky: folders of waves and densities that it leaves, removed however a calculation ends."""

    bulky: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def prepare(self, job: Job, folder: Path) -> list[Command]:
        """Write the input files; the commands to run after each other. Raises FerrojaxError for a job that cannot be run."""

    @abstractmethod
    def read(self, job: Job, folder: Path) -> Label:
        """The label from the output files. Raises CalculationFailed if there is none."""

    def label(self, job: Job, folder: Path, stop: Stop) -> Label:
        """Prepare, run and read. Raises FerrojaxError for what failed, Interrupted when told to stop."""
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for command in self.prepare(job, folder):
                arguments = [*self.launcher, *command.arguments]
                run_command(arguments, folder, command.log, command.environment, stop)
        finally:  # inputs and logs of a calculation that failed stay
            for name in self.bulky:
                shutil.rmtree(folder / name, ignore_errors=True)
        return require_complete(self.read(job, folder), job)

    def earlier(self, job: Job, folder: Path) -> Label | None:
        """See ``Engine``."""
        if folder.is_dir():
            with suppress(FerrojaxError):
                return require_complete(self.read(job, folder), job)
        return None


def need_program(name: str, remedy: str) -> str:
    """Path of a program. Raises FerrojaxError if it is not on the PATH."""
    path = shutil.which(name)
    if path is None:
        raise FerrojaxError(f"{name} is not on the PATH; {remedy}.")
    return path
