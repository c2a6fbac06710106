"""The enthalpy to second order in coordinates, strain and field around a point: one compiled function for every response."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferrojax.effective.lattice import LatticeState, strain_tensor
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.linear import matrix_of
from ferrojax.state import State

OUTER = 9  # strain in Voigt order, then field


@functools.partial(jax.jit, static_argnums=0)
def second_order(
    enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"]
) -> tuple[Float[Array, " size"], Float[Array, "size size"]]:
    """Gradient and Hessian of F by y = (x, η, E), x the coordinates in a row: eV, Å, V/Å."""
    slope, start = _slope(enthalpy, params, state, strain, field)
    return slope(start), matrix_of(lambda v: jax.jvp(slope, (start,), (v,))[1], start.size, start.dtype)


@functools.partial(jax.jit, static_argnums=0)
def along(
    enthalpy: Enthalpy,
    params: Any,
    state: State | LatticeState,
    strain: Float[Array, "3 3"],
    field: Float[Array, "3"],
    direction: Float[Array, " size"],
) -> tuple[Float[Array, " size"], Float[Array, " size"]]:
    """Gradient and Hessian times a direction, where there are too many coordinates for the whole Hessian."""
    slope, start = _slope(enthalpy, params, state, strain, field)
    return jax.jvp(slope, (start,), (direction,))


def _slope(enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Array, field: Array):
    """∂F/∂y as a function of y, and the y where it is taken."""
    start = jnp.concatenate([state.coordinates.reshape(-1), jnp.zeros(OUTER, strain.dtype)])

    def value(y: Array) -> Array:
        x, eta, e = y[:-OUTER].reshape(-1, 3), y[-OUTER : 6 - OUTER], y[6 - OUTER :]
        return enthalpy(params, state.at(x), strain + strain_tensor(eta), field + e)

    return jax.grad(value), start
