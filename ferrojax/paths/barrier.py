"""The barrier between a minimum and a saddle as a differentiable function of strain, field, stress and parameters."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.lattice import strain_tensor
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.implicit import settled_enthalpy
from ferrojax.equilibrium.linear import matrix_of
from ferrojax.equilibrium.stability import FORCE_LIMIT
from ferrojax.errors import FerrojaxError
from ferrojax.paths.endpoints import End, as_point
from ferrojax.paths.modes import STIFF, idle_directions
from ferrojax.paths.space import Conditions, Point, energy, moving, pack
from ferrojax.paths.stationary import Stationary, examine, require_minimum, require_saddle

LOADS = 15  # strain (Voigt), field, stress (Voigt): what barriers are differentiated by


def barrier(
    enthalpy: Enthalpy,
    params: Any,
    minimum: End,
    saddle: End,
    strain: Float[Array, "3 3"],
    field: Float[Array, "3"],
    free: tuple[int, ...] = (),
    stress: Float[Array, "3 3"] | None = None,
) -> Float[Array, ""]:
    """E_b = G(saddle) - G(minimum), eV, both relaxed at the strain, field and stress given.

    Differentiate it: first derivatives are those of F at both points (envelope theorem), second ones

        d²E_b/dλ² = [F_λλ - F_λx F_xx⁻¹ F_xλ] at the saddle less the same at the minimum

    come out by implicit differentiation (see ``settle``, which explains the arguments). The strain is added to those that the two
    Points have of their own, where free components differ; states have none. ``second_derivatives`` takes less time for many loads.
    """
    above, below = (
        settled_enthalpy(enthalpy, params, end.state, strain + end.strain, field, free, stress) for end in map(as_point, (saddle, minimum))
    )
    return above - below


@dataclass(frozen=True)
class Activation:
    """A barrier (eV) and all its first derivatives.

    strain: ∂E_b/∂ε of what is held, eV; in a fixed cell the difference of stresses times V₀. dipole: -∂E_b/∂E = M_s - M_m, e Å, in the
    reference cell (activation polarization times V₀). stretch: ε_s - ε_m, the activation strain, -∂E_b/∂σ over V₀. volume: V_s - V_m,
    Å³, which is ∂E_b/∂p. soft: the one negative eigenvalue of the saddle, eV/Å².
    """

    barrier: float
    strain: Float[np.ndarray, "3 3"]
    dipole: Float[np.ndarray, "3"]
    stretch: Float[np.ndarray, "3 3"]
    volume: float
    soft: float

    def __str__(self) -> str:
        parts = [
            f"barrier {1e3 * self.barrier:.6g} meV",
            f"dE_b/dε (meV) {np.array2string(1e3 * self.strain, precision=4, suppress_small=True)}",
            f"dipole of activation (e Å) {np.array2string(self.dipole, precision=5, suppress_small=True)}",
            f"strain of activation {np.array2string(self.stretch, precision=6, suppress_small=True)}",
            f"volume of activation {self.volume:.6g} Å³",
        ]
        return "; ".join(parts)


def activation(
    enthalpy: Enthalpy,
    params: Any,
    minimum: End,
    saddle: End,
    strain: Array | None = None,
    field: Array | None = None,
    free: tuple[int, ...] = (),
    stress: Float[Array, "3 3"] | None = None,
) -> Activation:
    """The barrier with all first derivatives, both points checked; the arguments are those of ``barrier``.

    Raises FerrojaxError unless both are at rest, the minimum is stable and the saddle has exactly one unstable direction.
    """
    ends = [as_point(end) for end in (minimum, saddle)]
    dtype = ends[0].strain.dtype
    conditions = Conditions(
        params,
        jnp.zeros(3, dtype) if field is None else jnp.asarray(field, dtype),
        jnp.zeros((3, 3), dtype) if stress is None else jnp.asarray(stress, dtype),
        tuple(free),
    )
    rows = [len(end.state.coordinates) for end in ends]
    if rows[0] != rows[1]:
        raise FerrojaxError(f"barrier: the minimum has {rows[0]} rows, the saddle {rows[1]}; match them.")
    extra = jnp.zeros((3, 3), dtype) if strain is None else jnp.asarray(strain, dtype)
    low, high = (examine(enthalpy, conditions, end.replace(strain=end.strain + extra)) for end in ends)
    return activation_at(enthalpy, conditions, require_minimum(low, "minimum", FORCE_LIMIT), require_saddle(high, FORCE_LIMIT))


def activation_at(enthalpy: Enthalpy, conditions: Conditions, minimum: Stationary, saddle: Stationary) -> Activation:
    """First derivatives by the envelope theorem: those of G at fixed coordinates, two gradients and no solve."""
    slopes = [np.asarray(_by_load(enthalpy, conditions, end.point, pack(end.point, conditions.free))) for end in (saddle, minimum)]
    slope = slopes[0] - slopes[1]
    return Activation(
        barrier=saddle.energy - minimum.energy,
        strain=np.asarray(strain_tensor(jnp.asarray(slope[:6] * [1, 1, 1, 2, 2, 2]))),
        dipole=-slope[6:9],
        stretch=np.asarray(saddle.point.strain - minimum.point.strain),
        volume=_volume(saddle.point) - _volume(minimum.point),
        soft=float(saddle.modes.values[0]),
    )


def second_derivatives(enthalpy: Enthalpy, conditions: Conditions, minimum: Point, saddle: Point) -> Float[np.ndarray, "15 15"]:
    """All second derivatives of a barrier by held strain (Voigt, η4 = 2ε_yz), field (V/Å) and stress (Voigt, eV/Å³), in this order.

        d²E_b/dλdλ' = [G_λλ' - G_λx G_xx⁻¹ G_xλ'] at the saddle less the same at the minimum

    with common displacements projected out. Rows of free strains vanish, those of a stress on held ones too.
    """
    above, below = (_relaxed_curvature(enthalpy, conditions, point) for point in (saddle, minimum))
    return above - below


def _relaxed_curvature(enthalpy: Enthalpy, conditions: Conditions, point: Point) -> Float[np.ndarray, "15 15"]:
    whole = np.asarray(_whole_hessian(enthalpy, conditions, point, pack(point, conditions.free)), float)
    matrix, mixed, direct = whole[:-LOADS, :-LOADS], whole[:-LOADS, -LOADS:], whole[-LOADS:, -LOADS:]
    idle = idle_directions(point.state, conditions.free)
    response = np.linalg.solve(matrix + STIFF * idle @ idle.T, mixed - idle @ (idle.T @ mixed))
    relaxed = direct - mixed.T @ response
    return (relaxed + relaxed.T) / 2


@functools.partial(jax.jit, static_argnums=0)
def _whole_hessian(enthalpy: Enthalpy, conditions: Conditions, point: Point, x: Array) -> Float[Array, "whole whole"]:
    """Second derivatives of G over (x, loads)."""
    size = x.size
    moves = jnp.concatenate([moving(point.state, conditions.free), jnp.ones(LOADS, bool)])

    def slope(z: Array) -> Array:
        gradient = jax.grad(lambda z: _loaded(enthalpy, conditions, point, z[:size], z[size:]))(z)
        return jnp.where(moves, gradient, 0.0)

    start = jnp.concatenate([x, jnp.zeros(LOADS, x.dtype)])
    return matrix_of(lambda v: jax.jvp(slope, (start,), (jnp.where(moves, v, 0.0),))[1], start.size, start.dtype)


@functools.partial(jax.jit, static_argnums=0)
def _by_load(enthalpy: Enthalpy, conditions: Conditions, point: Point, x: Array) -> Float[Array, " loads"]:
    return jax.grad(functools.partial(_loaded, enthalpy, conditions, point, x))(jnp.zeros(LOADS, x.dtype))


def _loaded(enthalpy: Enthalpy, conditions: Conditions, point: Point, x: Array, load: Float[Array, " loads"]) -> Float[Array, ""]:
    """G at x under additional strain, field and stress."""
    stress = strain_tensor(load[9:] * jnp.asarray([1, 1, 1, 2, 2, 2], load.dtype))
    conditions = conditions.replace(field=conditions.field + load[6:9], stress=conditions.stress + stress)
    return energy(enthalpy, conditions, point.replace(strain=point.strain + strain_tensor(load[:6])), x)


def _volume(point: Point) -> float:
    """Å³; of a lattice, whose energy has it so, to first order in the strain."""
    volume, strain = np.linalg.det(np.asarray(point.state.cell)), np.asarray(point.strain)
    return float(volume * (np.linalg.det(np.eye(3) + strain) if point.state.follows_cell else 1.0 + np.trace(strain)))
