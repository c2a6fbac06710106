"""Symmetry of a structure and its surroundings (spglib), and the projection on what it leaves invariant."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import spglib
from flax import struct
from jaxtyping import Array, Float, Int

from ferrojax.effective.lattice import LatticeState
from ferrojax.errors import FerrojaxError
from ferrojax.state import State

SYMPREC = 1e-3  # Å: relaxed structures are that close to their symmetry
SAME = 1e-6  # relative: a field or stress that an operation leaves alone


class Symmetry(struct.PyTreeNode):
    """Operations that map a structure, and the field and stress on it, onto themselves.

    rotations: Cartesian, g maps a vector v to R_g v. sources: the atom that g puts in the place of atom i.
    name: space group of the structure alone, as "P4mm (99)".
    """

    rotations: Float[Array, "operations 3 3"]
    sources: Int[Array, "operations atoms"]
    name: str = struct.field(pytree_node=False, default="P1 (1)")

    def vectors(self, displacements: Float[Array, "atoms 3"]) -> Float[Array, "atoms 3"]:
        """The invariant part of displacements or forces: their average over the operations."""
        return jnp.mean(jnp.einsum("gab,gib->gia", self.rotations, displacements[self.sources]), 0)

    def tensor(self, strain: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
        """The invariant part of a strain or stress."""
        return jnp.mean(self.rotations @ strain @ jnp.swapaxes(self.rotations, 1, 2), 0)


def no_symmetry(state: State) -> Symmetry:
    """The identity alone."""
    return Symmetry(jnp.eye(3, dtype=state.cell.dtype)[None], jnp.arange(len(state.positions))[None])


def space_group(state: State | LatticeState, strain: Any = None, symprec: float = SYMPREC) -> str:
    """Symbol and number of the space group within ``symprec`` (Å); "P1 (1)" if spglib finds none."""
    found = _dataset(_crystal(state, strain), symprec)
    return "P1 (1)" if found is None else f"{found.international} ({found.number})"


def symmetrized(state: State, field: Any = (0.0, 0.0, 0.0), stress: Any = None, symprec: float = SYMPREC) -> tuple[State, Symmetry]:
    """The state moved onto the symmetry it nearly has, topology kept, and the operations that leave field and stress alone.

    Positions and metric are averaged over the operations; the cell is stretched without turning it.
    Raises FerrojaxError for padding atoms and where spglib finds nothing.
    """
    crystal = _crystal(state, None)
    found = _dataset(crystal, symprec)
    if found is None or len(crystal[2]) != len(state.positions):
        raise FerrojaxError("symmetry: spglib finds no space group (padding atoms, or atoms that coincide); mend the structure.")
    cell, fractions = crystal[0], np.asarray(state.positions, float) @ np.linalg.inv(crystal[0])
    cell = _averaged_cell(cell, found.rotations)
    cartesian = _cartesian(cell, found.rotations)
    kept = np.flatnonzero(_leaves_alone(cartesian, field, stress))
    sources, fractions = _averaged_fractions(fractions, np.asarray(state.numbers), found, kept)
    dtype = state.cell.dtype
    moved = state.replace(positions=jnp.asarray(fractions @ cell, dtype), cell=jnp.asarray(cell, dtype))
    name = f"{found.international} ({found.number})"
    return moved, Symmetry(jnp.asarray(cartesian[kept], dtype), jnp.asarray(sources), name)


def point_operations(state: State | LatticeState, strain: Any, field: Any) -> tuple[str, np.ndarray]:
    """Space group and the Cartesian rotations of the point group, those that leave the field alone."""
    crystal = _crystal(state, strain)
    found = _dataset(crystal, SYMPREC)
    if found is None:
        return "P1 (1)", np.eye(3)[None]
    rotations = np.unique(found.rotations, axis=0)
    cartesian = _cartesian(_averaged_cell(crystal[0], rotations), rotations)
    return f"{found.international} ({found.number})", cartesian[_leaves_alone(cartesian, field, None)]


def _crystal(state: State | LatticeState, strain: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cell, fractions and kinds for spglib. A lattice is seen as its corners, its modes at the centres, and its tilts as two atoms more."""
    deformation = np.eye(3) + (0.0 if strain is None else np.asarray(strain, float).T)
    cell = np.asarray(state.cell, float)
    if isinstance(state, LatticeState):
        positions, kinds = _lattice_atoms(state)
    else:
        real = np.asarray(state.numbers) > 0
        positions, kinds = np.asarray(state.positions, float)[real], np.asarray(state.numbers)[real]
    return cell @ deformation, positions @ np.linalg.inv(cell), kinds


