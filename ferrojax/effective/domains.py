"""Uniform wells, striped domains and 180° walls."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.clamp import relaxed_strain
from ferrojax.effective.enthalpy import make_enthalpy
from ferrojax.effective.lattice import LatticeState, Shape, check_shape, uniform_state
from ferrojax.effective.params import HeffParams
from ferrojax.effective.relax import LatticeRelaxation, minimise, stationary
from ferrojax.errors import FerrojaxError
from ferrojax.units import GPA, MILLIJOULE

REACH = 0.7  # modes searched for a well, Å
LENGTHS = np.linspace(0.0, REACH, 1401)
DIRECTIONS = tuple(np.array(axis) / np.linalg.norm(axis) for axis in ((0, 0, 1), (0, 1, 1), (1, 1, 1)))


@dataclass
class Wall:
    """A relaxed 180° wall.

    energy: mJ/m², per wall. state: the lattice with its two walls. domain: the relaxed single
    domain (one cell). strain: of the domain, in which the walls are held.
    """

    energy: float
    state: LatticeState
    domain: LatticeState
    strain: Float[Array, "3 3"]


def well(params: HeffParams, direction: Any) -> LatticeRelaxation:
    """The uniform minimum nearest to u = 0 with the modes along ``direction``, strain relaxed; one cell, energy in eV.

    A line search finds the first minimum, Newton's method ends at it, in float64 (set
    ``jax_enable_x64``). It may be a saddle against turning the polarization.

    Raises FerrojaxError for a zero direction; if there is no minimum (the cubic cell is stable,
    or the mode runs away); and if a second one, further out, lies deeper: a sampled crystal would
    fall into it, where the on-site polynomial was never fitted.
    """
    axis = np.asarray(direction, float)
    if axis.shape != (3,) or not np.isfinite(axis).all() or not axis.any():
        raise FerrojaxError(f"the direction must be three finite numbers, not all zero; got {direction!r}.")
    axis = axis / np.linalg.norm(axis)
    energies = np.asarray(_line(params, jnp.asarray(axis), jnp.asarray(LENGTHS)))
    inside = check_wells(params, axis)
    if not inside.size:
        trend = "falls without bound: the mode runs away" if energies[-1] < energies[0] else "only rises: the cubic cell is stable"
        raise FerrojaxError(f"no well along {axis.tolist()}: up to |u| = {REACH} Å the energy {trend}; check the outer stress.")
    return stationary(_cell(), params, uniform_state((1, 1, 1), axis * LENGTHS[inside[0]]), tolerance=1e-10)


def well_depth(params: HeffParams, direction: Any) -> float:
    """Energy of the well (see ``well``) below the cubic cell under the same outer stress, eV: a negative number."""
    cubic = _line(params, jnp.asarray((0.0, 0.0, 1.0)), jnp.zeros(1))
    return well(params, direction).energy - float(cubic[0])


def check_wells(params: HeffParams, *directions: np.ndarray) -> np.ndarray:
    """Refuse a second, deeper well along ⟨100⟩, ⟨110⟩ and ⟨111⟩, or along given unit vectors; minima along the last one.

    A heated crystal falls into it, and there the on-site polynomial was never fitted.
    Raises FerrojaxError that names the pressure at which it takes over.
    """
    for axis in directions or DIRECTIONS:
        energies = np.asarray(_line(params, jnp.asarray(axis), jnp.asarray(LENGTHS)))
        inside = _minima(energies)
        if inside.size and energies[inside].argmin() > 0:
            raise FerrojaxError(_spurious(params, axis, float(LENGTHS[inside[energies[inside].argmin()]])))
    return inside


def _minima(energies: np.ndarray) -> np.ndarray:
    return np.flatnonzero((energies[1:-1] < energies[:-2]) & (energies[1:-1] <= energies[2:])) + 1


def _spurious(params: HeffParams, axis: np.ndarray, length: float) -> str:
    """The message about a deeper well, with the pressure at which it becomes the deeper one."""
    low, high = float(-jnp.trace(params.stress) / 3), 0.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        energies = np.asarray(_line(params.under_pressure(middle), jnp.asarray(axis), jnp.asarray(LENGTHS)))
        inside = _minima(energies)
        deeper = inside.size > 0 and energies[inside].argmin() > 0
        low, high = (middle, high) if deeper else (low, middle)
    return (
        f"along {axis.round(4).tolist()} a second well at |u| = {length:.3f} Å lies deeper than the first, where the on-site "
        f"polynomial was not fitted; it takes over at a pressure of {low / GPA:.2f} GPa: stay above."
    )


@functools.cache
def _cell():
    """The enthalpy of a single cell; one object, so that it is compiled once."""
    return make_enthalpy((1, 1, 1))


@jax.jit
def _line(params: HeffParams, axis: Float[Array, "3"], lengths: Float[Array, " n"]) -> Float[Array, " n"]:
    """Energy of a cell along a direction, strain relaxed."""

    def energy(length: Array) -> Array:
        state = LatticeState(modes=(length * axis).reshape(1, 1, 1, 3))
        return _cell()(params, state, relaxed_strain(params, state), jnp.zeros(3, axis.dtype))

    return jax.vmap(energy)(lengths)


def stripes(shape: Shape, mode: Any, period: int, dtype: Any = float) -> LatticeState:
    """Domains of alternating mode ±u (Å): a square wave along x of the given period in cells.

    Raises FerrojaxError unless the period is even and divides the lattice.
    """
    cells = check_shape(shape)[0]
    if period < 2 or period % 2 or cells % period:
        raise FerrojaxError(f"the period of stripes must be even and divide the {cells} cells along x; got {period}.")
    sign = np.where(np.arange(cells) % period < period // 2, 1.0, -1.0)
    return LatticeState(modes=jnp.asarray(sign[:, None, None, None] * np.broadcast_to(np.asarray(mode, float), (*shape, 3)), dtype))


def wall_lattice(mode: Float[Array, "3"], cells: int, centre: str) -> LatticeState:
    """Two unrelaxed 180° (100) walls in a row of cells along x, at 0 and half way.

    centre: "cell" puts each wall half way between two planes of modes; "site" on a plane,
    whose modes are zero.

    Raises FerrojaxError for an odd number of cells or below 8, or another word.
    """
    if cells < 8 or cells % 2:
        raise FerrojaxError(f"two walls need an even number of cells, at least 8; got {cells}.")
    if centre not in ("cell", "site"):
        raise FerrojaxError(f"a wall is centred on a 'cell' boundary or on a 'site'; got {centre!r}.")
    place = np.arange(cells)
    sign = np.where(place < cells // 2, 1.0, -1.0)
    if centre == "site":
        sign[[0, cells // 2]] = 0.0
    return LatticeState(modes=jnp.asarray(sign)[:, None, None, None] * mode)


def wall(params: HeffParams, cells: int = 32, centre: str = "cell") -> Wall:
    """Energy of the 180° (100) wall between domains along ±z at 0 K.

        γ = (E_two walls - E_domain)/(2 a0²),  in the strain of the single domain

    The cell-centred wall is a minimum, the site-centred one the saddle in its way.
    Meyer and Vanderbilt, Phys. Rev. B 65, 104111 (2002), for the definition.

    Raises FerrojaxError as ``well``, ``wall_lattice`` and ``minimise`` do.
    """
    domain = well(params, (0, 0, 1))
    start = wall_lattice(domain.state.modes[0, 0, 0], cells, centre)
    solve = minimise if centre == "cell" else stationary
    walls = solve(_row(cells), params, start, strain=domain.strain, clamp="fixed", tolerance=1e-9)
    energy = (walls.energy - cells * domain.energy) / (2 * float(params.a0) ** 2)
    return Wall(energy * MILLIJOULE, walls.state, domain.state, domain.strain)


@functools.cache
def _row(cells: int):
    return make_enthalpy((cells, 1, 1))
