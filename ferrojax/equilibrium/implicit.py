"""Stationary points as differentiable functions of strain, field, stress and parameters.

At a stationary point ∂F/∂x (x, θ) = 0, so dx/dθ = -F_xx⁻¹ F_xθ: one linear solve instead of a derivative through
the minimiser. The point may be a minimum or a saddle. ``jax.lax.custom_root`` makes it so in forward and reverse mode, to any order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.lattice import LatticeState, strain_tensor
from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.state import State

DENSE_LIMIT = 3000  # unknowns; the matrix F_xx is dense
FORCE_LIMIT = 1e-4  # eV/Å: a point that is farther from rest is none


class Settled(NamedTuple):
    """A stationary point: coordinates (Å, of the unstrained state) and the whole strain (3 x 3)."""

    coordinates: Float[Array, "rows 3"]
    strain: Float[Array, "3 3"]


def settle(
    enthalpy: Enthalpy,
    params: Any,
    state: State | LatticeState,
    strain: Float[Array, "3 3"],
    field: Float[Array, "3"],
    free: tuple[int, ...] = (),
    stress: Float[Array, "3 3"] | None = None,
) -> Settled:
    """The stationary point next to a relaxed state as a function of everything else, to be differentiated.

        ∂/∂x [F(x, ε, E) - V₀ σ:ε] = 0,    x the coordinates and the free components of ε

    Args:
        state: relaxed at the values given: it is the value of the result, and only its derivatives are computed here (check_settled).
        strain: of the state, whose components that are not free are held. free: Voigt components (0 to 5 for xx yy zz yz xz xy) that
            follow. stress: outside, eV/Å³, tension positive, per area of the state's own cell.

    Common displacements that cost nothing are projected out. Raises FerrojaxError above 3000 unknowns.
    """
    start = jnp.concatenate([state.coordinates.reshape(-1), jnp.zeros(len(free), strain.dtype)])
    if start.size > DENSE_LIMIT:
        raise FerrojaxError(f"settle: {start.size} unknowns, more than {DENSE_LIMIT}, too many for a dense solve; take a smaller cell.")
    null = _null_space(state, start.size)
    still = jnp.concatenate([jnp.repeat(~state.mobile, 3), jnp.zeros(len(free), bool)])

    def slope(x: Array) -> Array:
        def value(x: Array) -> Array:
            coordinates, whole = _unpacked(x, state, strain, free)
            work = 0.0 if stress is None else jnp.linalg.det(state.cell) * jnp.sum(stress * whole)
            return enthalpy(params, state.at(coordinates), whole, field) - work

        return jnp.where(still, 0.0, jax.grad(value)(x))

    def solve(tangent: Any, y: Array) -> Array:
        matrix = jax.vmap(tangent)(jnp.eye(y.size, dtype=y.dtype)).T
        matrix = matrix + jnp.diag(still.astype(y.dtype)) + null @ null.T * jnp.max(jnp.abs(jnp.diag(matrix)))
        return jnp.linalg.solve(matrix, y - null @ (null.T @ y))

    x = jax.lax.custom_root(slope, jax.lax.stop_gradient(start), lambda _, guess: guess, solve)
    return Settled(*_unpacked(x, state, strain, free))


def settled_enthalpy(
    enthalpy: Enthalpy,
    params: Any,
    state: State | LatticeState,
    strain: Float[Array, "3 3"],
    field: Float[Array, "3"],
    free: tuple[int, ...] = (),
    stress: Float[Array, "3 3"] | None = None,
) -> Float[Array, ""]:
    """F - V₀ σ:ε at the stationary point of ``settle``, eV; its first derivatives need no solve (Hellmann-Feynman)."""
    point = settle(enthalpy, params, state, strain, field, free, stress)
    work = 0.0 if stress is None else jnp.linalg.det(state.cell) * jnp.sum(stress * point.strain)
    return enthalpy(params, state.at(point.coordinates), point.strain, field) - work


def check_settled(
    enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"], name: str = "state"
) -> Float[np.ndarray, " rows3"]:
    """Eigenvalues of F_xx (eV/Å²), ascending, without the free displacements; FerrojaxError unless the forces vanish."""

    def value(x: Array) -> Array:
        return enthalpy(params, state.at(x.reshape(-1, 3)), strain, field)

    x = state.coordinates.reshape(-1)
    largest = float(jnp.max(jnp.abs(jax.grad(value)(x))))
    if not largest < FORCE_LIMIT:
        raise FerrojaxError(f"{name}: not at rest, the largest force is {largest:.2g} eV/Å; relax it below {FORCE_LIMIT:g} eV/Å first.")
    null = _null_space(state, x.size)
    basis = np.linalg.svd(np.eye(x.size) - np.asarray(null @ null.T))[0][:, : x.size - null.shape[1]]
    return np.linalg.eigvalsh(basis.T @ np.asarray(jax.hessian(value)(x), float) @ basis)


def _null_space(state: State | LatticeState, size: int) -> Float[Array, "size k"]:
    """Unit vectors of the common displacements that cost nothing; no columns if there are none."""
    rows = len(state.coordinates)
    if state.loose is None:
        return jnp.zeros((size, 0), state.cell.dtype)
    shift = jnp.einsum("i,ab->iab", state.loose.astype(state.cell.dtype), jnp.eye(3, dtype=state.cell.dtype)).reshape(3 * rows, 3)
    shift = shift / jnp.sqrt(jnp.sum(state.loose))
    return jnp.concatenate([shift, jnp.zeros((size - 3 * rows, 3), shift.dtype)])


def _unpacked(x: Array, state: State | LatticeState, strain: Array, free: tuple[int, ...]) -> tuple[Array, Array]:
    count = state.coordinates.size
    loose = strain_tensor(jnp.zeros(6, x.dtype).at[jnp.array(free, int)].set(x[count:])) if free else 0.0
    return x[:count].reshape(-1, 3), strain + loose
