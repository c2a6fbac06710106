"""Trajectories as a stream: one frame in memory at a time, whatever wrote the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import ase.io
import ase.units
import h5py
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from ase.io.formats import UnknownFileTypeError
from ase.io.lammpsrun import iread_lammps_dump_text
from jaxtyping import Float, Int

from ferrojax.errors import FerrojaxError

LENGTHS = {"Angstrom": 1.0, "nm": 10.0, "pm": 0.01}  # of H5MD files, in Å
TIMES = {"fs": 1.0, "ps": 1e3, "ns": 1e6}  # in fs
_UNREADABLE = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration, RuntimeError, UnknownFileTypeError)


@dataclass(frozen=True)
class Snapshot:
    """One frame of a trajectory.

    positions: Å, as the file has them, wrapped or not. cell: rows, Å. numbers: atomic numbers, 0 for rows of a lattice.
    time: fs, None if neither the file nor a time step says. velocities: Å/fs, None if the file has none. observables: what else it says of
    the frame (dipole in e Å, electric_field in V/Å, ...), arrays: of each atom (charges in e, ...).
    """

    positions: Float[np.ndarray, "atoms 3"]
    cell: Float[np.ndarray, "3 3"]
    numbers: Int[np.ndarray, " atoms"]
    step: int
    time: float | None = None
    velocities: Float[np.ndarray, "atoms 3"] | None = None
    observables: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Any] = field(default_factory=dict)

    def to_ase(self) -> Atoms:
        """ASE structure, without velocities."""
        return Atoms(numbers=self.numbers, positions=self.positions, cell=self.cell, pbc=True)


def frames(path: str | Path, every: int = 1, elements: Sequence[str] = (), time_step: float | None = None) -> Iterator[Snapshot]:
    """The frames 0, every, 2 every, ... of H5MD, extended XYZ, LAMMPS dumps (metal units) and what else ASE reads, in constant memory.

    ``elements``: of LAMMPS types 1, 2, ..., needed for its H5MD dumps and for text dumps with neither an element nor a mass column.
    ``time_step``: fs; the time is then step x time_step, whatever the file says. The step is that of the file (TIMESTEP of a dump,
    "step" of an extended XYZ), and the number of the frame, from 0, where the file counts none.

    Raises FerrojaxError for a file that is missing, empty or damaged, naming the frame, for atoms that change in number or kind, and for a
    time step that is not above zero.
    """
    path = Path(path)
    if every < 1:
        raise FerrojaxError(f"{path}: every = {every}; give 1 for all frames, 10 for each tenth.")
    if time_step is not None and not time_step > 0:
        raise FerrojaxError(f"{path}: the time step is {time_step} fs; it must be above zero.")
    if not path.is_file():
        raise FerrojaxError(f"{path}: there is no such file.")
    stream = _h5md(path, every, tuple(elements)) if h5py.is_hdf5(path) else _ase(path, every, tuple(elements))
    first = None
    for count, frame in enumerate(_named(path, every, stream)):
        first = frame.numbers if first is None else first
        if not np.array_equal(first, frame.numbers):
            raise FerrojaxError(f"{path}: frame {count * every} has other atoms than the first, or another order; sort them by id.")
        if not (np.isfinite(frame.positions).all() and np.isfinite(frame.cell).all()):
            raise FerrojaxError(f"{path}: frame {count * every} holds positions or a cell that are not finite; cut the file before it.")
        yield frame if time_step is None else replace(frame, time=frame.step * time_step)
    if first is None:
        raise FerrojaxError(f"{path}: no frames; has the run that writes it reached its first one?")


def frame_count(path: str | Path, every: int = 1) -> int | None:
    """How many frames ``frames`` gives; None where only reading the file would tell: text, and what ``frames`` will refuse."""
    path = Path(path)
    if every < 1 or not path.is_file() or not h5py.is_hdf5(path):
        return None
    try:
        with h5py.File(path) as file:
            return -(-len(_particles(path, file)["position/value"]) // every)
    except (*_UNREADABLE, FerrojaxError):
        return None


def _named(path: Path, every: int, stream: Iterator[Snapshot]) -> Iterator[Snapshot]:
    """The stream, with errors of the libraries told by frame."""
    count = 0
    while True:
        try:
            frame = next(stream, None)
        except FerrojaxError:
            raise
        except _UNREADABLE as error:
            reason = f"{type(error).__name__}: {error}"
            raise FerrojaxError(f"{path}: frame {count * every} cannot be read ({reason}); is the file whole?") from None
        if frame is None:
            return
        yield frame
        count += 1


def _ase(path: Path, every: int, elements: tuple[str, ...]) -> Iterator[Snapshot]:
    if _is_dump(path):
        with open(path, encoding="utf-8") as file:
            chosen = {"specorder": list(elements)} if elements else {}
            for count, atoms in enumerate(iread_lammps_dump_text(file, index=slice(None, None, every), **chosen)):
                yield _snapshot(_identified(path, atoms, elements), count * every)
        return
    reader = ase.io.iread(str(path), index=slice(None, None, every))
    with closing(reader):
        for count, atoms in enumerate(reader):
            yield _snapshot(atoms, count * every)


def _is_dump(path: Path) -> bool:
    with open(path, "rb") as file:
        return any(line.startswith(b"ITEM: TIMESTEP") for line in islice(file, 5))


def _identified(path: Path, atoms: Atoms, elements: tuple[str, ...]) -> Atoms:
    """The atoms, unless ASE took LAMMPS types for atomic numbers."""
    if not elements and "type" in atoms.arrays and np.array_equal(atoms.arrays["type"], atoms.numbers):
        raise FerrojaxError(f"{path}: the dump has types but no elements; name the elements of types 1, 2, ... or dump the element column.")
    return atoms


def _snapshot(atoms: Atoms, index: int) -> Snapshot:
    """Of an ASE structure: Å/fs from momenta; what the calculator and info hold becomes observables."""
    info, arrays = dict(atoms.info), dict(atoms.arrays)
    results = dict(atoms.calc.results) if atoms.calc is not None else {}
    velocities = arrays.pop("velocities", None)  # of our own extended XYZ, Å/fs
    if velocities is None and "momenta" in arrays:
        velocities = atoms.get_velocities() * ase.units.fs
    for name in ("numbers", "positions", "momenta", "type", "id"):
        arrays.pop(name, None)
    count = len(atoms)
    arrays |= {name: value for name, value in results.items() if np.ndim(value) and len(value) == count and name != "dipole"}
    if "initial_charges" in arrays:
        arrays.setdefault("charges", arrays.pop("initial_charges"))
    step = int(info.pop("step", info.pop("timestep", index)))
    time = info.pop("time", None)
    observables = info | {name: value for name, value in results.items() if name not in arrays}
    positions, cell = np.asarray(atoms.positions, float), np.asarray(atoms.cell.array, float)
    return Snapshot(positions, cell, atoms.numbers, step, None if time is None else float(time), velocities, observables, arrays)


def _h5md(path: Path, every: int, elements: tuple[str, ...]) -> Iterator[Snapshot]:
    with h5py.File(path) as file:
        group, lammps = _particles(path, file), _by_lammps(file)
        if lammps and not elements:
            raise FerrojaxError(f"{path}: species of a LAMMPS dump are its types; name the elements of types 1, 2, ... with --elements.")
        clock, box, moment = group["position"], group["box/edges"], "ps" if lammps else "fs"
        length = LENGTHS[_unit(path, clock["value"], "Angstrom", LENGTHS)]
        tick = TIMES[_unit(path, clock["time"], moment, TIMES)] if "time" in clock else None
        count, species = len(clock["value"]), group["species"]
        for k in range(0, count, every):
            numbers = _numbers(path, np.asarray(species["value"][k] if isinstance(species, h5py.Group) else species[:], int), elements)
            velocities = group["velocity/value"][k] * _speed(path, group["velocity/value"], moment) if "velocity" in group else None
            time = None if tick is None else float(_series(clock["time"], k, count)) * tick
            step = int(_series(clock["step"], k, count)) if "step" in clock else k
            cell = np.asarray(_row(box, k, count), float) * length
            yield Snapshot(
                np.asarray(clock["value"][k], float) * length,
                np.diag(cell) if cell.shape == (3,) else cell,
                numbers,
                step,
                time,
                velocities,
                _values(file.get("observables", {}), k, count),
                {"charges": np.asarray(_row(group["charge"], k, count))} if "charge" in group else {},
            )


def _by_lammps(file: h5py.File) -> bool:
    """Whether `dump h5md` wrote it: types for species, and neither units nor elements in the file."""
    name = file["h5md/creator"].attrs.get("name", "") if "h5md/creator" in file else ""
    return (name.decode() if isinstance(name, bytes) else str(name)).lower() == "lammps"


def _numbers(path: Path, species: np.ndarray, elements: tuple[str, ...]) -> np.ndarray:
    """Atomic numbers: the species, or those of the elements of types 1, 2, ..."""
    strange = [name for name in elements if name not in atomic_numbers]
    most = len(elements) if elements else len(chemical_symbols) - 1
    if strange or species.min(initial=1) < (1 if elements else 0) or species.max(initial=1) > most:
        kinds, known = np.unique(species)[:8].tolist(), ", ".join(elements) or "none"
        raise FerrojaxError(
            f"{path}: species {kinds}, but elements named: {known}; name one for each type 1, 2, ..., or none if species are Z."
        )
    return np.array([0, *(atomic_numbers[name] for name in elements)])[species] if elements else species


def _particles(path: Path, file: h5py.File) -> h5py.Group:
    groups = [group for group in file.get("particles", {}).values() if "position" in group]
    if len(groups) != 1:
        raise FerrojaxError(f"{path}: an H5MD file with one group of particles that has positions is needed; found {len(groups)}.")
    missing = [name for name in ("species", "box/edges") if name not in groups[0]]
    if missing:
        raise FerrojaxError(f"{path}: {groups[0].name} lacks {' and '.join(missing)}; species must be atomic numbers.")
    return groups[0]


def _series(dataset: h5py.Dataset, k: int, count: int) -> Any:
    """Step or time of a frame; H5MD allows one number, the spacing, in its place."""
    return dataset[k] if dataset.shape else k * dataset[()] + dataset.attrs.get("offset", 0)


def _row(element: h5py.Group | h5py.Dataset, k: int, count: int) -> Any:
    """An element's value at a frame; a plain dataset does not change."""
    if isinstance(element, h5py.Dataset):
        return element[()]
    if len(element["value"]) != count:
        raise FerrojaxError(f"{element.name}: {len(element['value'])} values for {count} frames of positions; write both equally often.")
    return element["value"][k]


def _values(group: Any, k: int, count: int) -> dict[str, Any]:
    """Observables that were written with the positions."""
    return {n: x["value"][k] for n, x in group.items() if "value" in x and x["value"].shape[:1] == (count,)}


def _unit(path: Path, dataset: h5py.Dataset, default: str, known: Mapping[str, float]) -> str:
    unit = dataset.attrs.get("unit", default)
    unit = unit.decode() if isinstance(unit, bytes) else str(unit)
    if unit not in known:
        raise FerrojaxError(f"{path}: {dataset.name} is in {unit!r}; known are {', '.join(known)}.")
    return unit


def _speed(path: Path, dataset: h5py.Dataset, moment: str) -> float:
    """Å/fs in its unit, such as "nm ps-1"."""
    rates = {f"{a} {b}-1": x / y for a, x in LENGTHS.items() for b, y in TIMES.items()}
    return rates[_unit(path, dataset, f"Angstrom {moment}-1", rates)]
