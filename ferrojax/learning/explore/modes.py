"""Displacements along phonon modes of a supercell, zone-boundary modes among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from ase import Atoms
from ase.build import make_supercell
from jaxtyping import Float

from ferrojax.data.checks.contact import CLOSE
from ferrojax.errors import FerrojaxError
from ferrojax.learning.explore.check import draw, name_of
from ferrojax.learning.explore.distort import displaced
from ferrojax.response.phonons import Phonons
from ferrojax.units import BOLTZMANN, THZ

SOFT = 1.0  # THz; softer modes, and unstable ones, get the amplitudes of this frequency at least, or they would have none or all


def mode_displaced(
    model: Any,
    params: Any,
    atoms: Atoms,
    count: int,
    supercell: Sequence[int] | Sequence[Sequence[int]] | np.ndarray = (2, 2, 2),
    temperature: float = 300.0,
    maximum: float | None = None,
    seed: int = 0,
    closest: float = CLOSE,
) -> list[Atoms]:
    """Supercells displaced along random combinations of all phonon modes that fit into them.

        u_i = Σ_qj √(k_B T/(N m_i |ω_qj|²)) Re[(ξ + iξ') e_i(q, j) exp(iq·r_i)]

    ξ, ξ' normal, N primitive cells, ω at least 2π·1 THz: the thermal displacements of the classical harmonic crystal, with unstable modes
    treated as stable ones.

    Args:
        atoms: primitive cell at rest; it may be a saddle, as cubic perovskites are.
        supercell: (n1, n2, n3), or the integer matrix whose rows are the supercell's lattice vectors.
        temperature: K. maximum: Å; if given, each draw is scaled so that the largest displacement is uniform in (0, maximum).
        seed, closest: as for ``strained``.

    Raises FerrojaxError for a structure that is not at rest, a supercell without volume, and if hardly any draw passes.
    """
    if not temperature > 0 or (maximum is not None and not maximum > 0):
        raise FerrojaxError(f"mode_displaced: temperature {temperature:g} K and maximum {maximum} Å must be above 0; correct them.")
    matrix = supercell_matrix(supercell)
    large = atoms.copy()
    large.set_array("site", np.arange(len(atoms)))
    large = make_supercell(large, matrix, wrap=False)
    basis = np.sqrt(BOLTZMANN * temperature) * mode_displacements(model, params, atoms, large, matrix)

    def make(rng: np.random.Generator) -> Atoms:
        u = np.einsum("k,kix->ix", rng.normal(size=len(basis)), basis)
        if maximum is not None:
            u *= rng.uniform(0.0, maximum) / np.linalg.norm(u - u.mean(0), axis=1).max()
        return displaced(large, u)

    return draw(make, count, seed, f"{name_of(atoms)}, displaced along modes", closest)


def supercell_matrix(supercell: Sequence[int] | Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    """The integer matrix of a supercell. Raises FerrojaxError for one that is not right-handed."""
    matrix = np.asarray(supercell, int)
    matrix = np.diag(matrix) if matrix.shape == (3,) else matrix
    if matrix.shape != (3, 3) or round(np.linalg.det(matrix)) < 1:
        raise FerrojaxError(f"supercell: {np.asarray(supercell).tolist()} must be three numbers or a right-handed integer matrix.")
    return matrix


def commensurate_waves(matrix: np.ndarray) -> Float[np.ndarray, "waves 3"]:
    """The |det S| wave vectors, in reduced coordinates of the primitive cell in [0, 1), whose waves have the period of the supercell."""
    size = round(np.linalg.det(matrix))
    # Sq is an integer vector, and each component of q a multiple of 1/|det S|.
    numbers = np.array(list(np.ndindex(size, size, size)))
    return numbers[(numbers @ matrix.T % size == 0).all(1)] / size


def mode_displacements(model: Any, params: Any, atoms: Atoms, large: Atoms, matrix: np.ndarray) -> Float[np.ndarray, "modes atoms 3"]:
    """Both phases of each mode of the supercell as displacements, Å for k_B T = 1 eV: Re and -Im of e exp(iq·r)/(√(N m) ω)."""
    site, waves = large.get_array("site"), commensurate_waves(matrix)
    inverse_mass = 1 / np.sqrt(atoms.get_masses()[site])[:, None]
    scaled = large.positions @ np.linalg.inv(atoms.cell.array)
    found = []
    with jax.enable_x64(True):
        phonons = Phonons(model, params, model.prepare(atoms, np.float64, name=name_of(atoms)), masses=atoms.get_masses())
        for wave in waves:
            frequencies, vectors = phonons.modes(wave)
            stiffness = (np.maximum(np.abs(frequencies), SOFT) / THZ) ** 2
            turned = vectors[:, site] * np.exp(2j * np.pi * scaled @ wave)[:, None] * inverse_mass
            turned /= np.sqrt(len(waves) * stiffness)[:, None, None]
            found += [turned.real, -turned.imag]
    return np.concatenate(found)
