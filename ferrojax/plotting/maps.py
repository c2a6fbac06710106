"""Polarization on a slice, and phase diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.patches import Patch

from ferrojax.errors import FerrojaxError
from ferrojax.plotting.style import BLUE, GREEN, PALETTE, PURPLE, RED, YELLOW

DIVERGING = "PuOr_r"
# From right counterclockwise; opposite and neighbouring directions stay apart for colour-blind readers, and black arrows stand out.
CYCLIC = LinearSegmentedColormap.from_list("direction", ((0, BLUE), (0.25, GREEN), (0.5, YELLOW), (0.75, RED), (0.875, PURPLE), (1, BLUE)))


def direction_colours(vectors: Float[np.ndarray, "*points 2"], largest: float | None = None) -> Float[np.ndarray, "*points 3"]:
    """Red, green, blue of plane vectors: the hue of a cyclic map says the direction, the paleness how short they are; white is zero.

    largest: the length of full colour, by default the longest.
    """
    length = np.linalg.norm(vectors, axis=-1)
    full = largest or max(float(length.max()), 1e-300)
    hue = CYCLIC((np.arctan2(vectors[..., 1], vectors[..., 0]) / (2 * np.pi)) % 1.0)[..., :3]
    share = np.minimum(length / full, 1.0)[..., None]
    return 1 - share * (1 - hue)


def vector_map(
    axes: Axes,
    x: Float[np.ndarray, " columns"],
    y: Float[np.ndarray, " rows"],
    vectors: Float[np.ndarray, "columns rows 2"],
    largest: float | None = None,
    arrows: int = 16,
    wheel: bool = True,
) -> Axes:
    """Components in the plane of a slice as colours (``direction_colours``) with arrows on top, and a colour wheel beside it.

    x, y: middles of the cells, evenly spaced. largest: the length of full colour and of an arrow from one to the next, in the unit of
    the vectors. arrows: about how many along the longer side; 0 for none.
    Raises FerrojaxError for one row or column, or uneven ones.
    """
    left, right, bottom, top = *_edges(x, "x"), *_edges(y, "y")
    colours = direction_colours(vectors, largest)
    axes.imshow(colours.swapaxes(0, 1), origin="lower", extent=(left, right, bottom, top), interpolation="nearest", aspect="equal")
    if arrows:
        step = max(1, -(-max(len(x), len(y)) // arrows))
        at = slice(step // 2, None, step)
        size = largest or max(float(np.linalg.norm(vectors, axis=-1).max()), 1e-300)
        u, v = vectors[at, at, 0].T, vectors[at, at, 1].T
        scale = size / (0.9 * step * (x[1] - x[0]))
        axes.quiver(
            x[at],
            y[at],
            u,
            v,
            pivot="mid",
            angles="xy",
            scale_units="xy",
            scale=scale,
            width=0.005,
            headwidth=3.5,
            headlength=4,
            headaxislength=4,
        )
    if wheel:
        colour_wheel(axes.inset_axes((1.04, 0.72, 0.28, 0.28)))
    return axes


def component_map(
    axes: Axes,
    x: Float[np.ndarray, " columns"],
    y: Float[np.ndarray, " rows"],
    values: Float[np.ndarray, "columns rows"],
    label: str,
    largest: float | None = None,
) -> Axes:
    """One component on a slice, positive and negative alike, with a colour bar.

    x, y: middles of the cells, evenly spaced. label: with the unit.

    Raises FerrojaxError as vector_map.
    """
    left, right, bottom, top = *_edges(x, "x"), *_edges(y, "y")
    limit = largest or max(float(np.abs(values).max()), 1e-300)
    image = axes.imshow(
        values.T, cmap=DIVERGING, vmin=-limit, vmax=limit, origin="lower", extent=(left, right, bottom, top), interpolation="nearest"
    )
    axes.figure.colorbar(image, ax=axes, label=label, fraction=0.05, pad=0.03)
    return axes


def colour_wheel(axes: Axes) -> Axes:
    """The key of ``direction_colours``: white in the middle, full colour on the rim."""
    grid = np.linspace(-1.05, 1.05, 201)
    plane = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1)
    colours = direction_colours(plane, largest=1.0)
    colours[np.linalg.norm(plane, axis=-1) > 1] = 1.0
    axes.imshow(colours.swapaxes(0, 1), origin="lower", extent=(-1.05, 1.05, -1.05, 1.05))
    axes.add_patch(_rim())
    axes.axis("off")
    return axes


def phase_diagram(
    axes: Axes, x: Float[np.ndarray, " columns"], y: Float[np.ndarray, " rows"], phases: Sequence[Sequence[str]], order: Sequence[str] = ()
) -> Axes:
    """Names of phases on a grid, ``phases[column][row]``, as coloured cells with a legend above.

    order: of the names in the legend; by default that of the alphabet. x, y: middles of the cells, evenly spaced.
    Raises FerrojaxError for phases of another shape, a name outside ``order``, or more names than colours.
    """
    names = np.asarray(phases, str)
    known = list(order) or sorted(set(names.ravel().tolist()))
    if names.shape != (len(x), len(y)):
        raise FerrojaxError(f"phase diagram: phases must be {(len(x), len(y))} names, columns first; got {names.shape}.")
    strange = set(names.ravel().tolist()) - set(known)
    if strange or len(known) > len(PALETTE):
        raise FerrojaxError(f"phase diagram: at most {len(PALETTE)} phases, all named in order; got {known} and {sorted(strange)}.")
    numbers = np.vectorize(known.index)(names)
    axes.imshow(
        numbers.T,
        cmap=ListedColormap(PALETTE[: len(known)]),
        vmin=-0.5,
        vmax=len(known) - 0.5,
        origin="lower",
        extent=(*_edges(x, "x"), *_edges(y, "y")),
        aspect="auto",
        interpolation="nearest",
        alpha=0.75,
    )
    keys = [Patch(color=PALETTE[k], alpha=0.75, label=name) for k, name in enumerate(known)]
    axes.legend(handles=keys, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, handlelength=1.2)
    return axes


def _edges(middles: np.ndarray, name: str) -> tuple[float, float]:
    """Outer edges of evenly spaced cells."""
    steps = np.diff(middles)
    if len(steps) == 0 or not np.allclose(steps, steps[0], rtol=1e-3, atol=0) or steps[0] <= 0:
        raise FerrojaxError(f"map: {name} must be at least two evenly spaced, rising values; got {np.asarray(middles).tolist()[:6]} ...")
    return float(middles[0] - steps[0] / 2), float(middles[-1] + steps[0] / 2)


def _rim() -> Any:
    from matplotlib.patches import Circle

    return Circle((0, 0), 1.0, fill=False, color="0.4", linewidth=0.5)
