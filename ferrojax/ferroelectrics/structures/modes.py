"""Polar displacements: how the atoms of a perovskite follow a local mode u, and structures in which it is not the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.perovskite import displacements, polar_direction
from ferrojax.ferroelectrics.structures.sites import OX, A, B, sites_of, triple

PolarField = Callable[[Float[np.ndarray, "points 3"]], Float[np.ndarray, "points 3"]]  # positions (Å) to modes (Å)


@dataclass(frozen=True)
class PolarMode:
    """Displacements per unit of the local mode u, of A, B, and the oxygen whose B-O-B bond is parallel or perpendicular to u.

    Each component of u moves the atoms along its own axis only, so u may point anywhere. A positive u is a positive polarization.
    """

    a: float
    b: float
    parallel: float
    perpendicular: float


def _normalised(*weights: float) -> PolarMode:
    a, b, parallel, perpendicular = weights
    return PolarMode(*(np.array(weights) / np.sqrt(a**2 + b**2 + parallel**2 + 2 * perpendicular**2)).tolist())


SLATER = _normalised(0, 3, -1, -1)  # B against the octahedra: BaTiO3, KNbO3
LAST = _normalised(4, -1, -1, -1)  # A against the rest: PbTiO3, BiFeO3
AXE = _normalised(0, 0, -2, 1)  # octahedra deform
# Soft mode of cubic BaTiO3, Wu-Cohen: Nishimatsu et al., Phys. Rev. B 82, 134106 (2010).
BATIO3_SOFT = PolarMode(0.166, 0.770, -0.546, -0.202)


def polarize(atoms: Atoms, mode: Any, pattern: PolarMode = SLATER) -> Atoms:
    """Displace every atom by its share of the local mode at its own place,

        Δr_i = ξ_i u(r_i),   ξ diagonal: (a, a, a) for A, (b, b, b) for B, (∥, ⊥, ⊥) for Ox ...

    mode: u in Å, three numbers for a single domain, or a texture: a function from positions (points 3) to modes (points 3).
    A texture is read at the atoms as they stand, so displace the ideal structure. pattern: ξ, of length 1.

    Raises FerrojaxError for a structure without sites, or a mode that is not finite.
    """
    if callable(mode):
        u = np.asarray(mode(atoms.positions), float)
    else:
        u = np.broadcast_to(triple(mode, "the mode u"), (len(atoms), 3))
    if u.shape != (len(atoms), 3) or not np.isfinite(u).all():
        raise FerrojaxError(f"the texture must give three finite numbers for each of the {len(atoms)} atoms; it gives shape {u.shape}.")
    moved = atoms.copy()
    moved.positions += _shares(pattern)[sites_of(atoms)] * u
    return moved


def mode_of(bulk: Atoms, reference: Atoms) -> tuple[PolarMode, Float[np.ndarray, "3"]]:
    """The pattern ξ (length 1) and the mode u (Å) that come nearest to the displacements of a polar cell of five atoms.

    ``polarize(reference, u, ξ)`` gives them back but for a common shift, exactly for P along ⟨001⟩; for other directions it leaves out
    what a diagonal ξ cannot say, the displacements of oxygen across u. bulk: its atoms in the order of the reference, as by ``in_order``.

    Raises FerrojaxError for a bulk that is not polar or not of five atoms.
    """
    if len(bulk) != 5:
        raise FerrojaxError(f"bulk: a local mode is that of five atoms; this one has {len(bulk)}.")
    moved = displacements(bulk, reference)
    along = polar_direction(moved)
    if np.linalg.norm(along) < 1e-4:
        raise FerrojaxError("bulk: it is not polar: the cations sit within 1e-4 Å of the centre of the oxygens.")
    unit = along / np.linalg.norm(along)
    oxygen = moved[OX:]
    cross = ~np.eye(3, dtype=bool)
    parallel = np.diag(oxygen) @ unit
    perpendicular = (oxygen * unit)[cross].sum() / 2
    weights = np.array([moved[A] @ unit, moved[B] @ unit, parallel, perpendicular])
    length = float(np.sqrt(weights @ (weights * (1, 1, 1, 2))))
    return PolarMode(*(weights / length).tolist()), length * unit


def _shares(pattern: PolarMode) -> np.ndarray:
    """ξ of each site along x, y, z."""
    a, b, parallel, perpendicular = astuple(pattern)
    oxygens = np.where(np.eye(3, dtype=bool), parallel, perpendicular)
    return np.vstack([np.full(3, a), np.full(3, b), oxygens])
