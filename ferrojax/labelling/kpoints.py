"""Meshes of k-points of one density for cells of all sizes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def mesh(cell: Float[np.ndarray, "3 3"], length: float) -> tuple[int, int, int]:
    """Smallest n_i with n_i h_i >= length (Å), h_i = V / |a_j x a_k| the height of the cell over its i-th face.

    The heights, not the edges, are what reciprocal vectors are inverse to: a sheared cell gets the mesh it needs.
    Doubling an axis halves its n_i, rounded up, so that meshes of different sizes fold onto each other or are denser.
    """
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    first, second, third = (max(1, int(n)) for n in np.ceil(length / heights - 1e-9))
    return first, second, third
