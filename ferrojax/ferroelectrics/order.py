"""Order parameters: what of a map is uniform, and what alternates from cell to cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Complex, Float

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.cells import PerovskiteCells

X = ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5))
M = ((0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
R = ((0.5, 0.5, 0.5),)


def fourier(cells: PerovskiteCells, values: Float[np.ndarray, "cells 3"], q: Sequence[float]) -> Complex[np.ndarray, "3"]:
    """(1/N) Σ_c v_c exp(-2πi q·n_c), n the cell's place; q in reciprocal pseudo-cubic vectors. Real where q is half of one.

    Raises FerrojaxError for a wave that does not fit into the supercell.
    """
    if not _fits(cells, q):
        raise FerrojaxError(
            f"the wave {tuple(q)} does not fit into the supercell {cells.supercell.tolist()}; take an even number of cells."
        )
    return np.exp(-2j * np.pi * (cells.index @ np.asarray(q, float))) @ values / len(cells)


def star(cells: PerovskiteCells, values: Float[np.ndarray, "cells 3"], waves: Sequence[Sequence[float]]) -> Float[np.ndarray, "waves 3"]:
    """Amplitudes at the waves of a star, ``X``, ``M`` or ``R``: rows the waves, columns the components; zero for those that do not fit."""
    rows = [fourier(cells, values, q).real if _fits(cells, q) else np.zeros(3) for q in waves]
    return np.array(rows)


def in_phase(cells: PerovskiteCells, tilts: Float[np.ndarray, "cells 3"]) -> Float[np.ndarray, "3"]:
    """Tilts about each axis that are equal along it and alternate across (M points), degrees, in the axes of ``tilts``.

    The sign depends on which cell counts as the first.
    """
    return np.diagonal(star(cells, tilts, M)).copy()


def antiphase(cells: PerovskiteCells, tilts: Float[np.ndarray, "cells 3"]) -> Float[np.ndarray, "3"]:
    """Tilts about each axis that alternate in all directions (R point), degrees; the sign as for ``in_phase``."""
    return star(cells, tilts, R)[0]


def glazer(plus: Float[np.ndarray, "3"], minus: Float[np.ndarray, "3"], threshold: float = 1.0, equal: float = 0.5) -> str:
    """Glazer's symbol, such as "a-a-c+", of in-phase and antiphase tilts, degrees, about the pseudo-cubic axes.

    Tilts below the threshold count as none; those that differ by less than ``equal`` share a letter. Glazer, Acta Cryst. B 28, 3384 (1972).

    Raises FerrojaxError for a threshold that is not above zero.
    """
    if not threshold > 0:
        raise FerrojaxError(f"glazer: the threshold must be above zero; got {threshold}.")
    sizes = np.maximum(np.abs(plus), np.abs(minus))
    sizes = np.where(sizes > threshold, sizes, 0.0)
    symbol = ""
    for k in range(3):
        alike = [j for j in range(k + 1) if abs(sizes[j] - sizes[k]) < equal or sizes[j] == sizes[k]]
        sign = "0" if sizes[k] == 0 else "+" if abs(plus[k]) > abs(minus[k]) else "-"
        symbol += "abc"[alike[0]] + sign
    return symbol


def _fits(cells: PerovskiteCells, q: Sequence[float]) -> bool:
    turns = cells.supercell @ np.asarray(q, float)
    return bool(np.abs(turns - np.rint(turns)).max() < 1e-9)
