"""Phonons handed over to phonopy, and structures displaced along modes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.io import write
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.response.born_file import born_text
from ferrojax.response.phonons import Phonons
from ferrojax.response.waves import wave_response

MOST_CELLS = 12  # along an axis, in a supercell that holds a wave


def save_phonopy(phonons: Phonons, folder: str | Path, supercell: tuple[int, int, int] = (4, 4, 4)) -> None:
    """POSCAR, FORCE_CONSTANTS of a supercell and BORN, to be opened by

        phonopy.load(unitcell_filename="POSCAR", supercell_matrix=supercell, primitive_matrix=np.eye(3),
                     force_constants_filename="FORCE_CONSTANTS", born_filename="BORN", is_compact_fc=False)

    At wave vectors that fit into the supercell phonopy then has our frequencies, between them what it interpolates. The force
    constants are the exact sums over q of the grid, not finite differences. BORN holds the permittivity by which the potential itself
    screens its charges, which is what its long waves obey.
    """
    folder = Path(folder)
    atoms = phonons.state.to_ase()
    text = io.StringIO()
    write(text, atoms, format="vasp", direct=True, sort=False)
    write_text(folder / "POSCAR", text.getvalue())
    write_text(folder / "FORCE_CONSTANTS", _full(force_constants(phonons, supercell)))
    dipole = np.asarray(wave_response(phonons.model, phonons.params, phonons.state, jnp.zeros(3), phonons.field).dipole.real)
    screening = phonons.model.config.eps_inf * np.eye(3)
    write_text(folder / "BORN", born_text(screening, np.swapaxes(dipole, 0, 1), atoms, str(folder / "BORN")))


def force_constants(phonons: Phonons, supercell: tuple[int, int, int]) -> Float[np.ndarray, "n1 n2 n3 atoms atoms 3 3"]:
    """Φ between an atom and one R = (n1, n2, n3) cells away, of a periodic supercell, eV/Å².

    Φ(R) = (1/N) Σ_q Φ(q) exp(iq·(r_i - r_j - R)), over the wave vectors that fit.
    """
    steps = np.stack(np.meshgrid(*(np.arange(n) for n in supercell), indexing="ij"), -1).reshape(-1, 3)
    waves = steps / np.asarray(supercell, float)
    constants = phonons.many(waves)
    places = phonons.state.to_ase().get_scaled_positions(wrap=False)
    turns = np.exp(2j * np.pi * waves @ places.T)
    constants = constants * turns[:, :, None, None, None] * turns.conj()[:, None, None, :, None]
    back = np.exp(-2j * np.pi * waves @ steps.T) / len(waves)
    real = np.einsum("qR,qiajb->Rijab", back, constants).real
    return real.reshape(*supercell, len(places), len(places), 3, 3)


def displaced_along(phonons: Phonons, wave: Sequence[float], mode: int = 0, amplitude: float = 0.1, phase: float = 0.0) -> Atoms:
    """The smallest supercell that holds the wave, displaced along a mode; relax it to follow an unstable one down.

        u_i(R) = A Re[e_i/√m_i exp(iq·(R + r_i) + i phase)],    the longest of them of length ``amplitude``, Å

    wave: reduced coordinates. mode: from 0, by ascending frequency. Raises FerrojaxError for a wave that fits into no supercell of up to
    12 cells along an axis.
    """
    repeat = []
    for q in wave:
        fraction = Fraction(float(q)).limit_denominator(MOST_CELLS)
        if abs(float(fraction) - q) > 1e-6:
            raise FerrojaxError(f"displaced_along: q = {list(wave)} fits into no supercell of up to {MOST_CELLS} cells along an axis.")
        repeat.append(fraction.denominator)
    vectors = phonons.modes(wave)[1]
    if not 0 <= mode < len(vectors):
        raise FerrojaxError(f"displaced_along: there is no mode {mode}; modes run from 0 to {len(vectors) - 1}.")
    cell = phonons.state.to_ase()
    long = cell.repeat(repeat)
    q = 2 * np.pi * np.linalg.inv(cell.cell.array) @ np.asarray(wave, float)
    pattern = np.tile(vectors[mode] / np.sqrt(phonons.masses)[:, None], (len(long) // len(cell), 1))
    moved = (pattern * np.exp(1j * (long.positions @ q + phase))[:, None]).real
    longest = np.linalg.norm(moved, axis=1).max()
    if longest < 1e-8:
        raise FerrojaxError(f"displaced_along: the mode vanishes at phase {phase:g}; take phase {phase + np.pi / 2:.4f}.")
    long.positions += moved * (amplitude / longest)
    return long


def _full(constants: Float[np.ndarray, "n1 n2 n3 atoms atoms 3 3"]) -> str:
    """Text form of phonopy; atoms of the supercell by atom of the cell, then by cell, the first axis fastest."""
    n1, n2, n3, count = constants.shape[:4]
    cells = n1 * n2 * n3
    # Atom (i, R) with R's first index fastest.
    order = np.stack(np.unravel_index(np.arange(cells), (n3, n2, n1)), -1)[:, ::-1]
    shift = (order[None] - order[:, None]) % (n1, n2, n3)
    blocks = constants[shift[..., 0], shift[..., 1], shift[..., 2]]
    lines = [f"{count * cells} {count * cells}"]
    for i, a in np.ndindex(count, cells):
        for j, b in np.ndindex(count, cells):
            lines.append(f"{i * cells + a + 1} {j * cells + b + 1}")
            lines.extend("".join(f"{x:22.15f}" for x in row) for row in blocks[a, b, i, j])
    return "\n".join(lines) + "\n"
