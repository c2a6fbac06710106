"""Phonon bands of a relaxed cell by finite displacements (phonopy), for any potential in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.pto_test.config import PhononsSection
from ferrojax.response.dispersion import Bands
from ferrojax.units import PER_CM

POINTS = {"Γ": (0, 0, 0), "X": (0, 0.5, 0), "M": (0.5, 0.5, 0), "Z": (0, 0, 0.5), "R": (0, 0.5, 0.5), "A": (0.5, 0.5, 0.5)}
PATH = "ΓXMΓZRAZ"

Forces = Callable[[Atoms], Float[np.ndarray, "atoms 3"]]


def phonon_bands(atoms: Atoms, forces: Forces, settings: PhononsSection) -> Bands:
    """Frequencies, THz, along Γ-X-M-Γ-Z-R-A-Z; negative for imaginary ones.

    Force constants Φ = -ΔF/Δu of the displacements that the space group leaves, in a supercell; without the non-analytic
    term, as in the protocol. Togo, J. Phys. Soc. Jpn. 92, 012001 (2023).

    Raises FerrojaxError if phonopy is not installed; what ``forces`` raises is passed on.
    """
    phonopy = _phonopy(atoms, settings)
    phonopy.generate_displacements(distance=settings.displacement_A)
    phonopy.forces = [forces(_ase(cell)) for cell in phonopy.supercells_with_displacements]
    phonopy.produce_force_constants()
    ends = np.array([POINTS[name] for name in PATH], float)
    shares = np.linspace(0, 1, settings.points)[:, None]
    waves = np.stack([begin + shares * (end - begin) for begin, end in zip(ends, ends[1:])])
    phonopy.run_band_structure(list(waves))
    found = phonopy.band_structure
    labels = list(zip(PATH, PATH[1:]))
    return Bands(waves, np.stack(found.distances), np.stack(found.frequencies), labels)


def summary(bands: Bands) -> dict[str, Any]:
    """The lowest frequency on the path, 1/cm, and where; the lowest branch along it."""
    lowest, wave = bands.lowest
    branch = bands.frequencies.min(-1)
    return {
        "lowest_per_cm": lowest * PER_CM,
        "wave": wave.tolist(),
        "lowest_branch_per_cm": {f"{a}-{b}": float(x.min() * PER_CM) for (a, b), x in zip(bands.labels, branch)},
    }


def _phonopy(atoms: Atoms, settings: PhononsSection) -> Any:
    try:
        from phonopy import Phonopy
        from phonopy.structure.atoms import PhonopyAtoms
    except ImportError:
        raise FerrojaxError("pto-test: phonons need phonopy; pip install 'ferrojax[phonons]', or leave out that stage.") from None
    cell = PhonopyAtoms(symbols=atoms.get_chemical_symbols(), cell=atoms.cell.array, scaled_positions=atoms.get_scaled_positions())
    # Cells relaxed by an optimiser have their symmetry to about its tolerance.
    return Phonopy(cell, np.diag(settings.supercell), primitive_matrix=np.eye(3), symprec=1e-4)


def _ase(cell: Any) -> Atoms:
    return Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
