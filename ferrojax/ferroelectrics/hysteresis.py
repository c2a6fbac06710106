"""The numbers of a P-E loop: remanence, coercive field, area."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from ferrojax.dynamics.records import Records
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_csv, write_text
from ferrojax.units import E_PER_A2, KV_PER_CM

MEGAJOULE = 1e4  # MJ/m³ in one V/Å C/m²
NEAR_ZERO = 0.05  # of the amplitude: the fields over which the remanence is averaged


@dataclass(frozen=True)
class Hysteresis:
    """A P-E loop along one direction.

    time: ps; cycle: -1 in the first quarter, then from 0; field: kV/cm; polarization: C/m², the middle between the means at both
    ends of the field taken as zero. remanence (at zero field) and coercive_field (zero crossings; None where P does not
    change its sign) are (falling, rising) branch, means over the cycles. area: ∮ E dP, MJ/m³ a cycle, heat that the
    crystal gives off; dissipated: the same for the whole cell, -∮ M dE, eV a cycle.
    """

    time: np.ndarray
    cycle: np.ndarray
    field: np.ndarray
    polarization: np.ndarray
    remanence: tuple[float, float]
    coercive_field: tuple[float | None, float | None]
    area: float
    dissipated: float
    cycles: int

    @property
    def remanent(self) -> float:
        """P_r, C/m²: half of what separates the branches at zero field."""
        return (self.remanence[0] - self.remanence[1]) / 2

    @property
    def half_width(self) -> float | None:
        """E_c, kV/cm: half of what separates the branches at zero polarization; None where a branch does not cross."""
        falling, rising = self.coercive_field
        return None if falling is None or rising is None else (rising - falling) / 2

    @property
    def imprint(self) -> float | None:
        """E_i, kV/cm: the middle of both coercive fields, zero for a loop that lies symmetric; None as for ``half_width``."""
        falling, rising = self.coercive_field
        return None if falling is None or rising is None else (rising + falling) / 2

    @property
    def loss(self) -> float:
        """∮ E dP/(π E_max P_max): the sine of the loss angle of an ellipse, 4/π for a square loop."""
        inside = self.cycle >= 0
        largest = np.abs(self.field[inside]).max() * KV_PER_CM * np.abs(self.polarization[inside]).max()
        return float(self.area / (np.pi * largest * MEGAJOULE))

    @property
    def numbers(self) -> dict[str, float | int | None | list[float | None] | list[float]]:
        """What loop.json holds."""
        return {
            "remanence_C_per_m2": list(self.remanence),
            "coercive_field_kV_per_cm": list(self.coercive_field),
            "remanent_polarization_C_per_m2": self.remanent,
            "coercive_half_width_kV_per_cm": self.half_width,
            "imprint_kV_per_cm": self.imprint,
            "loss": self.loss,
            "area_MJ_per_m3": self.area,
            "dissipated_eV_per_cycle": self.dissipated,
            "cycles": self.cycles,
        }


def hysteresis(records: Records, direction: np.ndarray, period: float) -> Hysteresis:
    """Loop of a run in a triangular field of that period (fs) along a unit vector.

    Raises FerrojaxError if the run does not reach one cycle beyond the first quarter of a period.
    """
    field = records.field.astype(np.float64) @ direction
    moment = records.dipole.astype(np.float64) @ direction
    polarization = moment / records.volume * E_PER_A2
    phase = records.time / period - 0.25
    cycle, part = np.floor(phase + 1e-9).astype(int), np.mod(phase + 1e-9, 1.0)
    cycles = int(np.floor(phase[-1] + 0.02)) if len(phase) else 0
    if cycles < 1:
        raise FerrojaxError("hysteresis: the run holds no whole cycle after the first quarter of a period; make it longer.")
    inside = (cycle >= 0) & (cycle < cycles)
    cycle = np.minimum(cycle, cycles - 1)
    high, low = inside & (np.minimum(part, 1 - part) < 0.02), inside & (np.abs(part - 0.5) < 0.02)
    polarization = polarization - (polarization[high].mean() + polarization[low].mean()) / 2
    branches = (inside & (part < 0.5), inside & (part >= 0.5))
    near = np.abs(field) <= NEAR_ZERO * np.abs(field).max()
    return Hysteresis(
        records.time / 1e3,
        cycle,
        field / KV_PER_CM,
        polarization,
        (float(polarization[branches[0] & near].mean()), float(polarization[branches[1] & near].mean())),
        (coercive_field(field, polarization, branches[0]), coercive_field(field, polarization, branches[1])),
        _circulation(field, polarization, inside) * MEGAJOULE / cycles,
        -_circulation(moment, field, inside) / cycles,
        cycles,
    )


def coercive_field(
    field: Float[np.ndarray, " records"], polarization: Float[np.ndarray, " records"], branch: Bool[np.ndarray, " records"] | None = None
) -> float | None:
    """Mean field at which the polarization changes its sign within a branch (by default all of it), kV/cm; fields in V/Å.

    None where it keeps its sign.
    """
    inside = np.ones(len(field), bool) if branch is None else branch
    pairs = np.flatnonzero(inside[:-1] & inside[1:] & (polarization[:-1] * polarization[1:] < 0))
    if not len(pairs):
        return None
    share = polarization[pairs] / (polarization[pairs] - polarization[pairs + 1])
    return float((field[pairs] + share * (field[pairs + 1] - field[pairs])).mean() / KV_PER_CM)


def save_loop(folder: Path, loop: Hysteresis) -> None:
    """loop.csv, loop.json and loop.png."""
    rows = zip(*(x.tolist() for x in (loop.time, loop.cycle, loop.field, loop.polarization)))
    write_csv(folder / "loop.csv", rows, ("time_ps", "cycle", "field_kV_per_cm", "polarization_C_per_m2"))
    write_text(folder / "loop.json", json.dumps(loop.numbers, indent=1) + "\n")
    draw_loop(folder / "loop.png", loop)


def draw_loop(path: Path, loop: Hysteresis) -> None:
    """P against E, the first quarter of a period dashed."""
    from ferrojax import plotting

    with plotting.journal():
        figure, axes = plotting.figure()
        plotting.loop(axes, loop.field, loop.polarization, loop.cycle < 0)
        axes.set_title(f"area {loop.area:.3g} MJ/m³ a cycle")
        plotting.save(figure, path)


def _circulation(height: np.ndarray, along: np.ndarray, inside: np.ndarray) -> float:
    """∮ height d(along) over the whole cycles, by trapezoids, the ends joined."""
    y, x = height[inside], along[inside]
    y, x = np.append(y, y[0]), np.append(x, x[0])
    return float(np.sum(0.5 * (y[1:] + y[:-1]) * np.diff(x)))
