"""Laws of switching: wall creep, nucleation and growth, and how the coercive field follows the frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.fitting import Estimate, least_squares
from ferrojax.units import BOLTZMANN


@dataclass(frozen=True)
class Merz:
    """ln v0 (v in the unit given) and the activation field E_a (unit of the field)."""

    log_speed: Estimate
    activation: Estimate

    def speed(self, field: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """At these fields, in the unit of the speeds that were fitted."""
        return np.exp(_log_merz(field, self.activation.value, self.log_speed.value))


@dataclass(frozen=True)
class Creep:
    """ln v0, the barrier U (eV) at the field ``at``, and the exponent μ."""

    log_speed: Estimate
    barrier: Estimate
    exponent: Estimate
    at: float

    def speed(self, field: Float[np.ndarray, " n"], temperature: Float[np.ndarray, " n"] | float) -> Float[np.ndarray, " n"]:
        """At these fields and temperatures (K), in the unit of the speeds that were fitted."""
        where = (field / self.at, BOLTZMANN * temperature)
        return np.exp(_log_creep(where, self.log_speed.value, self.barrier.value, self.exponent.value))


@dataclass(frozen=True)
class Growth:
    """Time τ (unit of the time) and exponent n of nucleation and growth."""

    time: Estimate
    exponent: Estimate


@dataclass(frozen=True)
class FrequencyLaw:
    """E_c = field (f/at)^exponent: ``field`` is the coercive field at the frequency ``at``."""

    field: Estimate
    exponent: Estimate
    at: float


def merz(field: Float[np.ndarray, " n"], speed: Float[np.ndarray, " n"], error: Float[np.ndarray, " n"] | None = None) -> Merz:
    """Fit of v = v0 exp(-E_a/E), as ln v against 1/E. ``error``: of the speeds. Merz, Phys. Rev. 95, 690 (1954).

    Raises FerrojaxError for fields or speeds not above zero and fewer than three points.
    """
    field, log, width = _logarithm("merz", field, speed, error)
    slope, rise = np.polyfit(1 / field, log, 1)
    found = least_squares("merz", _log_merz, field, log, np.array([-slope, rise]), width)
    return Merz(found[1], found[0])


def creep(
    field: Float[np.ndarray, " n"],
    speed: Float[np.ndarray, " n"],
    temperature: Float[np.ndarray, " n"] | float,
    error: Float[np.ndarray, " n"] | None = None,
    exponent: float | None = None,
) -> Creep:
    """One fit, at all temperatures (K) together, of thermally activated creep with common v0, U and μ.

        ln v = ln v0 - (U/kT) (E0/E)^μ

    The product U E0^μ is all that creep determines, so E0 is fixed at the geometric mean of the fields (``at``) and U is the barrier there.
    μ = 1/4 for a line in random bonds, 1 for nucleation. ``exponent`` fixes it; its error is then zero. Tybell et al., Phys. Rev. Lett. 89,
    097601 (2002); Jo et al., Phys. Rev. Lett. 102, 045701 (2009).

    Raises FerrojaxError for fields, speeds, temperatures or an exponent not above zero and too few points.
    """
    field, log, width = _logarithm("creep", field, speed, error)
    kelvin = np.broadcast_to(np.asarray(temperature, float), field.shape)
    if not (kelvin > 0).all():
        raise FerrojaxError("creep: the temperatures must be above zero.")
    at = float(np.exp(np.log(field).mean()))
    where = np.stack([field / at, BOLTZMANN * kelvin])

    power = 1.0 if exponent is None else exponent
    if not power > 0:
        raise FerrojaxError(f"creep: the exponent must be above zero, such as 0.25; got {exponent}.")
    slope, rise = np.polyfit(where[0] ** -power / where[1], log, 1)
    if exponent is not None:
        found = least_squares("creep", lambda x, r, u: _log_creep(x, r, u, power), where, log, np.array([rise, -slope]), width)
        return Creep(found[0], found[1], Estimate(power, 0.0, power, power), at)
    found = least_squares("creep", _log_creep, where, log, np.array([rise, -slope, power]), width)
    return Creep(found[0], found[1], found[2], at)


def nucleation_growth(time: Float[np.ndarray, " n"], switched: Float[np.ndarray, " n"]) -> Growth:
    """Fit of the switched share f = 1 - exp[-(t/τ)^n]; n = d for nuclei that are there at once, d + 1 for a constant rate.

    Kolmogorov (1937), Avrami (1940), Ishibashi and Takagi, J. Phys. Soc. Jpn. 31, 506 (1971).

    Raises FerrojaxError for times below zero, shares outside [-0.1, 1.1], and a share that never passes a half.
    """
    t, f = np.asarray(time, float), np.asarray(switched, float)
    if not ((t >= 0).all() and (f >= -0.1).all() and (f <= 1.1).all() and f.max() > 0.5):
        raise FerrojaxError(
            "nucleation_growth: give times from the start of the field and a switched share that grows from 0 past one half."
        )
    half = t[np.argmax(f >= 0.5)]

    def law(t: np.ndarray, log_tau: float, n: float) -> np.ndarray:
        return -np.expm1(-((t / np.exp(log_tau)) ** n))

    log_tau, n = least_squares("nucleation_growth", law, t, f, np.array([np.log(max(half, 1e-12)), 2.0]), bounds=([-50, 0.05], [50, 50]))
    tau = float(np.exp(log_tau.value))
    return Growth(Estimate(tau, tau * log_tau.error, float(np.exp(log_tau.low)), float(np.exp(log_tau.high))), n)


def frequency_law(frequency: Float[np.ndarray, " n"], coercive: Float[np.ndarray, " n"]) -> FrequencyLaw:
    """Fit of E_c = E1 (f/f1)^β over loops at several frequencies, f1 their geometric mean.

    Ishibashi and Orihara, Integr. Ferroelectr. 9, 57 (1995).

    Raises FerrojaxError for frequencies or fields not above zero and fewer than three loops.
    """
    frequency, log, _ = _logarithm("frequency_law", frequency, coercive, None)
    at = float(np.exp(np.log(frequency).mean()))
    x = np.log(frequency / at)
    rise, slope = least_squares("frequency_law", lambda s, a, b: a + b * s, x, log, np.polyfit(x, log, 1)[::-1])
    field = float(np.exp(rise.value))
    return FrequencyLaw(Estimate(field, field * rise.error, float(np.exp(rise.low)), float(np.exp(rise.high))), slope, at)


def _log_merz(field: np.ndarray, activation: float, rise: float) -> np.ndarray:
    """The logarithm of the speed."""
    return rise - activation / field


def _log_creep(where: Any, rise: float, barrier: float, power: float) -> np.ndarray:
    """The logarithm of the speed where E/E0 and kT (eV) are these."""
    share, heat = where
    return rise - barrier / heat * share**-power


def _logarithm(name: str, x: np.ndarray, y: np.ndarray, error: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """x, ln y and the error of ln y."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.shape != y.shape or x.ndim != 1 or not ((x > 0).all() and (y > 0).all()):
        raise FerrojaxError(f"{name}: two series of equal length above zero are needed; got shapes {x.shape} and {y.shape}.")
    if len(x) < 3 or np.ptp(x) == 0:
        raise FerrojaxError(f"{name}: {len(x)} points; give at least three, at different values.")
    return x, np.log(y), None if error is None else np.asarray(error, float) / y
