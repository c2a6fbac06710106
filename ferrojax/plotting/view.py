"""A structure with arrows for displacements or polarization: to turn with the mouse in a notebook, or as a picture."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from ase.io import write
from ase.utils import rotate
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection

from ferrojax.errors import FerrojaxError
from ferrojax.plotting.style import BLUE, GREY, RED

WAITING = "A structure to turn with the mouse: it needs JavaScript and the network."


def view(atoms: Atoms, vectors: Float[np.ndarray, "atoms 3"] | None = None, scale: float = 5.0, size: tuple[int, int] = (520, 420)) -> Any:
    """A py3Dmol view: atoms as balls, the cell, and an arrow of ``scale`` times each vector, blue where it points to +z, red to -z.

    size: pixels. ``view(...).show()`` shows it. It loads 3Dmol.js from the network; ``sketch`` is for pages that run no scripts. Raises
    FerrojaxError if py3Dmol is missing, or for vectors that are not one an atom.
    """
    try:
        import py3Dmol
    except ImportError:
        raise FerrojaxError("view: py3Dmol is not installed; pip install 'ferrojax[notebooks]'.") from None
    shown = py3Dmol.view(width=size[0], height=size[1])
    # py3Dmol shows an alarm in red until, or unless, its script runs.
    shown.startjs = re.sub(r'(<p id="3dmolwarning_UNIQUEID")[^>]*>.*?</p>', rf"\1>{WAITING}</p>", shown.startjs, flags=re.S)
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


def sketch(
    axes: Axes,
    atoms: Atoms,
    vectors: Float[np.ndarray, "atoms 3"] | None = None,
    scale: float = 5.0,
    turn: str = "-60x,0y,0z",
    radius: float = 0.35,
) -> Axes:
    """The same as a picture: atoms, the farthest first, the cell, and arrows of ``scale`` times each vector, coloured as those of ``view``.

    turn: angles about the axes of the page, as ASE writes them; without a turn z points at the reader. radius: of the balls over the
    covalent radius. Raises FerrojaxError for vectors that are not one an atom.
    """
    page = rotate(turn)
    places = atoms.positions @ page
    order = places[:, 2].argsort()
    numbers = atoms.numbers[order]
    size = 2 * radius * covalent_radii[numbers]
    for start, end in _edges(atoms.cell.array):
        axes.plot(*np.stack([start @ page, end @ page])[:, :2].T, color=GREY, linewidth=0.6, zorder=0)
    balls = EllipseCollection(size, size, 0 * size, units="xy", offsets=places[order, :2], offset_transform=axes.transData)
    balls.set(facecolor=(1 + jmol_colors[numbers]) / 2, edgecolor="0.5", linewidth=0.3)  # pale: arrows stand out
    axes.add_collection(balls)
    if vectors is not None:
        visible = _visible(atoms, np.asarray(vectors), "sketch")
        across, colour = scale * vectors[visible] @ page, np.where(vectors[visible, 2] >= 0, BLUE, RED)
        where = {"angles": "xy", "scale_units": "xy", "scale": 1.0, "units": "xy", "zorder": 3}
        shape = {"width": 0.3, "headwidth": 3.5, "headlength": 4, "headaxislength": 4}  # the width in Å
        axes.quiver(*places[visible, :2].T, *across[:, :2].T, color=colour, **where, **shape)
        axes.update_datalim(places[visible, :2] + across[:, :2])
    axes.set_aspect("equal")
    axes.axis("off")
    return axes


def _add_arrows(shown: Any, atoms: Atoms, vectors: np.ndarray, scale: float) -> None:
    visible = _visible(atoms, vectors, "view")
    for place, vector in zip(atoms.positions[visible], vectors[visible]):
        colour = BLUE if vector[2] >= 0 else RED
        shown.addArrow({"start": _point(place), "end": _point(place + scale * vector), "radius": 0.12, "color": colour})


def _visible(atoms: Atoms, vectors: np.ndarray, name: str) -> np.ndarray:
    """Which vectors are long enough for an arrow."""
    if vectors.shape != (len(atoms), 3):
        raise FerrojaxError(f"{name}: {len(atoms)} atoms need vectors of shape ({len(atoms)}, 3); got {vectors.shape}.")
    return np.linalg.norm(vectors, axis=1) > 1e-3 * max(np.abs(vectors).max(), 1e-300)


def _edges(cell: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The twelve edges of a cell."""
    corners = [np.array(bits) for bits in np.ndindex(2, 2, 2)]
    return [(a @ cell, (a + step) @ cell) for a in corners for step in np.eye(3, dtype=int) if (a + step).max() <= 1]


def _point(x: np.ndarray) -> dict[str, float]:
    return dict(zip("xyz", map(float, x)))
