"""One labelled structure, and the problems that make it unusable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.state import check_cell

LABELS = ("energy", "forces", "stress", "dipole", "born_charges", "polarizability")


@dataclass
class Frame:
    """One labelled structure; every label is a float64 array, or None where absent.

    atoms: structure without a calculator, periodic in all directions.
    energy: eV. forces: eV/Å. stress: eV/Å³, tension positive.
    dipole: e·Å, known modulo lattice vectors.
    born_charges: e, [atom, polarization a, displacement b] = ∂M_a/∂R_b.
    polarizability: e·Å²/V of the whole cell, ∂M/∂E at clamped ions.
    dataset: name of the level of theory; energies of two data sets share no zero.
    system: group of similar frames (composition, folder), the unit of a split by system.
    source: file and index, for messages. keys: the key each label was read from.
    """

    atoms: Atoms
    energy: float | None = None
    forces: Float[np.ndarray, "atoms 3"] | None = None
    stress: Float[np.ndarray, "3 3"] | None = None
    dipole: Float[np.ndarray, " 3"] | None = None
    born_charges: Float[np.ndarray, "atoms 3 3"] | None = None
    polarizability: Float[np.ndarray, "3 3"] | None = None
    dataset: str = "data"
    system: str = ""
    source: str = "frame"
    keys: dict[str, str] = field(default_factory=dict)

    def labels(self) -> dict[str, float | np.ndarray]:
        """The labels that are present, by name."""
        return {name: getattr(self, name) for name in LABELS if getattr(self, name) is not None}


class Problem(NamedTuple):
    """What is wrong with a frame, and what to do about it."""

    sentence: str
    remedy: str


def frame_problems(frame: Frame) -> list[Problem]:
    """Everything that makes the frame unusable: structure, shapes and values that are not finite."""
    structure = _structure_problem(frame)
    if structure is not None:
        return [structure]
    return [problem for name, value in frame.labels().items() if (problem := _label_problem(frame, name, np.asarray(value)))]


def require_valid(frame: Frame) -> Frame:
    """The frame itself; raises FerrojaxError naming the source and the remedy if it is unusable."""
    for problem in frame_problems(frame):
        raise FerrojaxError(f"{frame.source}: {problem.sentence}; {problem.remedy}.")
    return frame


def _structure_problem(frame: Frame) -> Problem | None:
    atoms = frame.atoms
    if len(atoms) == 0:
        return Problem("the frame has no atoms", "drop it")
    if not atoms.pbc.all():
        return Problem(
            f"the structure is not periodic in all directions (pbc {atoms.pbc.tolist()})",
            "give it a cell (Lattice) and pbc T T T; a slab needs vacuum in its cell",
        )
    try:
        check_cell(atoms.cell.array, len(atoms), "")
    except FerrojaxError as error:
        sentence, _, remedy = str(error).removeprefix(": ").rstrip(".").partition("; ")
        return Problem(sentence, remedy)
    if not np.isfinite(atoms.positions).all():
        bad = int(np.argwhere(~np.isfinite(atoms.positions))[0, 0])
        return Problem(f"the position of atom {bad} is not finite", "drop or recompute the frame")
    if (atoms.numbers < 1).any():
        bad = int(np.argmax(atoms.numbers < 1))
        return Problem(f"atom {bad} is of an unknown element", "name the chemical element")
    return None


def _label_problem(frame: Frame, name: str, value: np.ndarray) -> Problem | None:
    expected = _shape(name, len(frame.atoms))
    if value.shape != expected:
        return Problem(f"{name} has shape {value.shape}, not {expected}", "write one row per atom, in the order of the atoms")
    if np.isfinite(value).all():
        return None
    where = f" of atom {int(np.argwhere(~np.isfinite(value))[0, 0])}" if name in ("forces", "born_charges") else ""
    return Problem(f"the {name} label{where} is NaN or infinite", "drop the frame, or leave the label out, or recompute it")


def _shape(name: str, atoms: int) -> tuple[int, ...]:
    return {"energy": (), "forces": (atoms, 3), "dipole": (3,), "born_charges": (atoms, 3, 3)}.get(name, (3, 3))
