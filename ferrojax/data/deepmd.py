"""Labelled structures from DeePMD-kit folders (deepmd/npy, plain and mixed-type)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ferrojax.data.ase_files import virial_to_stress
from ferrojax.data.frame import Frame
from ferrojax.errors import FerrojaxError

# Only these files have a meaning fixed by the format; others need a name in `keys`.
FILES = {"energy": "energy", "forces": "force", "virial": "virial"}


def system_folders(root: Path) -> list[Path]:
    """DeePMD systems below and including root, in order of name."""
    return sorted({file.parent for file in root.rglob("type.raw")})


def read_deepmd(
    root: Path,
    dataset: str,
    keys: Mapping[str, str],
    elements: set[str] | None,
    systems: set[str] | None,
    on_error: Callable[[FerrojaxError], None],
) -> Iterator[Frame]:
    """Frames of all systems below root, unchecked; what cannot be read goes to on_error.

    Energy eV, coordinates Å, forces eV/Å, virial eV; stress = -virial / V. `type_map.raw` is local to each system.
    """
    for folder in system_folders(root):
        system = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
        if systems is not None and system not in systems:
            continue
        try:
            numbers, table = _read_types(folder)
            needed = {symbol for symbol, number in atomic_numbers.items() if number in numbers}
            mixed = any(folder.glob("set.*/real_atom_types.npy"))
            if elements is None or mixed or needed <= elements:
                yield from _read_sets(folder, numbers, table, dataset, system, keys)
        except FerrojaxError as error:
            on_error(error)


def _read_types(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Atomic number of each atom, and of each entry of the local type map."""
    name = f"{folder.name}/type_map.raw"
    if not (folder / "type_map.raw").is_file():
        raise FerrojaxError(f"{name}: no such file; list the element symbols there in the order of the types.")
    symbols = (folder / "type_map.raw").read_text().split()
    unknown = [symbol for symbol in symbols if atomic_numbers.get(symbol, 0) < 1]
    if unknown:
        raise FerrojaxError(f"{name}: {unknown[0]} is no chemical element; write element symbols.")
    table = np.array([atomic_numbers[symbol] for symbol in symbols], int)
    try:
        types = np.array((folder / "type.raw").read_text().split(), int)
    except ValueError:
        raise FerrojaxError(f"{folder.name}/type.raw: not a list of integers; write one type index per atom.") from None
    if len(types) == 0:
        raise FerrojaxError(f"{folder.name}/type.raw: no atoms; write one type index per atom.")
    if types.min() < 0 or types.max() >= len(table):
        raise FerrojaxError(f"{folder.name}/type.raw: type {types.max()} has no entry in type_map.raw ({len(table)} entries); add it.")
    return table[types], table


def _read_sets(folder: Path, numbers: np.ndarray, table: np.ndarray, dataset: str, system: str, keys: Mapping[str, str]) -> Iterator[Frame]:
    sets = sorted(path for path in folder.glob("set.*") if path.is_dir())
    if not sets:
        raise FerrojaxError(f"{folder.name}: no set.* folder; convert the system to the deepmd/npy format.")
    if (folder / "nopbc").exists():
        raise FerrojaxError(f"{folder.name}: marked nopbc, but ferrojax needs a cell periodic in all directions; give it a cell.")
    for one in sets:
        yield from _read_set(one, numbers, table, dataset, system, keys)


def _read_set(one: Path, numbers: np.ndarray, table: np.ndarray, dataset: str, system: str, keys: Mapping[str, str]) -> Iterator[Frame]:
    atoms = len(numbers)
    coordinates = _load(one, "coord", 3 * atoms).reshape(-1, atoms, 3)
    count = len(coordinates)
    cells = _load(one, "box", 9, count).reshape(count, 3, 3)
    found = {label: stem for label, stem in {**FILES, **keys}.items() if label in keys or (one / f"{stem}.npy").is_file()}
    if "stress" in found:
        found.pop("virial", None)
    columns = {label: _load(one, stem, _columns(label, atoms), count) for label, stem in found.items()}
    types = _mixed_types(one, count, table) if (one / "real_atom_types.npy").is_file() else None
    for k in range(count):
        own = numbers if types is None else types[k]
        frame = Frame(
            Atoms(numbers=own[own > 0], positions=coordinates[k][own > 0], cell=cells[k], pbc=True),
            dataset=dataset,
            system=system,
            source=f"{system}/{one.name}, frame {k}",
            keys=dict(found),
        )
        for label, values in columns.items():
            _set_label(frame, label, values[k], own)
        yield frame


def _set_label(frame: Frame, label: str, value: np.ndarray, own: np.ndarray) -> None:
    if label == "energy":
        frame.energy = float(value[0])
    elif label == "virial":
        frame.stress = virial_to_stress(value.reshape(3, 3), frame.atoms.cell.array)
    elif label in ("forces", "born_charges"):
        shape = (len(own), 3) if label == "forces" else (len(own), 3, 3)
        setattr(frame, label, value.reshape(shape)[own > 0])
    else:
        setattr(frame, label, value if label == "dipole" else value.reshape(3, 3))


def _columns(label: str, atoms: int) -> int:
    return {"energy": 1, "forces": 3 * atoms, "dipole": 3, "born_charges": 9 * atoms}.get(label, 9)


def _load(one: Path, stem: str, columns: int, count: int | None = None) -> np.ndarray:
    """Array of (frames, columns) in float64; raises FerrojaxError naming the file."""
    name = f"{one.parent.name}/{one.name}/{stem}.npy"
    try:
        values = np.load(one / f"{stem}.npy", allow_pickle=False)
    except FileNotFoundError:
        raise FerrojaxError(f"{name}: no such file; a system needs coord.npy and box.npy, and the files named in keys.") from None
    except (OSError, ValueError, EOFError) as error:
        raise FerrojaxError(f"{name}: truncated or not a numpy array ({str(error).splitlines()[0]}); copy or convert it again.") from error
    frames = len(values) if values.ndim else 0
    if frames == 0:
        raise FerrojaxError(f"{name}: zero frames; drop the set or write at least one frame.")
    if values.size != frames * columns or (count is not None and frames != count):
        raise FerrojaxError(
            f"{name}: shape {values.shape}, not ({count or 'frames'}, {columns}); check type.raw and that all files hold the same frames."
        )
    return values.reshape(frames, columns).astype(np.float64)


def _mixed_types(one: Path, count: int, table: np.ndarray) -> np.ndarray:
    """Atomic numbers (frames, atoms) of the mixed-type format; 0 where the type is -1 (padding)."""
    values = np.load(one / "real_atom_types.npy", allow_pickle=False).astype(int)
    if len(values) != count or values.max() >= len(table):
        raise FerrojaxError(f"{one.parent.name}/{one.name}/real_atom_types.npy: does not fit coord.npy or type_map.raw; convert it again.")
    return np.where(values >= 0, table[values], 0)
