"""PbTiO3 cells, and what is read off a frame: edges, polarization, whether it is still a crystal."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.pto_test.config import BornCharges
from ferrojax.quickstart.statics import perovskite
from ferrojax.units import E_PER_A2

SITES = perovskite(1.0, 1.0).get_scaled_positions()  # Pb, Ti, O on the bond along z, y, x
CELL = len(SITES)


def cubic_start(a: float) -> Atoms:
    """The ideal perovskite, edge ``a`` in Å."""
    return perovskite(a, a)


def tetragonal_start() -> Atoms:
    """PbTiO3 as relaxed with PBEsol, polar along +z, the same for every model; in all digits printed with unipero-pbesol."""
    return perovskite(3.8741, 4.1995, ti=0.5561, apical=-0.0215, equatorial=0.4733, pb=0.0943)


def upright(atoms: Atoms) -> Atoms:
    """The same edges along the axes, as the integrators need them."""
    turned = atoms.copy()
    turned.set_cell(atoms.cell.lengths(), scale_atoms=True)
    return turned


def in_cell(atoms: Atoms, a: float, c: float) -> Atoms:
    """The structure with the same fractional positions in a tetragonal cell."""
    moved = atoms.copy()
    moved.set_cell((a, a, c), scale_atoms=True)
    return moved


def born_tensors(charges: BornCharges) -> Float[np.ndarray, "5 3"]:
    """Diagonals of Z* in the order of SITES, e; what their sum misses to zero is shared out, so that P does not depend on the origin."""
    along, across = charges.O_along, charges.O_across
    oxygens = [[across, across, along], [across, along, across], [along, across, across]]
    tensors = np.array([[charges.Pb] * 3, [charges.Ti] * 3, *oxygens])
    return tensors - tensors.mean(0)


def displacements(
    positions: Float[np.ndarray, "frames atoms 3"], cells: Float[np.ndarray, "frames 3 3"], repeat: tuple[int, int, int]
) -> Float[np.ndarray, "frames cells 5 3"]:
    """From the ideal sites of the momentary cell, Å; positions unwrapped, atoms in the order of ``Atoms.repeat``."""
    ideal = perovskite(1.0, 1.0).repeat(repeat).positions / np.asarray(repeat)
    moved = positions @ np.linalg.inv(cells) - ideal
    return (moved @ cells).reshape(len(cells), -1, CELL, 3)


def polarization(
    moved: Float[np.ndarray, "frames cells 5 3"], cells: Float[np.ndarray, "frames 3 3"], tensors: Float[np.ndarray, "5 3"]
) -> Float[np.ndarray, "frames 3"]:
    """P = (1/V) Σ Z* u, C/m²; u as from ``displacements``."""
    return np.einsum("fcsa,sa->fa", moved, tensors) / np.linalg.det(cells)[:, None] * E_PER_A2


def lindemann(moved: Float[np.ndarray, "frames cells 5 3"], cells: Float[np.ndarray, "frames 3 3"]) -> Float[np.ndarray, " frames"]:
    """δ = √⟨|u - ⟨u⟩_sublattice|²⟩ / d, with d = ½ (V/cell)^(1/3) the Ti-O distance of the ideal crystal.

    The mean displacement of each sublattice is taken out, and with it the spontaneous polarization. A perovskite near 1000 K has about
    0.17 (mean-square displacements of diffraction), one that melts passes 0.5 within picoseconds. Lindemann, Phys. Z. 11, 609 (1910).
    """
    rest = moved - moved.mean(1, keepdims=True)
    distance = 0.5 * np.cbrt(np.abs(np.linalg.det(cells)) / moved.shape[1])
    return np.sqrt(np.sum(rest**2, -1).mean((1, 2))) / distance


def edges(cells: Float[np.ndarray, "frames 3 3"], repeat: tuple[int, int, int]) -> Float[np.ndarray, "frames 3"]:
    """Lengths of the lattice vectors of one perovskite cell, Å."""
    return np.linalg.norm(cells, axis=2) / np.asarray(repeat)


def from_dipole(dipole: Any, cells: Float[np.ndarray, "frames 3 3"], reference: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "frames 3"]:
    """P of a model's own dipoles (e Å, on the branch of unwrapped positions), C/m².

    ``reference``: dipole of the ideal sites in units of the lattice vectors, which is zero of P and moves with the cell.
    """
    return (np.asarray(dipole) - reference @ cells) / np.linalg.det(cells)[:, None] * E_PER_A2