def _lattice_atoms(state: LatticeState) -> tuple[np.ndarray, np.ndarray]:
    """Positions and kinds with the symmetry of the lattice; a tilt ω, an axial vector, turns four more atoms around each centre."""
    count = state.modes.size // 3
    sites = np.stack(np.meshgrid(*map(np.arange, state.shape), indexing="ij"), -1).reshape(-1, 3)
    pitch = np.asarray(state.cell, float) / np.array(state.shape)[:, None]
    shift = np.zeros((count, 3)) if state.acoustic is None else np.asarray(state.acoustic, float).reshape(-1, 3)
    corners, centres = sites @ pitch + shift, (sites + 0.5) @ pitch + shift
    groups = [(corners, _kinds(state.occupation, count)), (centres + np.asarray(state.modes, float).reshape(-1, 3), np.full(count, 100))]
    if state.tilts is not None:
        for arm in np.concatenate([pitch, -pitch]) / 4:
            turned = arm + np.cross(np.asarray(state.tilts, float).reshape(-1, 3), arm)
            groups.append((centres + turned, np.full(count, 101)))
    return np.concatenate([g[0] for g in groups]), np.concatenate([g[1] for g in groups])


def _kinds(occupation: Any, count: int) -> np.ndarray:
    return np.ones(count, int) if occupation is None else 1 + np.unique(np.asarray(occupation).reshape(-1), return_inverse=True)[1]


def _dataset(crystal: tuple, symprec: float) -> Any:
    try:
        return spglib.get_symmetry_dataset(crystal, symprec=symprec)
    except spglib.error.SpglibError:
        return None


def _cartesian(cell: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    return np.array([cell.T @ w @ np.linalg.inv(cell.T) for w in rotations])


def _averaged_cell(cell: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """The cell under the symmetric stretch that gives it the averaged metric A Aᵀ."""
    metric = np.mean([w.T @ cell @ cell.T @ w for w in rotations], 0)
    inner = np.linalg.inv(cell) @ metric @ np.linalg.inv(cell).T
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    return cell @ (vectors * np.sqrt(values)) @ vectors.T


def _leaves_alone(cartesian: np.ndarray, field: Any, stress: Any) -> np.ndarray:
    """Which operations keep a field and a stress."""
    e, s = np.asarray(field, float), np.zeros((3, 3)) if stress is None else np.asarray(stress, float)
    turned = [
        np.abs(r @ e - e).max() <= SAME * np.abs(e).max() and np.abs(r @ s @ r.T - s).max() <= SAME * np.abs(s).max() for r in cartesian
    ]
    return np.array(turned)


def _averaged_fractions(fractions: np.ndarray, numbers: np.ndarray, found: Any, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sources of each operation kept, and fractional positions averaged over them."""
    sources, places = [], []
    for w, t in zip(found.rotations[kept], found.translations[kept]):
        apart = (fractions @ w.T + t)[None] - fractions[:, None]  # [place, atom that comes]
        whole = np.round(apart)
        distance = np.where(numbers[:, None] == numbers[None], np.linalg.norm(apart - whole, axis=-1), np.inf)
        source = distance.argmin(1)
        sources.append(source)
        places.append(fractions + (apart - whole)[np.arange(len(source)), source])
    return np.array(sources), np.mean(places, 0)
