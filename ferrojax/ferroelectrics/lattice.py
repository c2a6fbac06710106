"""Maps of the effective Hamiltonian's lattice: its modes are the dipoles of the cells already."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ferrojax.effective.params import HeffParams
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.frames import Snapshot
from ferrojax.units import E_PER_A2


def is_lattice(frame: Snapshot) -> bool:
    """Whether a frame has rows of a lattice (number 0) in place of atoms."""
    return not frame.numbers.any()


def lattice_modes(frame: Snapshot, params: HeffParams) -> Float[np.ndarray, "x y z 3"]:
    """Modes u of each cell, Å, from a frame of a lattice's trajectory, where they are displacements from the sites (n + ½) a0.

    Acoustic displacements and tilts that follow them in the file are left out.

    Raises FerrojaxError for rows or a cell that belong to no lattice of this constant.
    """
    a0 = float(params.a0)
    # A run at constant stress may stretch the box by a few percent; cells are whole.
    shape = np.rint(np.linalg.norm(frame.cell, axis=1) / a0).astype(int)
    count = int(np.prod(shape))
    if count == 0 or len(frame.numbers) % count or len(frame.numbers) // count > 3 or not is_lattice(frame):
        raise FerrojaxError(
            f"lattice_modes: {len(frame.numbers)} rows are no lattice of {shape.tolist()} cells of {a0:g} Å; give the run's parameters."
        )
    sites = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) + 0.5
    return frame.positions[:count].reshape(*shape, 3) - sites * a0


def lattice_polarization(modes: Float[np.ndarray, "x y z 3"], params: HeffParams) -> Float[np.ndarray, "x y z 3"]:
    """Z* u/a0³ of each cell, C/m², over the volume of the cubic reference."""
    return modes * (float(params.charge) / float(params.a0) ** 3 * E_PER_A2)
