"""The simulated system as a pytree: positions, cell, atomic numbers and topology."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp
import numpy as np
from ase.data import atomic_masses
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from ferrojax.errors import FerrojaxError
from ferrojax.topology import Topology

if TYPE_CHECKING:
    from ase import Atoms

MIN_VOLUME_PER_ATOM = 0.5  # Å³; below this a cell is flat or its units are wrong


class State(struct.PyTreeNode):
    """Atoms in a periodic cell.

    positions: Cartesian, Å, never wrapped by the library.
    cell: lattice vectors as rows, Å, right-handed.
    numbers: atomic numbers; 0 marks a padding atom that takes part in nothing.
    topology: integer neighbour data, None until it is built.
    """

    positions: Float[Array, "atoms 3"]
    cell: Float[Array, "3 3"]
    numbers: Int[Array, " atoms"]
    # None until it is built; typed without None, since all code past Model.prepare has one.
    topology: Topology = struct.field(default=None)

    # What dynamics asks of a state, here and of LatticeState.
    follows_cell: ClassVar[bool] = True  # a homogeneous strain of the cell carries the coordinates along

    @property
    def coordinates(self) -> Float[Array, "atoms 3"]:
        """What moves: the positions, Å."""
        return self.positions

    @property
    def masses(self) -> Float[Array, "atoms 1"]:
        """Of the coordinates, amu; 1 for padding atoms, which are held still."""
        table = np.where(np.isfinite(atomic_masses), atomic_masses, 1.0)
        table[0] = 1.0
        return jnp.asarray(table, self.positions.dtype)[self.numbers][:, None]

    @property
    def mobile(self) -> Bool[Array, " atoms"]:
        """Which rows of the coordinates move: not those of padding atoms."""
        return self.numbers > 0

    @property
    def loose(self) -> Bool[Array, " atoms"] | None:
        """Rows whose common displacement costs nothing, so that their centre of mass is kept at rest; None if there are none."""
        return self.mobile

    def at(self, coordinates: Float[Array, "atoms 3"], cell: Float[Array, "3 3"] | None = None) -> State:
        """The state with other coordinates and, if given, another cell."""
        return self.replace(positions=coordinates) if cell is None else self.replace(positions=coordinates, cell=cell)

    def to_ase(self) -> Atoms:
        """ASE structure; padding atoms are left out."""
        return to_ase(self)

    @property
    def volume(self) -> Float[Array, ""]:
        """Cell volume, Å³ (positive: left-handed cells are refused on input)."""
        return jnp.linalg.det(self.cell)


def from_ase(atoms: Atoms, dtype: type = np.float64, name: str = "structure") -> State:
    """State of an ASE structure, without topology.

    Raises FerrojaxError for a cell that is flat, left-handed or not periodic in
    all directions, for positions that are not finite, and for an empty structure.
    """
    if len(atoms) == 0:
        raise FerrojaxError(f"{name}: no atoms; give a structure with at least one.")
    if not all(atoms.pbc):
        raise FerrojaxError(
            f"{name}: pbc is {atoms.pbc.tolist()}, but ferrojax needs a cell periodic in all directions; "
            "give a slab enough vacuum, set pbc=True and use the slab boundary condition."
        )
    check_cell(atoms.cell.array, len(atoms), name)
    if not np.isfinite(atoms.positions).all():
        bad = int(np.argwhere(~np.isfinite(atoms.positions))[0, 0])
        raise FerrojaxError(f"{name}: the position of atom {bad} is not finite; mend or drop the frame.")
    return State(
        positions=jnp.asarray(atoms.positions, dtype),
        cell=jnp.asarray(atoms.cell.array, dtype),
        numbers=jnp.asarray(atoms.numbers, jnp.int32),
    )


def to_ase(state: State) -> Atoms:
    """ASE structure of a state; padding atoms are left out."""
    from ase import Atoms

    numbers = np.asarray(state.numbers)
    real = numbers > 0
    return Atoms(
        numbers=numbers[real],
        positions=np.asarray(state.positions, np.float64)[real],
        cell=np.asarray(state.cell, np.float64),
        pbc=True,
    )


def check_cell(cell: np.ndarray, atoms: int, name: str) -> None:
    """Raise FerrojaxError unless the cell is finite, right-handed and not flat."""
    if np.shape(cell) != (3, 3) or not np.isfinite(cell).all():
        raise FerrojaxError(f"{name}: the cell must be three finite row vectors; got {np.asarray(cell).tolist()}.")
    volume = float(np.linalg.det(cell))
    if abs(volume) < MIN_VOLUME_PER_ATOM * atoms:
        raise FerrojaxError(
            f"{name}: the cell is flat ({volume:.3g} Å³ for {atoms} atoms); check the lattice vectors and that they are in Å."
        )
    if volume < 0:
        raise FerrojaxError(f"{name}: the cell is left-handed (volume {volume:.3g} Å³); swap two lattice vectors.")


def apply_strain(state: State, strain: Float[Array, "3 3"]) -> State:
    """Strained state, R' = R (I + ε)ᵀ and cell' = cell (I + ε)ᵀ, topology kept."""
    deformation = jnp.eye(3, dtype=state.cell.dtype) + strain.T
    return state.replace(positions=state.positions @ deformation, cell=state.cell @ deformation)


def field_inside(strain: Float[Array, "3 3"], field: Float[Array, "3"]) -> Float[Array, "3"]:
    """The Cartesian field E' = (I + ε)⁻ᵀ E in a strained cell whose potential drops E·a_i along the lattice vectors are held, V/Å."""
    return jnp.linalg.solve((jnp.eye(3, dtype=field.dtype) + strain).T, field)


def strain_length(state: Any) -> Float[Array, ""]:
    """J = (V/N)^(1/3) N^(1/2), Å: with J ε among the coordinates, strains are about as stiff as atoms.

    Sheppard et al., J. Chem. Phys. 136, 074103 (2012). ``state``: a State or a LatticeState.
    """
    count = jnp.sum(state.mobile).astype(state.cell.dtype)
    return (jnp.linalg.det(state.cell) / count) ** (1 / 3) * jnp.sqrt(count)
