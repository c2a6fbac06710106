"""Stationary points of G: what they are, and the refusal of those that are none."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.paths.modes import Modes, describe_mode, lowest_modes
from ferrojax.paths.space import Conditions, Point, energy_force, longest, pack

FLAT = 1e-4  # eV/Å²: a stiffness as small is none


@dataclass(frozen=True)
class Stationary:
    """A stationary point: energy G (eV), longest force (eV/Å; strains scaled by J), modes (eV/Å²), and the steps that led there."""

    point: Point
    energy: float
    force: float
    modes: Modes
    steps: int = 0

    @property
    def unstable(self) -> int:
        """Number of negative modes."""
        return int(np.sum(self.modes.values < -FLAT))

    def softest(self, count: int = 1) -> str:
        """The lowest modes in words."""
        values, vectors = self.modes
        return "; ".join(describe_mode(float(values[k]), vectors[:, k], self.point.state) for k in range(min(count, len(values))))


def examine(enthalpy: Enthalpy, conditions: Conditions, point: Point, dense: bool | None = None) -> Stationary:
    """Energy, force and modes at a point (see ``lowest_modes``)."""
    value, force = point_energy_force(enthalpy, conditions, point, pack(point, conditions.free))
    return Stationary(point, float(value), float(longest(force, point)), lowest_modes(enthalpy, conditions, point, dense))


def require_minimum(found: Stationary, name: str, tolerance: float) -> Stationary:
    """The point, or FerrojaxError unless its forces are below ``tolerance`` (eV/Å) and no mode is soft; it names the softest."""
    _require_rest(found, name, tolerance)
    if found.modes.values[0] < FLAT:
        raise FerrojaxError(f"path: the {name} is no minimum, its softest mode has {found.softest()}; displace along it and relax again.")
    return found


def require_saddle(found: Stationary, tolerance: float) -> Stationary:
    """The point, or FerrojaxError unless its forces are below ``tolerance`` (eV/Å), one mode is negative and none is flat."""
    _require_rest(found, "saddle", tolerance)
    if found.unstable > 1:
        raise FerrojaxError(
            f"path: the saddle has {found.unstable} unstable directions instead of one: {found.softest(found.unstable)}. "
            "A lower saddle lies aside: start the path bent, start='mode'."
        )
    if found.unstable < 1:
        raise FerrojaxError(f"path: the saddle has 0 unstable directions, its softest mode has {found.softest()}; start nearer to the top.")
    if len(found.modes.values) > 1 and found.modes.values[1] < FLAT:
        raise FerrojaxError(
            f"path: the saddle is degenerate, its second mode is flat: {found.softest(2)}. "
            "Break the symmetry that makes it so, by a strain or a field."
        )
    return found


def _require_rest(found: Stationary, name: str, tolerance: float) -> None:
    if not found.force <= tolerance:
        raise FerrojaxError(
            f"path: the {name} is not at rest, the longest force is {found.force:.2g} eV/Å (strains scaled by J); "
            f"relax it below {tolerance:g} eV/Å in the same field, stress and cell."
        )


point_energy_force = jax.jit(energy_force, static_argnums=0)
