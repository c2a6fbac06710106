"""Jobs and labels as rows of ASE's database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from ferrojax.data.frame import LABELS, Frame, require_valid
from ferrojax.data.structure import plain
from ferrojax.labelling.job import Job, Label

OF_ASE = ("energy", "forces", "stress", "dipole")  # labels that ASE's own columns hold


def bare(structure: Atoms | Frame, index: int) -> Atoms:
    """The structure without labels, its ``info`` kept; the system of an explored one is its origin, if it names none.

    Raises FerrojaxError if it is not periodic or has no proper cell.
    """
    frame = structure if isinstance(structure, Frame) else Frame(structure, source=f"structure {index}")
    source = require_valid(Frame(frame.atoms, source=frame.source)).atoms
    atoms = plain(source)
    atoms.info = {name: value for name, value in source.info.items() if isinstance(value, (str, int, float, bool))}
    system = frame.system or atoms.info.get("system") or atoms.info.get("origin")
    if system:
        atoms.info["system"] = system
    return atoms


def job_data(job: Job) -> dict[str, Any]:
    """What a row holds of a job besides its atoms and its engine."""
    return {"settings": dict(job.settings), "properties": list(job.properties), "info": dict(job.atoms.info)}


def to_job(row: Any) -> Job:
    """The job of a row."""
    atoms = row.toatoms()
    atoms.calc, atoms.info = None, dict(row.data["info"])
    return Job(atoms, row.engine, row.data["settings"], tuple(row.data["properties"]))


def labelled_atoms(job: Job, label: Label) -> tuple[Atoms, dict[str, Any]]:
    """Atoms with the labels that ASE knows as results, and the other labels."""
    known: dict[str, Any] = {name: value for name, value in label.values.items() if name in OF_ASE}
    if "stress" in known:
        known["stress"] = full_3x3_to_voigt_6_stress(known["stress"])
    atoms = job.atoms.copy()
    atoms.calc = SinglePointCalculator(atoms, **known)
    return atoms, {name: value for name, value in label.values.items() if name not in OF_ASE}


def to_frame(row: Any, source: str) -> Frame:
    """The labelled structure of a row."""
    atoms = row.toatoms()
    results: Mapping[str, Any] = atoms.calc.results if atoms.calc else {}
    values = {name: value for name, value in results.items() if name in OF_ASE} | dict(row.data["others"])
    if "stress" in values:
        values["stress"] = voigt_6_to_full_3x3_stress(np.asarray(values["stress"]))
    atoms.info = dict(row.data["info"])
    return Label(values, "").frame(atoms, row.dataset, source)


def unframed(row: Any) -> dict[str, Any]:
    """The labels of a row that a frame does not hold: ``force_constants``, [3N, 3N], eV/Å²."""
    return {name: value for name, value in row.data["others"].items() if name not in LABELS}
