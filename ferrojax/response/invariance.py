"""How far tensors are from the invariance under the crystal's point group that they must have."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ferrojax.effective.lattice import VOIGT

_AXES = "abcdefgh"


def full_tensor(voigt: Float[np.ndarray, "..."], pairs: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """A tensor in Voigt form with the axes ``pairs`` written out as two axes of 3: the e, C and Λ of stresses, without factors of two."""
    for axis in sorted(pairs, reverse=True):
        place = np.empty((3, 3), int)
        for k, (i, j) in enumerate(VOIGT):
            place[i, j] = place[j, i] = k
        voigt = np.take(voigt, place, axis)
    return voigt


def asymmetry(tensor: Float[np.ndarray, "..."], rotations: Float[np.ndarray, "operations 3 3"]) -> float:
    """The largest |⟨R T⟩ - T| of a Cartesian tensor over its largest |T|, ⟨⟩ the average over the point group; 0 for zero."""
    tensor = np.asarray(tensor, float)
    largest = float(np.abs(tensor).max())
    return float(np.abs(average(tensor, rotations) - tensor).max()) / largest if largest > 0 else 0.0


def average(tensor: Float[np.ndarray, "..."], rotations: Float[np.ndarray, "operations 3 3"]) -> Float[np.ndarray, "..."]:
    """The invariant part of a Cartesian tensor of any rank."""
    return np.mean([rotate(tensor, r) for r in rotations], 0)


def rotate(tensor: Float[np.ndarray, "..."], rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "..."]:
    """T'_ab... = R_ai R_bj ... T_ij...."""
    inside = "".join(_AXES[: tensor.ndim])
    factors = ",".join(f"{upper}{lower}" for upper, lower in zip(inside.upper(), inside))
    return np.einsum(f"{factors},{inside}->{inside.upper()}", *[rotation] * tensor.ndim, tensor, optimize=True)
