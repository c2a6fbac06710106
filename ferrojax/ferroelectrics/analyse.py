"""What `ferrojax analyse` does, apart from reading its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from rich.table import Table
from tqdm import tqdm

from ferrojax import effective
from ferrojax.analysis.series import FEWEST, mean
from ferrojax.data.structure import read_structure
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.cells import find_cells
from ferrojax.ferroelectrics.cores import CoreTracks
from ferrojax.ferroelectrics.diffusion import stream_diffusion
from ferrojax.ferroelectrics.frames import Snapshot, frame_count, frames
from ferrojax.ferroelectrics.learned import model_born_charges
from ferrojax.ferroelectrics.local import born_tensors, neutral
from ferrojax.ferroelectrics.map_files import FORMATS
from ferrojax.ferroelectrics.maps import Maps, born_moments, map_atoms, map_lattice, model_moments, stored_moments
from ferrojax.ferroelectrics.series import AXES, Series
from ferrojax.files import replacing, write_csv
from ferrojax.potential import load
from ferrojax.signals import caught_signals
from ferrojax.terminal import terminal

Mapper = Callable[[Snapshot], Maps]
CORE_COLUMNS = ("step", "time_fs", "layer", "charge", "core", "x_A", "y_A", "z_A")  # a header where no frame has cores


@dataclass(frozen=True)
class Source:
    """A trajectory as ``frames`` reads it."""

    path: Path
    every: int = 1
    elements: Sequence[str] = ()
    time_step: float | None = None

    def __call__(self) -> Iterator[Snapshot]:
        """The frames, from the first."""
        return frames(self.path, self.every, self.elements, self.time_step)


def run_analyse(source: Source, mapper: Mapper, series: Series, maps: str, folder: Path) -> None:
    """Maps and series of the frames into a folder, and a table of their means on the terminal.

    maps: a format of FORMATS, or "none".

    Raises FerrojaxError for a frame that cannot be read or mapped, such as the last one of a run that was killed, and ends the process
    with status 128 + the signal at SIGTERM or SIGINT; of the frames before everything is written first.
    """
    snapshots, broken = source(), None
    with ExitStack() as stack:
        caught = stack.enter_context(caught_signals())
        writer = None
        if maps != "none":
            name, kind = FORMATS[maps]
            writer = stack.enter_context(closing(kind(stack.enter_context(replacing(folder / name)))))
        try:
            for frame in tqdm(snapshots, "frames", frame_count(source.path, source.every), unit="", disable=None):
                here = mapper(frame)
                series.append(frame, here)
                if writer is not None:
                    writer.append(frame, here, series.threshold)
                if caught:
                    break
        except FerrojaxError as error:
            if not series.rows:
                raise
            broken = str(error)
    write_csv(folder / "series.csv", series.rows)
    if series.wall_rows:
        write_csv(folder / "walls.csv", series.wall_rows)
    console = terminal()
    console.print(summary(series.rows, f"{source.path}: {len(series.rows)} frames"))
    if series.unfitted:
        share = f"{len(series.unfitted)} of {len(series.rows)} frames"
        console.print(f"walls could not be fitted in {share}, first at {series.unfitted[0]}")
    if series.gridless and series.layers is not None:
        console.print("no Q, vortices, helicity and toroidal moment: the supercell does not repeat along its pseudo-cubic axes")
    if series.fits:
        console.print(velocities(series))
    if (tracks := series.core_tracks()) is not None:
        write_csv(folder / "cores.csv", series.core_rows(tracks), CORE_COLUMNS)
        console.print(f"{series.cores}: {lives(tracks, len(series.found))}; cores.csv in {folder}")
    console.print(f"series and maps in {folder}")
    if broken is not None:
        raise FerrojaxError(f"{broken} The {len(series.rows)} frames before are in {folder}.")
    if caught:
        console.print(f"stopped by a signal after {len(series.rows)} frames; the command starts anew if given again")
        raise SystemExit(128 + caught[0])


def run_diffusion(source: Source, species: Sequence[str], folder: Path) -> None:
    """Diffusion coefficients of the elements on the terminal, their mean square displacements in msd.csv.

    Raises FerrojaxError for an element that the trajectory lacks, and as ``stream_diffusion``.
    """
    symbols = np.array(chemical_symbols)[next(source()).numbers]
    missing = [name for name in species if name not in symbols]
    if missing:
        raise FerrojaxError(f"--diffusion: {source.path} has no {', '.join(missing)}; it has {', '.join(sorted(set(symbols.tolist())))}.")
    found = {name: stream_diffusion(source, symbols == name) for name in species}
    lags = next(iter(found.values())).lag.tolist()
    write_csv(folder / "msd.csv", zip(lags, *(one.msd.tolist() for one in found.values())), ("lag_fs", *(f"msd_{x}_A2" for x in found)))
    for name, one in found.items():
        terminal().print(f"diffusion of {name}: {one.coefficient:.3g} ± {one.error:.1g} cm²/s; msd.csv in {folder}")


def velocities(series: Series) -> str:
    """A line on how fast the walls move, or why that cannot be said."""
    try:
        return "walls move at " + ", ".join(f"{v} m/s" for v in series.wall_velocities())
    except FerrojaxError as error:
        return f"no wall velocities: {error}"


def lives(tracks: CoreTracks, frames: int) -> str:
    """How many cores there were, how many of them in all frames, and how many formed and vanished on the way."""
    first, last = (np.unique(core, return_index=True)[1] for core in (tracks.core, tracks.core[::-1]))
    formed, vanished = tracks.frame[first] > 0, tracks.frame[::-1][last] < frames - 1
    lasting = int((~formed & ~vanished).sum())
    return f"{len(formed)} cores, {lasting} in all frames, {int(formed.sum())} formed and {int(vanished.sum())} vanished on the way"


def lattice_mapper(parameters: str) -> Mapper:
    """The map of a frame of a lattice of the effective Hamiltonian. Raises FerrojaxError for an unknown set of parameters."""
    heff = effective.load_parameters(parameters)
    return lambda frame: map_lattice(frame, heff)


def atom_mapper(
    reference: Path | None,
    sites: tuple[Sequence[str], Sequence[str], Sequence[str]],
    charges: str,
    born: Mapping[str, float | tuple[float, float]],
    model: Path | None,
    centre: str,
) -> Mapper:
    """The map of a frame of atoms, with cells found in the reference.

    charges: "born", those given by element, or the model's at the reference if none are given; "model", the model's own dipoles in every
    frame; "stored", the charges in the trajectory.
    """
    if reference is None:
        raise FerrojaxError("analyse: name a reference structure with --reference, or a parameter set with --effective.")
    structure = read_structure(reference)
    cells = find_cells(structure, *sites)
    if charges == "stored":
        moments = stored_moments()
    elif charges == "model" or not born:
        if model is None:
            raise FerrojaxError("analyse: name the Born charges with --born, such as --born Pb=3.90 Ti=7.06 O=-5.83,-2.56, or a --model.")
        network, params, _ = load(model)
        own = charges == "model"
        tensors = None if own else neutral(model_born_charges(network, params, structure), len(cells))
        moments = model_moments(network, params) if tensors is None else born_moments(tensors)
    else:
        moments = born_moments(born_tensors(cells, structure, born))
    return lambda frame: map_atoms(cells, frame, moments, "A" if centre == "A" else "B")


def summary(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Mean, its error where there are enough frames, first and last value of each column; words by how often they come."""
    table = Table("", "mean", "first", "last", title=title, title_justify="left")
    for name in dict.fromkeys(name for row in rows for name in row):
        if name in ("step", "time_fs"):
            continue
        values = [row[name] for row in rows if name in row]
        table.add_row(name, _average(values), *(f"{v:.4g}" if not isinstance(v, str) else v for v in (values[0], values[-1])))
    return table


def _average(values: Sequence[Any]) -> str:
    if isinstance(values[0], str):
        return ", ".join(f"{word} {values.count(word)}" for word in dict.fromkeys(values))
    return str(mean(values)) if len(values) >= FEWEST else f"{np.mean(values):.4g}"


def axis_number(name: str) -> int:
    """0, 1 or 2 for x, y or z."""
    return AXES.index(name)
