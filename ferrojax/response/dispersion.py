"""Phonon bands along symmetry lines and densities of states: numbers, files, a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import spglib
import yaml
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.files import write_csv, write_text
from ferrojax.plotting import bands as draw_bands
from ferrojax.plotting import figure, journal, save
from ferrojax.response.phonons import Phonons

SYMPREC = 1e-3  # Å

Path3 = Sequence[tuple[str, Sequence[float]]]


@dataclass(frozen=True)
class Bands:
    """Frequencies along the segments of a path.

    waves: reduced coordinates, (segments, points, 3). distance: along the path, 1/Å without 2π as in phonopy. frequencies: THz, negative
    for imaginary ones. labels: of both ends of each segment.
    """

    waves: Float[np.ndarray, "segments points 3"]
    distance: Float[np.ndarray, "segments points"]
    frequencies: Float[np.ndarray, "segments points modes"]
    labels: list[tuple[str, str]]

    @property
    def lowest(self) -> tuple[float, np.ndarray]:
        """The lowest frequency, THz, and its wave vector."""
        where = np.unravel_index(np.argmin(self.frequencies), self.frequencies.shape)
        return float(self.frequencies[where]), self.waves[where[:2]]

    def save(self, path: str | Path) -> None:
        """As phonopy's band.yaml for that ending, else CSV: segment, label, distance, q, frequencies."""
        path = Path(path)
        if path.suffix in (".yaml", ".yml"):
            write_text(path, _band_yaml(self))
        else:
            _save_table(path, self)

    def plot(self, path: str | Path, dos: Dos | None = None, title: str = "") -> None:
        """PNG or PDF of the bands and, beside them, the density of states."""
        with journal():
            drawn, panels = figure(1, 2 if dos else 1, height=75, sharey=True, squeeze=False, width_ratios=(3, 1) if dos else None)
            draw_bands(panels[0, 0], self.distance, self.frequencies, *_ticks(self)).set_title(title)
            if dos:
                panels[0, 1].fill_betweenx(dos.frequency, dos.density, alpha=0.4, linewidth=0)
                panels[0, 1].set(xlabel="DOS (1/THz)", xlim=(0, None))
            save(drawn, path)


@dataclass(frozen=True)
class Dos:
    """Density of states: frequency, THz, and states per THz and cell; its integral is the number of modes."""

    frequency: Float[np.ndarray, " points"]
    density: Float[np.ndarray, " points"]

    def save(self, path: str | Path) -> None:
        """As two columns, phonopy's total_dos.dat."""
        rows = (f"{f:20.10f}{g:20.10f}\n" for f, g in zip(self.frequency, self.density))
        write_text(Path(path), "# frequency (THz), density of states (1/THz)\n" + "".join(rows))


def bands(phonons: Phonons, path: Sequence[Path3] | None = None, points: int = 51) -> Bands:
    """Phonon bands with LO-TO splitting where a segment ends at Γ.

    path: lines, each a sequence of (label, reduced coordinates), such as [[("Γ", (0, 0, 0)), ("X", (0.5, 0, 0))]]; by default that of
    seekpath (Hinuma et al., Comput. Mater. Sci. 128, 140 (2017)) in the structure's own cell. points: on each segment.
    """
    lines = path if path is not None else symmetry_lines(phonons)
    pairs = [pair for line in lines for pair in zip(line[:-1], line[1:])]
    reciprocal = np.linalg.inv(np.asarray(phonons.state.cell)).T
    waves, distances, directions, reached = [], [], [], 0.0
    for (_, first), (_, last) in pairs:
        start, end = np.asarray(first, float), np.asarray(last, float)
        waves.append(start + np.linspace(0, 1, points)[:, None] * (end - start))
        steps = np.linalg.norm((waves[-1] - start) @ reciprocal, axis=1)
        distances.append(reached + steps)
        reached += steps[-1]
        directions.append(np.tile((end - start) @ reciprocal, (points, 1)))
    shape = (len(pairs), points, -1)
    frequencies = phonons.frequencies(np.concatenate(waves), np.concatenate(directions)).reshape(shape)
    return Bands(np.stack(waves), np.stack(distances), frequencies, [(a, b) for (a, _), (b, _) in pairs])


