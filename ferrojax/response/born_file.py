"""phonopy's BORN file: what its non-analytic correction needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import spglib
from ase import Atoms
from jaxtyping import Float

from ferrojax.equilibrium.symmetry import SYMPREC
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.response.record import ResponseTensors
from ferrojax.state import State
from ferrojax.units import COULOMB


def save_born(path: str | Path, tensors: ResponseTensors, state: State) -> None:
    """Electronic permittivity 1 + χ and the Born charges of the atoms that symmetry does not relate, as phonopy reads them.

    The first line is the factor of phonopy's units, 14.3996 eV Å; then ε∞, then one Z* a line, [polarization, displacement] row by row,
    in the order of the atoms. The structure must be the primitive cell that phonopy uses.

    Raises FerrojaxError for tensors of another structure and where spglib finds no symmetry.
    """
    atoms = state.to_ase()
    if len(tensors.born) != len(atoms):
        raise FerrojaxError(f"{path}: Born charges of {len(tensors.born)} atoms, but the structure has {len(atoms)}; give its own tensors.")
    write_text(Path(path), born_text(np.eye(3) + tensors.chi_clamped, tensors.born, atoms, str(path)))


def born_text(permittivity: Float[np.ndarray, "3 3"], born: Float[np.ndarray, "atoms 3 3"], atoms: Atoms, name: str) -> str:
    """What a BORN file of that permittivity and those Z* says. Raises FerrojaxError where spglib finds no symmetry."""
    found = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=SYMPREC)
    if found is None:
        raise FerrojaxError(f"{name}: spglib finds no symmetry; check that no atoms coincide.")
    rows = [permittivity, *born[np.unique(found.equivalent_atoms)]]
    lines = [f"{COULOMB:.9f}", *("  ".join(f"{x:.10f}" for x in np.ravel(row)) for row in rows)]
    return "\n".join(lines) + "\n"
