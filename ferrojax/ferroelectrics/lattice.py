"""Maps of the effective Hamiltonian's lattice: its modes are the dipoles of the cells already."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ferrojax.effective.params import HeffParams
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.frames import Snapshot
from ferrojax.units import E_PER_A2

STRAIN = 0.3  # of the box of a run at constant stress, at most


def is_lattice(frame: Snapshot) -> bool:
    """Whether a frame has rows of a lattice (number 0) in place of atoms."""
    return not frame.numbers.any()


def lattice_modes(frame: Snapshot, params: HeffParams) -> Float[np.ndarray, "x y z 3"]:
    """Modes u of each cell, Å, from a frame of a lattice's trajectory, where they are displacements from the sites (n + ½) a0.

    Acoustic displacements and tilts that follow them in the file are left out.

    Raises FerrojaxError for rows or a cell that belong to no lattice of this constant.
    """
    a0 = float(params.a0)
    shape = _shape(frame, a0)
    sites = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) + 0.5
    return frame.positions[: int(np.prod(shape))].reshape(*shape, 3) - sites * a0


def _shape(frame: Snapshot, a0: float) -> tuple[int, ...]:
    """Cells along the axes, by the site of the last cell.

    The box does not tell: constant stress may stretch it by more than half a cell in a long lattice. Sites are not stretched, and modes are
    far below half a cell.
    """
    rows = len(frame.numbers)
    for kinds in (1, 2, 3):  # modes; then acoustic displacements, tilts
        if is_lattice(frame) and rows % kinds == 0 and rows >= kinds:
            shape = np.rint(frame.positions[rows // kinds - 1] / a0 + 0.5).astype(int)
            if (shape > 0).all() and int(np.prod(shape)) == rows // kinds and _fits(frame.cell, shape * a0):
                return tuple(shape.tolist())
    box = np.linalg.norm(frame.cell, axis=1) / a0
    raise FerrojaxError(
        f"lattice_modes: {rows} rows in a box of {np.round(box, 2).tolist()} cells are no lattice of cells of {a0:g} Å; "
        "give the run's parameters."
    )


def _fits(cell: np.ndarray, lengths: np.ndarray) -> bool:
    """Whether the box is the unstrained one, but for a strain."""
    return bool(np.abs(np.linalg.norm(cell, axis=1) / lengths - 1).max() < STRAIN)


def lattice_polarization(modes: Float[np.ndarray, "x y z 3"], params: HeffParams) -> Float[np.ndarray, "x y z 3"]:
    """Z* u/a0³ of each cell, C/m², over the volume of the cubic reference."""
    return modes * (float(params.charge) / float(params.a0) ** 3 * E_PER_A2)
