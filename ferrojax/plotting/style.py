"""How figures look: one column of a journal, 8 pt, colours that colour-blind readers tell apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ferrojax.errors import FerrojaxError
from ferrojax.files import write_bytes

INCH = 25.4  # mm
COLUMN, PAGE = 85.0, 175.0  # mm
# Okabe and Ito, jfly.uni-koeln.de/color (2008).
BLUE, RED, GREEN, ORANGE, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442", "#8C8C8C",
)  # fmt: skip
PALETTE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, YELLOW)
FORMATS = ("png", "pdf", "svg")
STYLE: dict[str, Any] = {
    "figure.dpi": 200,  # of what a notebook shows and stores
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.fonttype": "none",
}


@contextmanager
def journal() -> Iterator[None]:
    """Within it matplotlib draws in the style of this package: make and fill a figure inside."""
    from cycler import cycler

    with rc_context(STYLE | {"axes.prop_cycle": cycler(color=PALETTE)}):
        yield


def figure(rows: int = 1, columns: int = 1, width: float = COLUMN, height: float | None = None, **subplots: Any) -> tuple[Figure, Any]:
    """A figure and its Axes, as ``Figure.subplots`` gives them. width and height in mm; by default 3:4 for each of the panels."""
    tall = height or 0.75 * width * rows / columns
    made = Figure(figsize=(width / INCH, tall / INCH), layout="compressed")
    FigureCanvasAgg(made)
    return made, made.subplots(rows, columns, **subplots)


def save(made: Figure, path: str | Path, dpi: int = 300) -> None:
    """A figure as PNG, PDF or SVG, by the ending; whole or not at all. Raises FerrojaxError for another ending, or a full disk."""
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise FerrojaxError(f"{path}: figures end in {', '.join(FORMATS)}; choose one.")
    stream = io.BytesIO()
    with journal():  # ticks are only made now
        made.savefig(stream, format=kind, dpi=dpi)
    write_bytes(path, stream.getvalue())
