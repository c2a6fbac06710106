"""Labelled structures from extended XYZ and every other format that ASE reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import iread
from ase.io.formats import UnknownFileTypeError

from ferrojax.data.frame import Frame
from ferrojax.data.structure import plain
from ferrojax.errors import FerrojaxError

# Names under which codes and other trainers store a label, best first. `free_energy` only stands in for a
# missing energy. `polarization` is the dipole P·V in e·Å, as allegro-pol writes it.
_PREFIXED = ("", "REF_", "ref_", "DFT_", "dft_")
ALIASES: dict[str, tuple[str, ...]] = {
    "energy": tuple(p + "energy" for p in _PREFIXED) + ("total_energy", "Energy", "potential_energy"),
    "forces": tuple(p + name for name in ("forces", "force") for p in _PREFIXED) + ("Forces",),
    "stress": tuple(p + "stress" for p in _PREFIXED),
    "virial": tuple(p + name for name in ("virial", "virials") for p in _PREFIXED),
    "dipole": tuple(p + "dipole" for p in _PREFIXED) + ("dipole_moment", "polarization"),
    "born_charges": tuple(p + name for name in ("born_charges", "born_charge", "bec") for p in _PREFIXED)
    + ("BEC", "born_effective_charges"),
    "polarizability": tuple(p + "polarizability" for p in _PREFIXED),
}
KEYED = tuple(ALIASES)
_READ_ERRORS = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration, RuntimeError, UnknownFileTypeError)


def read_ase_file(
    path: Path, dataset: str, own_name: bool, keys: Mapping[str, str], on_error: Callable[[FerrojaxError], None]
) -> Iterator[Frame]:
    """Frames of one file, unchecked; what cannot be read goes to on_error.

    own_name: a `dataset` key in the file takes precedence over `dataset`.
    """
    for index, atoms in enumerate(_images(path, on_error)):
        source = f"{path.name}, frame {index}"
        try:
            frame = _to_frame(atoms, keys, source)
        except FerrojaxError as error:
            on_error(error)
            continue
        frame.dataset = str(atoms.info["dataset"]) if own_name and "dataset" in atoms.info else dataset
        frame.system = str(atoms.info.get("system", atoms.get_chemical_formula()))
        yield frame


def _images(path: Path, on_error: Callable[[FerrojaxError], None]) -> Iterator[Atoms]:
    count = 0
    try:
        for atoms in iread(str(path), index=":"):
            yield atoms
            count += 1
    except _READ_ERRORS as error:
        reason = f"unknown element or key {error}" if isinstance(error, KeyError) else str(error).split("\n")[0] or type(error).__name__
        on_error(
            FerrojaxError(f"{path.name}, frame {count}: cannot be read ({reason}); check that the file is whole and its format right.")
        )


def _to_frame(atoms: Atoms, keys: Mapping[str, str], source: str) -> Frame:
    stored: dict[str, Any] = {**atoms.arrays, **atoms.info, **(atoms.calc.results if atoms.calc else {})}
    found = {label: key for label in KEYED if (key := _find(label, stored, keys, source))}
    if "stress" in found and "virial" in found:
        found.pop("virial" if "stress" in keys or "virial" not in keys else "stress")
    labels = {label: _as_array(stored[key], label, key, source) for label, key in found.items()}
    frame = Frame(plain(atoms), source=source, keys=found)
    for label, value in labels.items():
        if label == "virial":
            frame.stress = virial_to_stress(as_matrix(value), atoms.cell.array)
        elif label == "energy":
            frame.energy = float(value.reshape(-1)[0]) if value.size == 1 else value  # type: ignore[assignment]
        else:
            setattr(frame, label, _reshape(label, value, len(atoms)))
    return frame


def _find(label: str, stored: Mapping[str, Any], keys: Mapping[str, str], source: str) -> str | None:
    """The key that holds the label: the one named by the user, else the one alias present."""
    if label in keys:
        if keys[label] not in stored:
            present = ", ".join(sorted(set(stored) - {"numbers", "positions"}))
            raise FerrojaxError(f"{source}: no key '{keys[label]}' for the {label}; the frame has {present or 'none'}.")
        return keys[label]
    present_keys = [key for key in ALIASES[label] if key in stored]
    for other in present_keys[1:]:
        if not np.array_equal(np.ravel(stored[present_keys[0]]), np.ravel(stored[other])):
            raise FerrojaxError(
                f"{source}: the {label} is given twice, differently, as '{present_keys[0]}' and '{other}'; "
                f"choose one, as keys={{'{label}': '{other}'}}."
            )
    if label == "energy" and not present_keys and "free_energy" in stored:
        return "free_energy"
    return present_keys[0] if present_keys else None


def _as_array(value: object, label: str, key: str, source: str) -> np.ndarray:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise FerrojaxError(f"{source}: the {label} under '{key}' is not numeric; write numbers or drop the label.") from None


def _reshape(label: str, value: np.ndarray, atoms: int) -> np.ndarray:
    if label in ("stress", "polarizability"):
        return as_matrix(value)
    if label == "born_charges" and value.size == 9 * atoms:
        # Row-major [polarization, displacement]. Checked on batio3-response by finite differences of the dipole over the
        # ten closest pairs of frames: RMS error 0.022 e·Å in this order, 0.114 e·Å transposed, 2.3 e·Å without Z*.
        return value.reshape(atoms, 3, 3)
    return value.reshape(3) if label == "dipole" and value.size == 3 else value


def as_matrix(value: np.ndarray) -> np.ndarray:
    """Symmetric 3x3 tensor from 9 numbers or Voigt xx yy zz yz xz xy; other shapes come back as they are."""
    if value.size == 6:
        xx, yy, zz, yz, xz, xy = value.reshape(6)
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return value.reshape(3, 3) if value.size == 9 else value


def virial_to_stress(virial: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Stress = -virial / V, eV/Å³, tension positive; NaN-free even for a flat cell, which is refused later."""
    volume = float(np.linalg.det(cell))
    return -virial / volume if abs(volume) > 1e-12 else np.zeros_like(virial)
