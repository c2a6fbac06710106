"""What is to be labelled, and what came out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from ferrojax.data.frame import LABELS, Frame, require_valid
from ferrojax.data.structure import plain
from ferrojax.errors import FerrojaxError

DEFAULT_PROPERTIES = ("energy", "forces", "stress", "dipole")
PROPERTIES = (*LABELS, "force_constants")
RESOLUTION = 1e-6  # Å: structures that differ by less are the same job


class CalculationFailed(FerrojaxError):
    """The engine ran and gave no label that can be used; recorded in the queue, where the others go on."""


@dataclass(frozen=True)
class Job:
    """One structure, the properties wanted of it, and how to get them.

    atoms: periodic, without a calculator; its ``info`` is kept (``system``, ``origin``), but is no part of the job.
    engine: name as on the command line; settings: those of the engine, complete, JSON-like.
    properties: of ``PROPERTIES``; units and index order as in ``Frame``.
    """

    atoms: Atoms
    engine: str
    settings: Mapping[str, Any]
    properties: tuple[str, ...] = DEFAULT_PROPERTIES

    @property
    def key(self) -> str:
        """SHA-256 of engine, settings, properties, atomic numbers, and cell and positions rounded to 1e-6 Å."""
        numbers = self.atoms.numbers.tolist()
        lengths = [np.rint(np.asarray(x) / RESOLUTION).astype(int).tolist() for x in (self.atoms.cell.array, self.atoms.positions)]
        return digest([self.engine, dict(self.settings), sorted(self.properties), numbers, *lengths])


@dataclass(frozen=True)
class Label:
    """What an engine found.

    values: property -> number or float64 array, as in ``Frame``; ``force_constants`` is [3N, 3N], eV/Å².
    version: the program's own. iterations: of the self-consistent field, 0 if there are none.
    """

    values: Mapping[str, Any]
    version: str
    converged: bool = True
    iterations: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    def frame(self, atoms: Atoms, dataset: str, source: str = "label") -> Frame:
        """The labelled structure. Raises FerrojaxError if a value has the wrong shape or is not finite."""
        known: dict[str, Any] = {name: as_value(value) for name, value in self.values.items() if name in LABELS}
        system = str(atoms.info.get("system", atoms.get_chemical_formula()))
        return require_valid(Frame(plain(atoms), dataset=dataset, system=system, source=source, keys={k: k for k in known}, **known))


def as_value(value: Any) -> float | np.ndarray:
    """A number as float, everything else as float64 array."""
    array = np.asarray(value, np.float64)
    return float(array) if array.ndim == 0 else array


def require_complete(label: Label, job: Job) -> Label:
    """The label itself, with what was asked for and no more; raises CalculationFailed if it cannot be used."""
    if not label.converged:
        raise CalculationFailed(f"{job.engine}: not converged after {label.iterations} iterations; allow more, or look at the structure.")
    missing = [name for name in job.properties if name not in label.values]
    if missing:
        raise CalculationFailed(f"{job.engine}: the output holds no {', '.join(missing)}; see the files of the calculation.")
    values = {name: as_value(label.values[name]) for name in job.properties}
    chosen = Label(values, label.version, True, label.iterations, label.details)
    try:
        chosen.frame(job.atoms, "check", job.engine)
    except FerrojaxError as error:
        raise CalculationFailed(str(error)) from None
    return chosen


def check_properties(wanted: Iterable[str], provided: Iterable[str], engine: str) -> tuple[str, ...]:
    """The properties in their usual order. Raises FerrojaxError for a name that is unknown or that the engine does not give."""
    names = list(wanted)
    for name in names:
        if name not in PROPERTIES:
            raise FerrojaxError(f"properties: {name!r} is not known; choose from {', '.join(PROPERTIES)}.")
        if name not in provided:
            raise FerrojaxError(f"properties: the engine {engine} gives no {name}; it gives {', '.join(provided)}.")
    if not names:
        raise FerrojaxError(f"properties: none were asked for; choose from {', '.join(provided)}.")
    return tuple(name for name in PROPERTIES if name in names)


def digest(value: Any) -> str:
    """SHA-256 of something JSON-like, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