def symmetry_lines(phonons: Phonons) -> list[list[tuple[str, list[float]]]]:
    """Lines of seekpath in the reciprocal lattice of the structure's own cell. Raises FerrojaxError if seekpath is not installed."""
    try:
        import seekpath
    except ImportError:
        raise FerrojaxError("the path of bands comes from seekpath: install ferrojax[phonons], or give the path yourself.") from None
    found = seekpath.get_path_orig_cell(_crystal(phonons), with_time_reversal=True, symprec=SYMPREC)
    where = {name: list(map(float, q)) for name, q in found["point_coords"].items()}
    lines: list[list[tuple[str, list[float]]]] = []
    for start, end in found["path"]:
        if not lines or lines[-1][-1][0] != _pretty(start):
            lines.append([(_pretty(start), where[start])])
        lines[-1].append((_pretty(end), where[end]))
    return lines


def density_of_states(phonons: Phonons, mesh: tuple[int, int, int] = (12, 12, 12), width: float = 0.15, points: int = 600) -> Dos:
    """Sum over a Γ-centred mesh of Gaussians of standard deviation ``width`` (THz); only wave vectors that symmetry does not relate."""
    grid, addresses = spglib.get_ir_reciprocal_mesh(mesh, _crystal(phonons), is_shift=(0, 0, 0), symprec=SYMPREC)
    irreducible, weights = np.unique(grid, return_counts=True)
    frequencies = phonons.frequencies(addresses[irreducible] / np.asarray(mesh, float))
    axis = np.linspace(frequencies.min() - 4 * width, frequencies.max() + 4 * width, points)
    peaks = np.exp(-(((axis[:, None, None] - frequencies) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
    return Dos(axis, np.einsum("fqm,q->f", peaks, weights / weights.sum()))


def _crystal(phonons: Phonons) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    atoms = phonons.state.to_ase()
    return atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers


def _pretty(label: str) -> str:
    return "Γ" if label == "GAMMA" else label


def _ticks(bands: Bands) -> tuple[list[float], list[str]]:
    """Places of the ends of segments; where a line breaks off, both names."""
    places, names = [float(bands.distance[0, 0])], [bands.labels[0][0]]
    for index, (_, end) in enumerate(bands.labels):
        following = bands.labels[index + 1][0] if index + 1 < len(bands.labels) else end
        places.append(float(bands.distance[index, -1]))
        names.append(end if following == end else f"{end}|{following}")
    return places, names


def _band_yaml(bands: Bands) -> str:
    segments, points, modes = bands.frequencies.shape
    phonon = [
        {"q-position": q.tolist(), "distance": float(d), "band": [{"frequency": float(f)} for f in row]}
        for qs, ds, rows in zip(bands.waves, bands.distance, bands.frequencies)
        for q, d, row in zip(qs, ds, rows)
    ]
    content = {"nqpoint": segments * points, "npath": segments, "segment_nqpoint": [points] * segments, "natom": modes // 3}
    content |= {"labels": [list(pair) for pair in bands.labels], "phonon": phonon}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)


def _save_table(path: Path, bands: Bands) -> None:
    names = ["from", "to", "distance_per_A", "qx", "qy", "qz", *(f"mode{k + 1}_THz" for k in range(bands.frequencies.shape[-1]))]
    rows = (
        [start, end, *(f"{x:.6f}" for x in (d, *q, *row))]
        for (start, end), qs, ds, modes in zip(bands.labels, bands.waves, bands.distance, bands.frequencies)
        for q, d, row in zip(qs, ds, modes)
    )
    write_csv(path, rows, names)
