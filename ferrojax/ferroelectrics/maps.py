"""Maps of a trajectory's frames: what each unit cell does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.effective.params import HeffParams
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.cells import PerovskiteCells
from ferrojax.ferroelectrics.frames import Snapshot
from ferrojax.ferroelectrics.lattice import lattice_modes, lattice_polarization
from ferrojax.ferroelectrics.learned import learned_dipoles
from ferrojax.ferroelectrics.local import cell_dipoles, dipoles, off_centring, tilts
from ferrojax.ferroelectrics.order import antiphase, in_phase
from ferrojax.ferroelectrics.phase import in_common, variants
from ferrojax.potential.model import Model
from ferrojax.state import State, from_ase
from ferrojax.topology import carry_over
from ferrojax.units import E_PER_A2

SKIN = 0.5  # Å, of the neighbours a model sees from frame to frame

AtomicDipoles = Callable[[Snapshot, np.ndarray], np.ndarray]  # of a frame and its displacements u, e Å


@dataclass(frozen=True)
class Maps:
    """One frame, cell by cell.

    polarization: C/m². places: where the cells stand, Å. tilts: degrees, off_a, off_b: Å, None for a lattice. shape: of the grid, None if
    there is none. common: ⟨P·P'⟩ of neighbouring cells, (C/m²)². plus, minus: in-phase and antiphase tilts, degrees.
    """

    polarization: Float[np.ndarray, "cells 3"]
    places: Float[np.ndarray, "cells 3"]
    cell: Float[np.ndarray, "3 3"]
    axes: Float[np.ndarray, "3 3"]
    shape: tuple[int, int, int] | None
    symbols: list[str]
    common: float
    tilts: Float[np.ndarray, "cells 3"] | None = None
    off_a: Float[np.ndarray, "cells 3"] | None = None
    off_b: Float[np.ndarray, "cells 3"] | None = None
    plus: Float[np.ndarray, "3"] | None = None
    minus: Float[np.ndarray, "3"] | None = None

    @property
    def along(self) -> Float[np.ndarray, "cells 3"]:
        """The components of the polarization along the pseudo-cubic axes, C/m²."""
        return along_axes(self.polarization, self.axes)

    @property
    def grid(self) -> Float[np.ndarray, "x y z 3"]:
        """``along`` over the grid of cells. Raises FerrojaxError if there is none."""
        if self.shape is None:
            raise FerrojaxError("the supercell does not repeat along its pseudo-cubic axes, so it has no layers and no walls.")
        return self.along.reshape(*self.shape, 3)

    def arrays(self, threshold: float) -> dict[str, np.ndarray]:
        """What there is, by the names of the map files; ASE keeps "polarization" for that of the whole cell. threshold: of ``variants``."""
        atoms = {"tilt": self.tilts, "off_centre_a": self.off_a, "off_centre_b": self.off_b}
        polar = {"local_polarization": self.polarization, "variant": variants(self.along, threshold)}
        return polar | {name: values for name, values in atoms.items() if values is not None}


def map_atoms(cells: PerovskiteCells, frame: Snapshot, moments: AtomicDipoles, centre: Literal["B", "A"] = "B") -> Maps:
    """Maps of a frame of atoms; moments: ``born_moments`` or ``model_moments``.

    Raises FerrojaxError for a frame that does not belong to the cells.
    """
    u = cells.displacements(frame.positions, frame.cell, frame.numbers)
    per_volume = len(cells) / abs(np.linalg.det(frame.cell)) * E_PER_A2
    turned = tilts(cells, u, frame.cell)
    middle = cells.b if centre == "B" else cells.a
    polarization = cell_dipoles(cells, moments(frame, u), centre) * per_volume
    symbols = Atoms(numbers=frame.numbers[middle]).get_chemical_symbols()
    places, axes = cells.ideal[middle] @ frame.cell, cells.axes(frame.cell)
    about = along_axes(turned, axes)
    signs = (in_phase(cells, about), antiphase(cells, about))
    common = in_common(polarization, (polarization[cells.next[:, k]] for k in range(3)))
    return Maps(polarization, places, frame.cell, axes, cells.shape, symbols, common, turned, *off_centring(cells, u), *signs)


def along_axes(vectors: Float[np.ndarray, "cells 3"], axes: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "cells 3"]:
    """Components of Cartesian vectors along axes (rows) of any length."""
    return vectors @ np.linalg.inv(axes / np.linalg.norm(axes, axis=1, keepdims=True))


def map_lattice(frame: Snapshot, params: HeffParams) -> Maps:
    """Maps of a frame of the effective Hamiltonian's lattice."""
    modes, a0 = lattice_modes(frame, params), float(params.a0)
    shape = modes.shape[:3]
    places = (np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3) + 0.5) * a0
    field = lattice_polarization(modes, params)
    polarization = field.reshape(-1, 3)
    common = in_common(polarization, (np.roll(field, -1, k).reshape(-1, 3) for k in range(3)))
    return Maps(polarization, places, np.diag(shape) * a0, np.eye(3) * a0, shape, ["X"] * len(places), common)


def born_moments(charges: Float[np.ndarray, "atoms 3 3"]) -> AtomicDipoles:
    """Z* u of each atom."""
    return lambda frame, u: dipoles(charges, u)


def stored_moments() -> AtomicDipoles:
    """Charge times u, with the charges that the trajectory holds. They are no Born charges: look at patterns, not at the numbers."""

    def of(frame: Snapshot, u: np.ndarray) -> np.ndarray:
        if "charges" not in frame.arrays:
            raise FerrojaxError(f"step {frame.step}: the trajectory holds no charges; give Born charges instead.")
        return dipoles(np.asarray(frame.arrays["charges"], float), u)

    return of


def model_moments(model: Model, params: Any) -> AtomicDipoles:
    """The model's own dipoles in each frame, as ``learned_dipoles`` has them, in single precision."""
    state: State | None = None

    def of(frame: Snapshot, u: np.ndarray) -> np.ndarray:
        nonlocal state
        atoms = frame.to_ase()
        # The shapes of the frame before, so that nothing is compiled again.
        state = model.prepare(atoms, skin=SKIN) if state is None else carry_over(from_ase(atoms, np.float32), state)
        return learned_dipoles(model, params, state, u)

    return of
