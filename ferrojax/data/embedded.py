"""The data set that ships with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

from ferrojax.data.frame import Frame
from ferrojax.data.readers import read_frames


def load_pbtio3() -> list[Frame]:
    """39 frames of 5-atom PbTiO3 labelled with GPAW (PBEsol): energy, forces, stress, dipole; see its README.md."""
    with as_file(files("ferrojax.data") / "pbtio3-gpaw" / "pbtio3.extxyz") as path:
        return read_frames(path, dataset="pbtio3-gpaw")
