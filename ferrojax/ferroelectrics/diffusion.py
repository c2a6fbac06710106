"""Diffusion from mean square displacements averaged over all time origins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from ase.data import atomic_masses
from jaxtyping import Bool, Float

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.frames import Snapshot

CHUNK = 2_000_000  # numbers transformed at once
CM2_PER_S = 0.1  # in one Å²/fs


class Diffusion(NamedTuple):
    """D and its standard error, cm²/s; lag: fs; msd: Å², at each lag, of the blocks together."""

    coefficient: float
    error: float
    lag: np.ndarray
    msd: np.ndarray


def paths(
    frames: Iterable[Snapshot],
    chosen: Bool[np.ndarray, " atoms"] | None = None,
    drift: bool = True,
    host: Bool[np.ndarray, " atoms"] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Times (fs) and positions [frame, atom, 3] (Å) of the chosen atoms, continued from frame to frame by minimum image.

    drift: the displacement of the centre of mass since the first frame is taken off, of all atoms or of those of the ``host`` lattice:
    friction and noise of a thermostat let it wander, which is no diffusion. Images are taken in fractional coordinates, so a changing cell
    does no harm; no atom may move by half a cell between frames. All frames of the chosen atoms are in memory; ``stream_diffusion`` needs
    less.

    Raises FerrojaxError for frames without time and a host without atoms.
    """
    times: list[float | None] = []
    rows: list[np.ndarray] = []
    start = np.zeros(3)
    for frame, whole in _unwrapped(frames):
        times.append(frame.time)
        if drift:
            centre = _centre(frame, whole, host)
            start = start if rows else centre
            whole = whole - (centre - start)
        rows.append((whole if chosen is None else whole[chosen]) @ frame.cell)
    return np.array(times, float), np.array(rows)


def _unwrapped(frames: Iterable[Snapshot], atoms: np.ndarray | slice = slice(None)) -> Iterator[tuple[Snapshot, np.ndarray]]:
    """Each frame, and fractional coordinates of the atoms continued from the one before. Raises FerrojaxError for frames without time."""
    before = whole = np.zeros(0)
    for k, frame in enumerate(frames):
        if frame.time is None:
            raise FerrojaxError(f"diffusion: frame {k} has no time; give the time step with --time-step, or time_step of frames.")
        reduced = frame.positions[atoms] @ np.linalg.inv(frame.cell)
        whole = whole + (reduced - before) - np.rint(reduced - before) if k else reduced
        before = reduced
        yield frame, whole


def _centre(frame: Snapshot, whole: np.ndarray, host: np.ndarray | None) -> np.ndarray:
    """The centre of mass in fractional coordinates."""
    masses = atomic_masses[frame.numbers] if host is None else np.where(host, atomic_masses[frame.numbers], 0.0)
    if not masses.sum() > 0:
        raise FerrojaxError("diffusion: the host has no atoms; choose those of the lattice that the others move through.")
    return masses @ whole / masses.sum()


