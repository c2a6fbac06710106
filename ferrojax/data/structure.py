"""Structures from any file that ASE reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import read
from ase.io.formats import UnknownFileTypeError

from ferrojax.errors import FerrojaxError


def read_structure(path: Path) -> Atoms:
    """The last structure of a file. Raises FerrojaxError for a file that is missing or that ASE cannot read."""
    return _read(path, -1)


def read_structures(path: Path) -> list[Atoms]:
    """All structures of a file. Raises FerrojaxError as read_structure."""
    return _read(path, ":")


def plain(atoms: Atoms) -> Atoms:
    """Elements, positions, cell and boundaries alone: no calculator, labels, constraints or ``info``."""
    return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _read(path: Path, index: int | str) -> Any:
    try:
        return read(str(path), index=index)
    except FileNotFoundError:
        raise FerrojaxError(f"{path}: there is no such file.") from None
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration, UnknownFileTypeError) as error:
        raise FerrojaxError(f"{path}: ASE cannot read it ({type(error).__name__}: {error}); check the format.") from None
