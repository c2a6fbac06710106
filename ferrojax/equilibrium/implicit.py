"""Stationary points as differentiable functions of strain, field, stress and parameters.

At a stationary point ∂F/∂x (x, θ) = 0, so dx/dθ = -F_xx⁻¹ F_xθ: one linear solve instead of a derivative through
the minimiser. The point may be a minimum or a saddle. ``jax.lax.custom_root`` makes it so in forward and reverse mode, to any order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferrojax.effective.lattice import LatticeState, strain_tensor
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.inputs import checked
from ferrojax.equilibrium.linear import solve_symmetric
from ferrojax.equilibrium.stability import FORCE_LIMIT, null_space
from ferrojax.errors import FerrojaxError
from ferrojax.state import State, strain_length


class Settled(NamedTuple):
    """A stationary point: coordinates (Å, of the unstrained state) and the whole strain (3 x 3)."""

    coordinates: Float[Array, "rows 3"]
    strain: Float[Array, "3 3"]


def settle(
    enthalpy: Enthalpy,
    params: Any,
    state: State | LatticeState,
    strain: Float[Array, "..."],
    field: Float[Array, "..."],
    free: tuple[int, ...] = (),
    stress: Float[Array, "..."] | None = None,
) -> Settled:
    """The stationary point next to a relaxed state as a function of everything else, to be differentiated.

        ∂/∂x [F(x, ε, E) - V₀ σ:ε] = 0,    x the coordinates and the free components of ε

    Args:
        state: relaxed at the values given: it is the value of the result, and only its derivatives are computed here (check_settled).
        strain: (3, 3), of the state, whose components that are not free are held. field: (3,), V/Å. free: Voigt components (0 to 5 for
            xx yy zz yz xz xy) that follow. stress: (3, 3), outside, eV/Å³, tension positive, per area of the state's own cell.

    Common displacements that cost nothing are projected out. The solve is dense up to 3000 unknowns, then GMRES. Inside a compiled
    function nothing can be raised: where the solve has not converged the derivatives are NaN, and of a state with a force above
    1e-4 eV/Å at these values so is everything (see ``require_finite``).

    Raises FerrojaxError for arrays of another shape and for Voigt components that are none.
    """
    strain, field, load = _checked(state, strain, field, free, stress)
    return Settled(*_unpacked(_root(enthalpy, free, params, state, strain, field, load), state, strain, free))


def settled_enthalpy(
    enthalpy: Enthalpy,
    params: Any,
    state: State | LatticeState,
    strain: Float[Array, "..."],
    field: Float[Array, "..."],
    free: tuple[int, ...] = (),
    stress: Float[Array, "..."] | None = None,
) -> Float[Array, ""]:
    """G = F - V₀ σ:ε at the stationary point of ``settle``, eV.

    First derivatives are those of F at fixed coordinates (Hellmann and Feynman) and need no solve, second derivatives one.
    """
    strain, field, load = _checked(state, strain, field, free, stress)

    # Left to itself, automatic differentiation would carry ∂F/∂x = 0 through a solve and its derivative.
    @jax.custom_jvp
    def relaxed(*outer: Any) -> Array:
        return _value(enthalpy, free, _root(enthalpy, free, *outer), *outer)

    @relaxed.defjvp
    def envelope(outer: Any, tangents: Any) -> tuple[Array, Array]:
        x = _root(enthalpy, free, *outer)
        return jax.jvp(lambda *here: _value(enthalpy, free, x, *here), outer, tangents)

    return relaxed(params, state, strain, field, load)


def _checked(state: State | LatticeState, strain: Any, field: Any, free: tuple[int, ...], stress: Any) -> tuple[Array, Array, Array]:
    """Strain, field and stress as arrays of the right shapes."""
    dtype = state.coordinates.dtype
    if sorted(set(free)) != sorted(free) or not set(free) <= set(range(6)):
        raise FerrojaxError(f"settle: free lists Voigt components from 0 to 5, each once; got {free}.")
    load = checked("stress", stress, (3, 3), "eV/Å³", dtype)
    return checked("strain", strain, (3, 3), "1", dtype), checked("field", field, (3,), "V/Å", dtype), load


def _root(enthalpy, free, params, state: State | LatticeState, strain, field, load) -> Array:
    """The unknowns, coordinates and free strains in a row, at the stationary point."""
    start = jnp.concatenate([state.coordinates.reshape(-1), jnp.zeros(len(free), strain.dtype)])
    null = null_space(state, start.size)
    still = jnp.concatenate([jnp.repeat(~state.mobile, 3), jnp.zeros(len(free), bool)])

    def slope(x: Array) -> Array:
        return jnp.where(still, 0.0, jax.grad(_value, 2)(enthalpy, free, x, params, state, strain, field, load))

    def without(y: Array) -> Array:
        return y - null @ (null.T @ y)

    def solve(tangent: Any, y: Array) -> Array:
        def operator(v: Array) -> Array:
            return without(tangent(without(v))) + null @ (null.T @ v) + jnp.where(still, v, 0.0)

        return solve_symmetric(operator, without(y))

    def at_rest(residual: Any, guess: Array) -> Array:
        return jnp.where(jnp.max(jnp.abs(residual(guess))) < FORCE_LIMIT, guess, jnp.nan)

    return jax.lax.custom_root(slope, jax.lax.stop_gradient(start), at_rest, solve)


def _value(enthalpy, free, x: Array, params, state: State | LatticeState, strain, field, load) -> Array:
    """F - V₀ σ:ε at given unknowns, eV."""
    coordinates, whole = _unpacked(x, state, strain, free)
    energy = enthalpy(params, state.at(coordinates), whole, field)
    return energy if state.cell is None else energy - jnp.linalg.det(state.cell) * jnp.sum(load * whole)


def _unpacked(x: Array, state: State | LatticeState, strain: Array, free: tuple[int, ...]) -> tuple[Array, Array]:
    """Coordinates and strain. The free strains are counted in lengths, J ε (``strain_length``)."""
    count = state.coordinates.size
    if not free:
        return x.reshape(-1, 3), strain
    voigt = jnp.zeros(6, x.dtype).at[jnp.array(free, int)].set(x[count:] / strain_length(state))
    return x[:count].reshape(-1, 3), strain + strain_tensor(voigt)