def mean_square_displacement(positions: Float[np.ndarray, "frames atoms 3"]) -> Float[np.ndarray, " frames"]:
    """⟨|r(t + s) - r(t)|²⟩ over all origins t and atoms, Å², at each lag s in frames, by Fourier transform in O(n log n).

        n_s MSD(s) = Σ_t [r(t)² + r(t+s)²] - 2 Σ_t r(t)·r(t+s)

    Kneller, Keiner, Kneller and Schiller, Comput. Phys. Commun. 91, 191 (1995).
    """
    n, atoms = positions.shape[:2]
    total, step = np.zeros(n), max(1, CHUNK // (6 * n))
    for first in range(0, atoms, step):
        r = positions[:, first : first + step] - positions[:, first : first + step].mean(0)  # large offsets would cost digits
        power = (np.abs(np.fft.rfft(r, 2 * n, axis=0)) ** 2).sum((1, 2))
        square = (r**2).sum((1, 2))
        ends = np.cumsum(square) + np.cumsum(square[::-1])  # the first and the last k squares
        total += ends[::-1] - 2 * np.fft.irfft(power, 2 * n)[:n]
    return total / (atoms * np.arange(n, 0, -1))


def diffusion(
    time: Float[np.ndarray, " frames"],
    positions: Float[np.ndarray, "frames atoms 3"],
    blocks: int = 8,
    window: tuple[float, float] = (0.1, 0.5),
) -> Diffusion:
    """D = slope of MSD(t)/6 over a window of lags (shares of a block), its error by leaving out one block of time after another.

    Blocks must be longer than the memory of the motion. Positions unwrapped, of one species, about a centre at rest: see ``paths``. Frenkel
    and Smit, Understanding Molecular Simulation, section 4.4.1; Quenouille, Biometrika 43, 353 (1956), for the jackknife.

    Raises FerrojaxError for times that are not evenly spaced and blocks of fewer than ten frames.
    """
    length, spacing = _blocks(time, blocks)
    rows = np.array([mean_square_displacement(positions[k * length : (k + 1) * length]) for k in range(blocks)])
    return _jackknife(rows, spacing, window)


def stream_diffusion(
    source: Callable[[], Iterable[Snapshot]],
    chosen: Bool[np.ndarray, " atoms"],
    blocks: int = 8,
    window: tuple[float, float] = (0.1, 0.5),
    drift: bool = True,
    host: Bool[np.ndarray, " atoms"] | None = None,
    memory: float = 1e9,
) -> Diffusion:
    """``diffusion`` of ``paths`` in bounded memory, from a trajectory that is read again for each part of the atoms.

    source: starts the frames anew, such as ``lambda: frames("trajectory.h5")``. memory: bytes of positions held at a time, of a block of
    time for as many atoms as fit; so the file is read 1 + 24 frames atoms/(blocks memory) times.

    Raises FerrojaxError as both, and if no atoms are chosen.
    """
    time, shifts = _clock(source(), drift, host)
    length, spacing = _blocks(time, blocks)
    atoms, rows = np.flatnonzero(chosen), np.zeros((blocks, length))
    if not len(atoms):
        raise FerrojaxError("diffusion: no atoms are chosen; name an element of the trajectory.")
    size = max(1, int(memory / (24 * length)))
    for first in range(0, len(atoms), size):
        part = atoms[first : first + size]
        held = np.empty((length, len(part), 3))
        for k, (frame, whole) in enumerate(_unwrapped(source(), part)):
            held[k % length] = (whole - shifts[k]) @ frame.cell
            if (k + 1) % length == 0 and k < blocks * length:
                rows[k // length] += len(part) / len(atoms) * mean_square_displacement(held)
    return _jackknife(rows, spacing, window)


def _clock(frames: Iterable[Snapshot], drift: bool, host: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Times and how far the centre has moved, in fractions of the cell."""
    times, centres = [], []
    for frame, whole in _unwrapped(frames):
        times.append(frame.time)
        centres.append(_centre(frame, whole, host) if drift else np.zeros(3))
    return np.array(times), np.array(centres) - centres[0]


def _blocks(time: np.ndarray, blocks: int) -> tuple[int, float]:
    """Frames of a block and their spacing, fs."""
    length = len(time) // max(blocks, 1)
    if blocks < 2 or length < 10:
        raise FerrojaxError(f"diffusion: {len(time)} frames make no two or more blocks ({blocks}) of at least ten; give more frames.")
    spacing = np.diff(time)
    if np.abs(spacing - spacing.mean()).max() > 1e-6 * abs(spacing.mean()) or not spacing.mean() > 0:
        raise FerrojaxError("diffusion: the frames are not evenly spaced in time; join parts of equal spacing.")
    return length, float(spacing.mean())


def _jackknife(rows: np.ndarray, spacing: float, window: tuple[float, float]) -> Diffusion:
    """Of the mean square displacements of each block."""
    blocks, length = rows.shape
    lag = np.arange(length) * spacing
    inside = slice(max(1, int(window[0] * length)), max(3, int(window[1] * length) + 1))

    def coefficient(msd: np.ndarray) -> float:
        return float(np.polyfit(lag[inside], msd[inside], 1)[0] / 6 * CM2_PER_S)

    left = np.array([coefficient(np.delete(rows, k, 0).mean(0)) for k in range(blocks)])
    error = np.sqrt((blocks - 1) / blocks * np.sum((left - left.mean()) ** 2))
    return Diffusion(coefficient(rows.mean(0)), float(error), lag, rows.mean(0))
