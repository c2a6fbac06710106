"""Polarization, off-centring and octahedral tilts of each unit cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.cells import PerovskiteCells
from ferrojax.units import E_PER_A2

NEUTRAL = 0.5  # e per cell; charges that sum to more are not those of one crystal

Map = Float[np.ndarray, "cells 3"]


def born_tensors(
    cells: PerovskiteCells, reference: Atoms, born: Mapping[str, float | tuple[float, float]]
) -> Float[np.ndarray, "atoms 3 3"]:
    """Born charges Z*[i, a, b] of each atom, e, from those of its element: a number, or (parallel, perpendicular) to the B-O bond.

        Z*_O = Z⊥ 1 + (Z∥ - Z⊥) n nᵀ,   n along the pseudo-cubic axis of the bond

    Ghosez, Michenaud and Gonze, Phys. Rev. B 58, 6224 (1998). What is left of Σ Z* is taken off all atoms alike (acoustic sum rule).

    Raises FerrojaxError for an element without a charge and charges that leave more than 0.5 e per cell.
    """
    missing = sorted(set(reference.get_chemical_symbols()) - set(born))
    if missing:
        raise FerrojaxError(f"born_tensors: no Born charge for {', '.join(missing)}; name one for each element.")
    pairs = {name: (z, z) if np.ndim(z) == 0 else tuple(z) for name, z in born.items()}  # type: ignore[arg-type]
    along, across = np.array([pairs[name] for name in reference.get_chemical_symbols()], float).T
    axes = cells.axes(reference.cell.array)
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    tensors = across[:, None, None] * np.eye(3)
    for k in range(3):
        tensors[cells.o[:, k]] += (along - across)[cells.o[:, k], None, None] * np.outer(axes[k], axes[k])
    return neutral(tensors, len(cells))


def neutral(tensors: Float[np.ndarray, "atoms 3 3"], cells: int) -> Float[np.ndarray, "atoms 3 3"]:
    """Born charges that obey the acoustic sum rule, Σ_i Z*_i = 0, by the same change on every atom.

    Raises FerrojaxError if they break it by more than 0.5 e per cell.
    """
    excess = np.abs(tensors.sum(0)).max() / cells
    if excess > NEUTRAL:
        raise FerrojaxError(
            f"the Born charges sum to {excess:.2f} e per cell, not to zero; check them, and which is parallel for the oxygens."
        )
    return tensors - tensors.mean(0)


def dipoles(
    charges: Float[np.ndarray, "atoms 3 3"] | Float[np.ndarray, " atoms"], u: Float[np.ndarray, "atoms 3"]
) -> Float[np.ndarray, "atoms 3"]:
    """Z*_i u_i of each atom, e Å; charges: tensors or numbers, e; u: Å, of ``PerovskiteCells.displacements``."""
    return np.einsum("iab,ib->ia", charges, u) if charges.ndim == 3 else charges[:, None] * u


def cell_dipoles(cells: PerovskiteCells, moments: Float[np.ndarray, "atoms 3"], centre: Literal["B", "A"] = "B") -> Map:
    """Dipole of each cell, e Å, from those of the atoms, each shared by the cells it belongs to.

        B-centred  d = m_B + ⅛ Σ_8A m_A + ½ Σ_6O m_O        A-centred  d = m_A + ⅛ Σ_8B m_B + ¼ Σ_12O m_O

    Both sum to Σ_i m_i. Meyer and Vanderbilt, Phys. Rev. B 65, 104111 (2002). A-centred cells lie around the A atom at the lower corner.
    """
    a, b, o = moments[cells.a], moments[cells.b], [moments[cells.o[:, k]] for k in range(3)]
    if centre == "B":
        for k in range(3):
            a = _half(a, cells.next[:, k])
        return a + b + sum(_half(o[k], cells.next[:, k]) for k in range(3))
    for k in range(3):
        b = _half(b, cells.previous[:, k])
    return a + b + sum(_around(cells, o[k], k) for k in range(3))


def local_polarization(
    cells: PerovskiteCells,
    charges: Float[np.ndarray, "atoms 3 3"] | Float[np.ndarray, " atoms"],
    u: Float[np.ndarray, "atoms 3"],
    volume: float,
    centre: Literal["B", "A"] = "B",
) -> Map:
    """Polarization of each cell, C/m², over the mean volume of a cell, so that the mean is that of the crystal, (1/V) Σ Z*_i u_i.

    u counts from the centrosymmetric lattice in the frame's own cell, so the branch is the continuous one that vanishes there.
    volume: of the whole frame, Å³. See ``cell_dipoles``.
    """
    return cell_dipoles(cells, dipoles(charges, u), centre) * (len(cells) / volume * E_PER_A2)


def off_centring(cells: PerovskiteCells, u: Float[np.ndarray, "atoms 3"]) -> tuple[Map, Map]:
    """Displacement, Å, of each A and each B atom from the centre of its oxygens, 12 and 6."""
    o = [u[cells.o[:, k]] for k in range(3)]
    twelve = sum(_around(cells, o[k], k) for k in range(3)) / 3
    six = sum(_half(o[k], cells.next[:, k]) for k in range(3)) / 3
    return u[cells.a] - twelve, u[cells.b] - six


def tilts(cells: PerovskiteCells, u: Float[np.ndarray, "atoms 3"], cell: Float[np.ndarray, "3 3"]) -> Map:
    """Rotation of each octahedron as a pseudovector ω in degrees, by least squares over its six oxygens.

        t = I⁻¹ Σ_O r × u,   I = Σ_O (r² - r rᵀ),   ω = arctan|t| t/|t|

    with r the ideal places around the B atom. The arctangent makes it exact for a rotation about one axis of rigid octahedra that share
    their corners, where the lattice shrinks by the cosine. Glazer, Acta Crystallogr. B 28, 3384 (1972).
    """
    axes = cells.axes(cell)
    torque = sum(np.cross(axes[k], u[cells.o[cells.next[:, k], k]] - u[cells.o[:, k]]) for k in range(3)) / 2
    inertia = (np.sum(axes**2) * np.eye(3) - axes.T @ axes) / 2
    slope = torque @ np.linalg.inv(inertia)
    size = np.linalg.norm(slope, axis=1, keepdims=True)
    return np.degrees(slope * np.divide(np.arctan(size), size, out=np.ones_like(size), where=size > 0))


def _half(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean of a cell's value and another's."""
    return 0.5 * (values + values[other])


def _around(cells: PerovskiteCells, values: np.ndarray, k: int) -> np.ndarray:
    """Mean over the four oxygens of kind k around the lower corner of each cell."""
    for other in {0, 1, 2} - {k}:
        values = _half(values, cells.previous[:, other])
    return values
