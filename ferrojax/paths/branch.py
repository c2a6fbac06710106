"""The dipole along a path on one branch: it is defined modulo e times a lattice vector only."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ferrojax.errors import FerrojaxError

DOUBT = 0.25  # of a quantum: how far a step may be from what the Born charges say before it is ambiguous


def dipoles_on_one_branch(
    dipoles: Float[np.ndarray, "images 3"], expected: Float[np.ndarray, "gaps 3"], cell: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "images 3"]:
    """Dipoles with multiples of the quanta e a_i added so that they are continuous, e Å.

        M_{i+1} - M_i ≈ ½ (Z*_i + Z*_{i+1})·(x_{i+1} - x_i)        ``expected``, by the trapezoid rule

    The Born charges tell a large true change, as in a supercell, from a jump to another branch: the step less this estimate is
    rounded to whole quanta (King-Smith and Vanderbilt, Phys. Rev. B 47, 1651 (1993)).

    Raises FerrojaxError if what remains is more than a quarter of a quantum: between which images, how much, and the remedy.
    """
    quanta = (np.diff(dipoles, axis=0) - expected) @ np.linalg.inv(cell)
    left = np.abs(quanta - np.round(quanta))
    if left.max(initial=0.0) > DOUBT:
        step, axis = (int(k) for k in np.unravel_index(left.argmax(), left.shape))
        raise FerrojaxError(
            f"path: the polarization jumps between images {step} and {step + 1} by {quanta[step, axis]:.2f} quanta (e times lattice "
            f"vector {axis}, over the volume) more than the Born charges explain, so its branch is lost; give more images."
        )
    extra = np.concatenate([np.zeros((1, 3)), np.cumsum(np.round(quanta), axis=0)])
    return dipoles - extra @ cell
