"""What a run at one temperature recorded, and its averages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ferrojax.analysis import mean
from ferrojax.files import write_csv
from ferrojax.pto_test import crystal

PLACES = ("a_A", "b_A", "c_A", "Px", "Py", "Pz", "dipole_Px", "dipole_Py", "dipole_Pz", "lindemann")
COLUMNS = ("step", "time_ps", "temperature_K", "energy_eV", *PLACES)
EDGES, POLARIZATION = ([COLUMNS.index(name) for name in names] for names in (PLACES[:3], PLACES[3:6]))
TEN = 10  # records, the last ones, that decide whether a run goes on
BLOCKS = 10  # of a run: where the long axis turns within it, the means of the edges say cubic and those of blocks do not
BURST, CRUSHED = 2.0, 0.5  # of the first volume


@dataclass(frozen=True)
class Frames:
    """Raw records, one a row: step; temperature, K; energy, eV; cells, Å; positions, Å, unwrapped; dipole, e Å, or None."""

    step: np.ndarray
    temperature: np.ndarray
    energy: np.ndarray
    cells: np.ndarray
    positions: np.ndarray
    dipole: np.ndarray | None = None


@dataclass(frozen=True)
class Scale:
    """What turns frames into a series: repeat; time step, fs; Born tensors, e; reduced dipole of the ideal crystal, None without one."""

    repeat: tuple[int, int, int]
    time_step: float
    tensors: Float[np.ndarray, "5 3"]
    reference: Float[np.ndarray, " 3"] | None = None

    def table(self, frames: Frames) -> Float[np.ndarray, "frames 14"]:
        """A row a record, as COLUMNS; polarizations in C/m², NaN where the model has no dipole."""
        moved = crystal.displacements(frames.positions, frames.cells, self.repeat)
        own = np.full((len(moved), 3), np.nan)
        if frames.dipole is not None and self.reference is not None:
            own = crystal.from_dipole(frames.dipole, frames.cells, self.reference)
        time = frames.step * self.time_step / 1e3
        first = np.stack([frames.step, time, frames.temperature, frames.energy], 1)
        charges = crystal.polarization(moved, frames.cells, self.tensors)
        rest = crystal.lindemann(moved, frames.cells)[:, None]
        return np.hstack([first, crystal.edges(frames.cells, self.repeat), charges, own, rest])


def trouble(rows: Float[np.ndarray, "records 14"], limit: float) -> str | None:
    """Why a run should end here, as a sentence; None while the crystal is whole.

    Melted: the mean Lindemann ratio of the last ten records is above ``limit``. Burst or collapsed: the volume has doubled or halved.
    """
    if not len(rows):
        return None
    time, last = rows[-1, 1], rows[-TEN:]
    shown = np.delete(last, [column for column, name in enumerate(COLUMNS) if name.startswith("dipole")], axis=1)
    if not np.isfinite(shown).all():
        return f"blew up by {time:.2f} ps: energy, cell or positions are not finite."
    volume = np.prod(rows[-1, 4:7]) / np.prod(rows[0, 4:7])
    if not CRUSHED < volume < BURST:
        return f"{'burst' if volume > 1 else 'collapsed'} by {time:.2f} ps: the volume is {volume:.2f} times that of the start."
    ratio = last[:, -1].mean()
    return f"melted by {time:.2f} ps: the Lindemann ratio is {ratio:.2f}, above {limit:g}." if ratio > limit else None


def averages(rows: Float[np.ndarray, "records 14"], discard: float) -> dict[str, Any]:
    """Means after ``discard`` of the records, with standard errors of correlated series; c is the longest mean edge.

    ``P`` is the mean length of the polarization, ``c/a_blocks`` the mean of c/a over ten blocks, each with its own long edge: both keep
    what cancels in the means of a crystal whose axis turns. Fluctuations alone put ``c/a_blocks`` above 1.

    Raises FerrojaxError for fewer than ten records.
    """
    kept = rows[int(discard * len(rows)) :]
    found: dict[str, Any] = {}
    for name in COLUMNS[2:]:
        column = kept[:, COLUMNS.index(name)]
        if np.isfinite(column).all():
            value = mean(column)
            found[name], found[f"{name}_error"] = value.value, value.error
    size = mean(np.linalg.norm(kept[:, POLARIZATION], axis=1))
    found |= {"P": size.value, "P_error": size.error}
    blocks = [shape(list(block.mean(0)))["c/a"] for block in np.array_split(kept[:, EDGES], BLOCKS)]
    return found | shape([found["a_A"], found["b_A"], found["c_A"]]) | {"c/a_blocks": float(np.mean(blocks))}


def shape(lengths: list[float]) -> dict[str, float]:
    """c/a of three mean edges: the longest over the mean of the others."""
    short, middle, long = sorted(lengths)
    return {"a": (short + middle) / 2, "c": long, "c/a": 2 * long / (short + middle)}


def write_table(path: Path, rows: Float[np.ndarray, "records 14"]) -> None:
    """The records as CSV."""
    write_csv(path, ([int(row[0]), *(f"{x:.8g}" for x in row[1:])] for row in rows), COLUMNS)
