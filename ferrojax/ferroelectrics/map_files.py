"""Files of maps: extended XYZ for OVITO and ASE, HDF5 for arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import h5py
import numpy as np
from ase import Atoms

from ferrojax.ferroelectrics.frames import Snapshot
from ferrojax.ferroelectrics.maps import Maps

UNITS = {"local_polarization": "C m-2", "tilt": "degree", "off_centre_a": "Angstrom", "off_centre_b": "Angstrom"}


class XYZMaps:
    """maps.extxyz: one point a cell, with its vectors as columns; OVITO draws them as arrows."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115  closed by close

    def append(self, frame: Snapshot, maps: Maps, threshold: float) -> None:
        """Add a frame; the threshold, C/m², is that of ``variants``."""
        atoms = Atoms(maps.symbols, positions=maps.places, cell=maps.cell, pbc=True)
        for name, values in maps.arrays(threshold).items():
            atoms.arrays[name] = values
        atoms.info = {"step": frame.step} | ({} if frame.time is None else {"time": frame.time})
        ase.io.write(self._file, atoms, format="extxyz")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class HDF5Maps:
    """maps.h5: step, time (fs), cell and each map as [frame, cell, 3]; attribute "grid": cells along the axes, in C order."""

    def __init__(self, path: Path) -> None:
        self._file = h5py.File(path, "w")

    def append(self, frame: Snapshot, maps: Maps, threshold: float) -> None:
        """Add a frame; the threshold, C/m², is that of ``variants``."""
        if maps.shape is not None:
            self._file.attrs["grid"] = maps.shape
        row = {"step": frame.step, "time": np.nan if frame.time is None else frame.time, "cell": maps.cell, "place": maps.places}
        for name, values in (row | maps.arrays(threshold)).items():
            self._append(name, np.asarray(values))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, name: str, values: np.ndarray) -> None:
        if name not in self._file:
            self._file.create_dataset(name, (0, *values.shape), values.dtype, maxshape=(None, *values.shape), chunks=(1, *values.shape))
            self._file[name].attrs["unit"] = UNITS.get(name, "")
        dataset: Any = self._file[name]
        dataset.resize(len(dataset) + 1, axis=0)
        dataset[-1] = values


FORMATS: dict[str, tuple[str, type[XYZMaps] | type[HDF5Maps]]] = {"extxyz": ("maps.extxyz", XYZMaps), "hdf5": ("maps.h5", HDF5Maps)}
