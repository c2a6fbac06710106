"""Read what pw.x and ph.x print."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from ase.io import read
from ase.units import Bohr, Rydberg
from jaxtyping import Float

from ferrojax.labelling.job import CalculationFailed

NUMBER = r"-?\d+\.\d+(?:[EeDd][-+]?\d+)?"
ROW = re.compile(rf"\(\s*({NUMBER})\s+({NUMBER})\s+({NUMBER})\s*\)")


def whole(file: Path) -> str:
    """Text of an output that ran to its end. Raises CalculationFailed if it did not."""
    text = file.read_text(errors="replace") if file.is_file() else ""
    if "JOB DONE." not in text:
        raise CalculationFailed(f"espresso: {file} is missing or ends too soon; its last words: {' '.join(text[-300:].split()) or 'none'}")
    return text


def read_version(text: str) -> str:
    """Version of the program, as "6.7MaX"."""
    found = re.search(r"Program \w+ v\.(\S+)", text)
    return found[1] if found else "unknown"


def read_iterations(text: str) -> int:
    """Iterations of the self-consistent field."""
    return text.count("iteration #")


def read_scf(file: Path) -> dict[str, float | np.ndarray]:
    """Energy (eV), forces (eV/Å) and stress (eV/Å³, tension positive) of a pw.x output, through ASE.

    Raises CalculationFailed for one that it cannot read.
    """
    try:
        atoms = read(str(file), format="espresso-out")
        return {
            "energy": float(atoms.get_potential_energy()),
            "forces": np.asarray(atoms.get_forces()),
            "stress": np.asarray(atoms.get_stress(voigt=False)),
        }
    except (RuntimeError, ValueError, IndexError, KeyError, NotImplementedError) as error:
        raise CalculationFailed(f"espresso: {file} cannot be read ({type(error).__name__}: {error}).") from None


def read_dielectric(text: str) -> Float[np.ndarray, "3 3"]:
    """ε∞ of a ph.x output."""
    return _rows(text, "Dielectric constant in cartesian axis", 3)


def read_born_charges(text: str, atoms: int) -> Float[np.ndarray, "atoms 3 3"]:
    """Born charges of a ph.x output, e, [atom, polarization, displacement], the acoustic sum rule not imposed.

    They are ∂F_b/∂E_a, printed a row for each direction of the field: the first index is the field's, or the polarization's.
    """
    # Versions from 7 on print them also with the sum rule imposed, later in the text.
    return _rows(text, r"Effective charges \(d Force / dE\) in cartesian axis", 3 * atoms).reshape(atoms, 3, 3)


def read_force_constants(text: str, atoms: int) -> Float[np.ndarray, "modes modes"]:
    """Force constants ∂²E/∂R∂R' at q = 0 of a file of dynamical matrices, eV/Å², without the field of the phonons.

    The file holds them, not divided by masses, in Ry/Bohr², a block "i j" and three rows of complex numbers a pair of atoms.
    """
    matrix = np.full((atoms, 3, atoms, 3), np.nan)
    lines = text.splitlines()
    start = next((k for k, line in enumerate(lines) if "Dynamical  Matrix in cartesian axes" in line), len(lines))
    for k in range(start, len(lines)):
        if "Diagonalizing" in lines[k] or "Dielectric" in lines[k]:
            break
        pair = re.fullmatch(r"\s*(\d+)\s+(\d+)\s*", lines[k])
        if pair:
            rows = [[float(x) for x in line.split()[::2]] for line in lines[k + 1 : k + 4]]
            matrix[int(pair[1]) - 1, :, int(pair[2]) - 1, :] = rows
    if np.isnan(matrix).any():
        raise CalculationFailed(f"espresso: the file of dynamical matrices does not hold all pairs of {atoms} atoms.")
    return matrix.reshape(3 * atoms, 3 * atoms) * Rydberg / Bohr**2


def _rows(text: str, heading: str, count: int) -> np.ndarray:
    """The rows of three numbers that follow the first line with this heading."""
    found = re.search(heading, text)
    rows = [[float(x) for x in row.groups()] for row in ROW.finditer(text, found.end())][:count] if found else []
    if len(rows) < count:
        raise CalculationFailed(f"espresso: ph.x printed no '{heading.replace(chr(92), '')}'; see its output.")
    return np.array(rows)
