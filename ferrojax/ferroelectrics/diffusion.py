"""Diffusion from mean square displacements averaged over all time origins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
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


def paths(frames: Iterable[Snapshot], chosen: Bool[np.ndarray, " atoms"] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Times (fs) and positions [frame, atom, 3] (Å) of the chosen atoms, continued from frame to frame by minimum image.

    Images are taken in fractional coordinates, so a changing cell does no harm; no atom may move by half a cell between frames. Only the
    chosen atoms are kept in memory.

    Raises FerrojaxError for frames without time.
    """
    times: list[float] = []
    rows: list[np.ndarray] = []
    before = whole = np.zeros(0)
    for k, frame in enumerate(frames):
        if frame.time is None:
            raise FerrojaxError(f"diffusion: frame {k} has no time; write it with the trajectory.")
        inside = frame.positions if chosen is None else frame.positions[chosen]
        reduced = inside @ np.linalg.inv(frame.cell)
        whole = reduced if not rows else whole + (reduced - before) - np.rint(reduced - before)
        before = reduced
        times.append(frame.time)
        rows.append(whole @ frame.cell)
    return np.array(times), np.array(rows)


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
    length = len(time) // max(blocks, 1)
    if blocks < 2 or length < 10:
        raise FerrojaxError(f"diffusion: {len(time)} frames make no two or more blocks ({blocks}) of at least ten; give more frames.")
    spacing = np.diff(time)
    if np.abs(spacing - spacing.mean()).max() > 1e-6 * abs(spacing.mean()) or not spacing.mean() > 0:
        raise FerrojaxError("diffusion: the frames are not evenly spaced in time; join parts of equal spacing.")
    rows = np.array([mean_square_displacement(positions[k * length : (k + 1) * length]) for k in range(blocks)])
    lag = np.arange(length) * float(spacing.mean())
    inside = slice(max(1, int(window[0] * length)), max(3, int(window[1] * length) + 1))

    def coefficient(msd: np.ndarray) -> float:
        return float(np.polyfit(lag[inside], msd[inside], 1)[0] / 6 * CM2_PER_S)

    left = np.array([coefficient(np.delete(rows, k, 0).mean(0)) for k in range(blocks)])
    error = np.sqrt((blocks - 1) / blocks * np.sum((left - left.mean()) ** 2))
    return Diffusion(coefficient(rows.mean(0)), float(error), lag, rows.mean(0))
