"""A structure to turn with the mouse in a notebook, with arrows for displacements or polarization."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.plotting.style import BLUE, RED


def view(atoms: Atoms, vectors: Float[np.ndarray, "atoms 3"] | None = None, scale: float = 5.0, size: tuple[int, int] = (520, 420)) -> Any:
    """A py3Dmol view: atoms as balls, the cell, and an arrow of ``scale`` times each vector, blue where it points to +z, red to -z.

    size: pixels. Show it by leaving it as the last line of a cell. Raises FerrojaxError if py3Dmol is missing, or for vectors that are
    not one an atom.
    """
    try:
        import py3Dmol
    except ImportError:
        raise FerrojaxError("view: py3Dmol is not installed; pip install 'ferrojax[notebooks]'.") from None
    shown = py3Dmol.view(width=size[0], height=size[1])
    text = io.StringIO()
    write(text, Atoms(atoms.symbols, atoms.positions), format="xyz")
    shown.addModel(text.getvalue(), "xyz")
    shown.setStyle({"sphere": {"scale": 0.25}})
    for start, end in _edges(atoms.cell.array):
        shown.addLine({"start": _point(start), "end": _point(end), "color": "gray"})
    if vectors is not None:
        _add_arrows(shown, atoms, np.asarray(vectors), scale)
    shown.zoomTo()
    return shown


def _add_arrows(shown: Any, atoms: Atoms, vectors: np.ndarray, scale: float) -> None:
    if vectors.shape != (len(atoms), 3):
        raise FerrojaxError(f"view: {len(atoms)} atoms need vectors of shape ({len(atoms)}, 3); got {vectors.shape}.")
    visible = np.linalg.norm(vectors, axis=1) > 1e-3 * max(np.abs(vectors).max(), 1e-300)
    for place, vector in zip(atoms.positions[visible], vectors[visible]):
        colour = BLUE if vector[2] >= 0 else RED
        shown.addArrow({"start": _point(place), "end": _point(place + scale * vector), "radius": 0.12, "color": colour})


def _edges(cell: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The twelve edges of a cell."""
    corners = [np.array(bits) for bits in np.ndindex(2, 2, 2)]
    return [(a @ cell, (a + step) @ cell) for a in corners for step in np.eye(3, dtype=int) if (a + step).max() <= 1]


def _point(x: np.ndarray) -> dict[str, float]:
    return dict(zip("xyz", map(float, x)))
