"""Trajectories: H5MD 1.1 for programs, extended XYZ for eyes."""

from __future__ import annotations

import io
from typing import Any

import ase.io
import h5py
import numpy as np
from ase import Atoms

from ferrojax.dynamics.describe import package_version
from ferrojax.dynamics.records import Records
from ferrojax.dynamics.undo import UndoFile

CHUNK_BYTES = 65536
# H5MD name, field of Records, unit in the notation of the H5MD units module. MDAnalysis knows no eV/Å and
# refuses a unit it does not know, so that of the forces stands in an attribute of its own.
ATOMS = {"position": ("positions", "Angstrom"), "velocity": ("velocities", "Angstrom fs-1"), "force": ("forces", None)}
OBSERVABLES = {
    "potential_energy": ("potential", "eV"),
    "total_energy": ("total", "eV"),
    "conserved_energy": ("conserved", "eV"),
    "temperature": ("temperature", "K"),
    "dipole": ("dipole", "e Angstrom"),
    "electric_field": ("field", "V Angstrom-1"),
    "stress": ("stress", "eV Angstrom-3"),
}


class H5MD:
    """trajectory.h5: unwrapped positions, box, species, masses, observables; velocities and forces if asked for.

    One step and one time array serve all elements, through hard links. de Buyl, Colberg and
    Höfling, Comput. Phys. Commun. 185, 1546 (2014); https://www.nongnu.org/h5md/h5md.html.
    """

    def __init__(self, file: UndoFile, atoms: Atoms, kept: tuple[str, ...], dtype: Any) -> None:
        """``kept``: of positions, velocities, forces. A file that has frames is gone on with."""
        self.file, self.kept = file, kept
        fresh = file.size == 0
        self._h5 = h5py.File(file, "w" if fresh else "r+")
        self._atoms = {name: field for name, (field, _) in ATOMS.items() if field in kept}
        if fresh:
            self._create(atoms, np.dtype(dtype))

    def append(self, records: Records) -> None:
        """Add frames."""
        particles, observables = self._h5["particles/all"], self._h5["observables"]
        clock = particles["position"]
        _extend(clock["step"], records.step)
        _extend(clock["time"], records.time)
        _extend(particles["box/edges/value"], records.cell)
        for name, field in self._atoms.items():
            _extend(particles[name]["value"], getattr(records, field))
        for name, (field, _) in OBSERVABLES.items():
            _extend(observables[name]["value"], getattr(records, field))

    def flush(self) -> None:
        """Give all frames to the file."""
        self._h5.flush()

    def close(self) -> None:
        """Close the file."""
        self._h5.close()

    def _create(self, atoms: Atoms, dtype: np.dtype) -> None:
        head = self._h5.create_group("h5md")
        head.attrs["version"] = np.array([1, 1])
        head.create_group("author").attrs["name"] = "unknown"
        head.create_group("creator").attrs.update({"name": "ferrojax", "version": package_version("ferrojax") or "unknown"})
        head.create_group("modules/units").attrs["version"] = np.array([1, 0])
        particles, count = self._h5.create_group("particles/all"), len(atoms)
        particles["species"] = atoms.numbers.astype(np.int32)
        particles["mass"] = atoms.get_masses()
        particles["mass"].attrs["unit"] = "u"
        box = particles.create_group("box")
        box.attrs.update({"dimension": 3, "boundary": np.array([b"periodic"] * 3)})
        clock = particles.create_group("position")
        _element(clock, "step", (), np.dtype(np.int64))
        _element(clock, "time", (), np.dtype(np.float64), "fs")
        for name in self._atoms:
            group = clock if name == "position" else self._linked(particles, name)
            _element(group, "value", (count, 3), dtype, ATOMS[name][1])
            if ATOMS[name][1] is None:
                group["value"].attrs["units_of_ferrojax"] = "eV Angstrom-1"
        _element(self._linked(box, "edges"), "value", (3, 3), dtype, "Angstrom")
        shapes = {"dipole": (3,), "electric_field": (3,), "stress": (6,)}
        for name, (_, unit) in OBSERVABLES.items():
            _element(self._linked(self._h5.require_group("observables"), name), "value", shapes.get(name, ()), dtype, unit)

    def _linked(self, parent: h5py.Group, name: str) -> h5py.Group:
        """A new group that shares step and time with the positions."""
        group, clock = parent.create_group(name), self._h5["particles/all/position"]
        group["step"], group["time"] = clock["step"], clock["time"]
        return group


class ExtendedXYZ:
    """trajectory.extxyz: positions, with time (fs), enthalpy (eV), dipole (e Å) and field (V/Å) in the comment line."""

    def __init__(self, file: UndoFile, atoms: Atoms, kept: tuple[str, ...]) -> None:
        self.file, self.atoms, self.kept = file, atoms, kept

    def append(self, records: Records) -> None:
        """Add frames."""
        if len(records):
            text = io.StringIO()
            ase.io.write(text, [self._frame(records, k) for k in range(len(records))], format="extxyz")
            self.file.append(text.getvalue().encode())

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Nothing to close but the file."""

    def _frame(self, records: Records, k: int) -> Atoms:
        frame = self.atoms.copy()
        frame.cell[:] = records.cell[k]
        for field in self.kept:
            frame.arrays[field] = np.asarray(getattr(records, field)[k], np.float64)
        frame.info = {"time": records.time[k], "enthalpy": float(records.potential[k])}
        frame.info |= {"dipole": records.dipole[k].astype(float), "field": records.field[k].astype(float)}
        return frame


def _element(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype, unit: str | None = None) -> None:
    frames = max(1, min(1024, CHUNK_BYTES // (dtype.itemsize * int(np.prod(shape, initial=1)))))
    group.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(frames, *shape))
    if unit is not None:
        group[name].attrs["unit"] = unit


def _extend(dataset: h5py.Dataset, rows: np.ndarray) -> None:
    if len(rows):
        dataset.resize(len(dataset) + len(rows), axis=0)
        dataset[-len(rows) :] = rows
