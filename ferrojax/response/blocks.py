"""Second derivatives of the enthalpy by coordinates, strain and field, and the coordinates eliminated."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.lattice import LatticeState, strain_tensor
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.expansion import OUTER, along, second_order
from ferrojax.equilibrium.implicit import settle
from ferrojax.equilibrium.linear import DENSE_LIMIT, require_finite
from ferrojax.equilibrium.stability import SoftMode, check_rest, check_stable, null_space, soft_mode, softest_of
from ferrojax.state import State

NAME = "response_tensors"


class Blocks(NamedTuple):
    """Derivatives of F by z = (η, E), η in Voigt order, at fixed coordinates; and how the coordinates follow.

    slope: ∂F/∂z. clamped: ∂²F/∂z∂z, eV. mixed: ∂²F/∂x∂z. moved: dx/dz = -F_xx⁻¹ F_xz, of the relaxed coordinates.
    """

    slope: Float[np.ndarray, "9"]
    clamped: Float[np.ndarray, "9 9"]
    mixed: Float[np.ndarray, "rows 3 9"]
    moved: Float[np.ndarray, "rows 3 9"]
    softest: SoftMode

    @property
    def relaxed(self) -> Float[np.ndarray, "9 9"]:
        """∂²G/∂z∂z = F_zz - F_zx F_xx⁻¹ F_xz, eV."""
        total = self.clamped + np.einsum("iak,ial->kl", self.mixed, self.moved)
        return (total + total.T) / 2


def second_derivatives(
    enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"]
) -> Blocks:
    """All blocks at a stable point at rest: from the whole Hessian up to 3000 coordinates, beyond by GMRES.

    Raises FerrojaxError for a point that is not at rest, a soft mode, and a linear solve that has not converged.
    """
    few = state.coordinates.size <= DENSE_LIMIT
    slope, columns, moved, softest = (_dense if few else _iterative)(enthalpy, params, state, strain, field)
    require_finite(NAME, slope, columns, moved)
    rows = (len(state.coordinates), 3, OUTER)
    return Blocks(slope[-OUTER:], columns[-OUTER:], columns[:-OUTER].reshape(rows), moved.reshape(rows), softest)


def _dense(enthalpy, params, state, strain, field) -> tuple[np.ndarray, np.ndarray, np.ndarray, SoftMode]:
    slope, hessian = (np.asarray(x, float) for x in second_order(enthalpy, params, state, strain, field))
    check_rest(slope[:-OUTER], state, NAME)
    softest = softest_of(hessian[:-OUTER, :-OUTER], state)
    check_stable(softest, NAME)
    still = np.diag(np.repeat(~np.asarray(state.mobile), 3).astype(float))
    free = np.asarray(null_space(state, len(still)))
    columns = hessian[:, -OUTER:]
    source = columns[:-OUTER] - free @ (free.T @ columns[:-OUTER])
    return slope, columns, -np.linalg.solve(hessian[:-OUTER, :-OUTER] + still + free @ free.T, source), softest


def _iterative(enthalpy, params, state, strain, field) -> tuple[np.ndarray, np.ndarray, np.ndarray, SoftMode]:
    units = jnp.eye(OUTER, state.coordinates.size + OUTER, state.coordinates.size)
    both = [along(enthalpy, params, state, strain, field, unit) for unit in units]
    slope, columns = np.asarray(both[0][0], float), np.stack([np.asarray(b[1], float) for b in both], 1)
    check_rest(slope[:-OUTER], state, NAME)
    softest = soft_mode(enthalpy, params, state, strain, field)
    check_stable(softest, NAME)
    moved = [_followed(enthalpy, params, state, strain, field, jnp.eye(OUTER)[k]) for k in range(OUTER)]
    return slope, columns, np.stack([np.asarray(m, float).reshape(-1) for m in moved], 1), softest


@functools.partial(jax.jit, static_argnums=0)
def _followed(enthalpy, params, state, strain, field, direction) -> Array:
    """How the relaxed coordinates follow a direction of (η, E)."""

    def coordinates(z: Array) -> Array:
        return settle(enthalpy, params, state, strain + strain_tensor(z[:6]), field + z[6:]).coordinates

    return jax.jvp(coordinates, (jnp.zeros(OUTER, strain.dtype),), (direction,))[1]
