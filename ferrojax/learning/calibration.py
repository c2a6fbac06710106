"""Does an uncertainty tell the error? Scale, rank correlation and coverage on frames whose labels were not learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2, spearmanr

from ferrojax.data import Frame
from ferrojax.errors import FerrojaxError
from ferrojax.learning.deviation import Deviation

LEVELS = (0.68, 0.95)


@dataclass(frozen=True)
class Calibration:
    """How an uncertainty σ compares with the errors e it should describe.

    scale: by which σ is multiplied. spearman: rank correlation of σ with |e|. coverage: share of the errors within the region that should
    hold 68 and 95 % of them, the scale applied. count: errors.
    """

    scale: float
    spearman: float
    coverage: tuple[float, float]
    count: int

    def __str__(self) -> str:
        shares = " and ".join(f"{100 * found:.0f} % (of {100 * level:.0f} %)" for found, level in zip(self.coverage, LEVELS))
        return f"scale {self.scale:.3g}, Spearman {self.spearman:.3f}, coverage {shares}, {self.count} errors"


def calibrate(sigma: Float[np.ndarray, " n"], errors: Float[np.ndarray, "n components"], scale: float | None = None) -> Calibration:
    """Calibration of σ_i = √<|e_i|²> predicted for vectors of d components (one for an energy, three for the force on an atom).

        z_i = |e_i|/σ_i;   scale s: median(z²) = s² m_d/d;   coverage at p: share of the z² d/s² below the quantile p of χ²_d

    m_d is the median of χ²_d. The median leaves the scale untouched by a few wild errors, which then show in the coverage.

    Args:
        scale: of an earlier calibration, to be tested here; by default fitted here.

    Raises FerrojaxError for fewer than three errors, numbers that are not finite, and σ that are not above zero.
    """
    size = np.linalg.norm(errors, axis=1)
    if len(sigma) < 3 or not (np.isfinite(sigma).all() and np.isfinite(size).all()):
        raise FerrojaxError(f"calibrate: {len(sigma)} errors; give at least three finite ones, each with its uncertainty.")
    if not (sigma > 0).all():
        raise FerrojaxError("calibrate: an uncertainty is not above zero; leave atoms out whose forces vanish by symmetry.")
    freedom = errors.shape[1]
    squares = freedom * (size / sigma) ** 2
    if scale is None:
        scale = float(np.sqrt(np.median(squares) / chi2.median(freedom)))
    if not scale > 0:
        raise FerrojaxError("calibrate: more than half of the errors are zero; give labels of another source than the model.")
    inside = [float(np.mean(squares <= scale**2 * chi2.ppf(level, freedom))) for level in LEVELS]
    return Calibration(scale, float(spearmanr(sigma, size).statistic), (inside[0], inside[1]), len(sigma))


def calibrate_forces(
    deviations: Sequence[Deviation],
    frames: Sequence[Frame],
    forces: Sequence[Float[np.ndarray, "_ 3"]],
    scale: float | None = None,
) -> dict[str, Calibration]:
    """Calibration of the force on each atom, and of the largest of each frame.

    Args:
        deviations: of ``evaluate``. frames: labelled, not learned from. forces: predicted, of each frame. scale: as for ``calibrate``.

    Returns "atom" and "frame"; the latter ranks max_i ε_i against max_i |ΔF_i|, and its coverage is that of a maximum, not to be trusted.
    Raises FerrojaxError as ``calibrate``, and for a frame without forces.
    """
    for frame in frames:
        if frame.forces is None:
            raise FerrojaxError(f"{frame.source}: calibration needs forces; leave the frame out or label it.")
    errors = [np.asarray(frame.forces) - force for frame, force in zip(frames, forces)]
    sigma = np.concatenate([deviation.per_atom for deviation in deviations])
    largest = np.array([np.linalg.norm(error, axis=1).max() for error in errors])
    highest = np.array([deviation.max_force for deviation in deviations], float)
    every = np.concatenate(errors)
    # Atoms at rest by symmetry have neither force nor error, but for rounding.
    moved = sigma > 1e-6 * sigma.max(initial=0.0)
    return {"atom": calibrate(sigma[moved], every[moved], scale), "frame": calibrate(highest, largest[:, None], scale)}


def cross_coverage(
    deviations: Sequence[Deviation], frames: Sequence[Frame], forces: Sequence[Float[np.ndarray, "_ 3"]]
) -> tuple[float, float]:
    """Coverage of the force on an atom, out of sample: each half of the frames, every other one, with the scale found on the other half.

    Raises FerrojaxError as ``calibrate_forces``.
    """
    halves = [(deviations[k::2], frames[k::2], forces[k::2]) for k in (0, 1)]
    scales = [calibrate_forces(*half)["atom"].scale for half in halves]
    tested = [calibrate_forces(*half, scale=scale)["atom"] for half, scale in zip(halves, reversed(scales))]
    mean = np.average([one.coverage for one in tested], axis=0, weights=[one.count for one in tested])
    return float(mean[0]), float(mean[1])
