"""Is a point at rest, and is it a minimum: eigenvalues of the force constants at a fixed cell."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Array, Float
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ferrojax.effective.lattice import LatticeState
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.inputs import check_state, checked
from ferrojax.equilibrium.linear import DENSE_LIMIT, matrix_of, require_finite
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.units import FEMTOSECOND

FORCE_LIMIT = 1e-4  # eV/Å: a point that is farther from rest is none
SOFT = 1e-4  # eV/Å²: a stiffness below it has no relaxed response
ASIDE = 1e4  # eV/Å²: directions that do not count get this stiffness, above that of any bond
TERAHERTZ = 1e3 * FEMTOSECOND / (2 * math.pi)  # of sqrt(eV/Å²/amu): 15.6333 THz


@dataclass(frozen=True)
class SoftMode:
    """The softest direction of a structure at a fixed cell.

    stiffness: lowest eigenvalue of the force constants, eV/Å². frequency: lowest of the zone-centre modes, THz, negative if
    imaginary. displacement: Cartesian, unit length, of the atoms (or modes) in the latter; names: of the rows.
    """

    stiffness: float
    frequency: float
    displacement: Float[np.ndarray, "rows 3"]
    names: tuple[str, ...]

    def __str__(self) -> str:
        share = np.sum(self.displacement**2, 1)
        rows = [k for k in np.argsort(-share)[:3] if share[k] > 0.05]
        moving = ", ".join(f"{self.names[k]} {100 * share[k]:.0f} %" for k in rows)
        number = f"{-self.frequency:.3g}i" if self.frequency < 0 else f"{self.frequency:.3g}"
        return f"{self.stiffness:.3g} eV/Å², {number} THz, moved by {moving}"


def soft_mode(
    enthalpy: Enthalpy,
    params: Any,
    state: State | LatticeState,
    strain: Float[Array, "3 3"] | None = None,
    field: Float[Array, "3"] | None = None,
) -> SoftMode:
    """The lowest eigenvalue of ∂²F/∂x∂x and the lowest zone-centre frequency, common displacements left out.

    Dense up to 3000 coordinates, beyond by Lanczos iteration (ARPACK). Raises FerrojaxError if that does not converge.
    """
    check_state(state, "soft_mode")
    point = _point(state, strain, field)
    roots, rows, names = _roots(state), len(state.coordinates), _names(state)
    if state.coordinates.size <= DENSE_LIMIT:
        matrix = force_constants(enthalpy, params, state, *point)
        low, _ = lowest(matrix, state)
        square, vector = lowest(matrix, state, roots)
    else:
        low, _ = _lanczos(enthalpy, params, state, point, np.ones_like(roots))
        square, vector = _lanczos(enthalpy, params, state, point, roots)
    moved = vector / roots
    frequency = math.copysign(math.sqrt(abs(square)), square) * TERAHERTZ
    return SoftMode(float(low), frequency, (moved / np.linalg.norm(moved)).reshape(rows, 3), names)


def check_settled(
    enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"], name: str = "state"
) -> Float[np.ndarray, " count"]:
    """Eigenvalues of F_xx (eV/Å²), ascending, without the free displacements; FerrojaxError unless the forces vanish."""
    check_state(state, name)
    check_rest(enthalpy, params, state, strain, field, name)
    matrix, aside = force_constants(enthalpy, params, state, strain, field), _aside(state)
    values = np.linalg.eigvalsh(_projected(matrix, aside))
    return values[: len(values) - aside.shape[1]]


def check_rest(
    enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"], name: str
) -> None:
    """FerrojaxError unless every force is below 1e-4 eV/Å."""
    slope = np.abs(np.asarray(_slope(enthalpy, params, state, strain, field)))
    largest, row = float(slope.max()), int(slope.max(1).argmax())
    if not largest < FORCE_LIMIT:
        raise FerrojaxError(
            f"{name}: not at rest, the largest force is {largest:.2g} eV/Å, on {_names(state)[row]}; relax it below {FORCE_LIMIT:g} eV/Å "
            "first, in the same field."
        )


def check_stable(mode: SoftMode, name: str) -> None:
    """FerrojaxError that names the soft mode, if there is one."""
    if not mode.stiffness > SOFT:
        raise FerrojaxError(
            f"{name}: no stable minimum at this cell, the softest mode has {mode}; displace the structure along "
            "soft_mode(...).displacement and relax it again."
        )


@functools.partial(jax.jit, static_argnums=0)
def force_constants(
    enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"]
) -> Float[Array, "rows3 rows3"]:
    """∂²F/∂x∂x at the zone centre, eV/Å², rows and columns by atom and axis; the macroscopic field held."""
    start = state.coordinates.reshape(-1)
    return matrix_of(functools.partial(_product, enthalpy, params, state, strain, field), start.size, start.dtype)


@functools.partial(jax.jit, static_argnums=0)
def _product(enthalpy, params, state, strain, field, direction) -> Array:
    """The force constants times a displacement."""
    slope = jax.grad(lambda x: enthalpy(params, state.at(x.reshape(-1, 3)), strain, field))
    return jax.jvp(slope, (state.coordinates.reshape(-1),), (direction,))[1]


@functools.partial(jax.jit, static_argnums=0)
def _slope(enthalpy, params, state, strain, field) -> Array:
    return jax.grad(lambda x: enthalpy(params, state.at(x), strain, field))(state.coordinates)


def null_space(state: State | LatticeState, size: int) -> Float[Array, "size k"]:
    """Unit vectors of the common displacements that cost nothing; no columns if there are none."""
    rows = len(state.coordinates)
    if state.loose is None:
        return jnp.zeros((size, 0), state.cell.dtype)
    shift = jnp.einsum("i,ab->iab", state.loose.astype(state.cell.dtype), jnp.eye(3, dtype=state.cell.dtype)).reshape(3 * rows, 3)
    shift = shift / jnp.sqrt(jnp.sum(state.loose))
    return jnp.concatenate([shift, jnp.zeros((size - 3 * rows, 3), shift.dtype)])


def lowest(matrix: Any, state: State | LatticeState, roots: np.ndarray | float = 1.0) -> tuple[float, np.ndarray]:
    """Lowest eigenvalue and eigenvector of force constants over root masses on both sides, free displacements put aside."""
    scale = np.broadcast_to(roots, len(matrix))
    values, vectors = np.linalg.eigh(_projected(np.asarray(matrix, float) / np.outer(scale, scale), _aside(state, scale)))
    return float(values[0]), vectors[:, 0]


def _projected(matrix: Any, aside: np.ndarray) -> np.ndarray:
    require_finite("the force constants", matrix)
    keep = np.eye(len(aside)) - aside @ aside.T
    whole = keep @ np.asarray(matrix, float) @ keep + ASIDE * aside @ aside.T
    return (whole + whole.T) / 2


def _lanczos(enthalpy, params, state, point, roots) -> tuple[float, np.ndarray]:
    aside = _aside(state, roots)

    def product(vector: np.ndarray) -> np.ndarray:
        inside = vector - aside @ (aside.T @ vector)
        image = np.asarray(_product(enthalpy, params, state, *point, jnp.asarray(inside / roots))) / roots
        return image - aside @ (aside.T @ image) + ASIDE * aside @ (aside.T @ vector)

    size = len(roots)
    try:
        # A fixed start: ARPACK's own is random, and numbers should repeat.
        values, vectors = eigsh(LinearOperator((size, size), product, dtype=float), 1, which="SA", tol=1e-6, v0=np.cos(np.arange(size)))
    except ArpackNoConvergence:
        raise FerrojaxError(f"soft_mode: Lanczos iteration over {size} coordinates has not converged; take a smaller cell.") from None
    return float(values[0]), vectors[:, 0]


def _aside(state: State | LatticeState, roots: np.ndarray | float = 1.0) -> Float[np.ndarray, "size k"]:
    """Orthonormal directions that do not count: common displacements (mass-weighted by the roots) and padding."""
    size = state.coordinates.size
    free = np.asarray(null_space(state, size)) * np.broadcast_to(roots, size)[:, None]
    still = np.eye(size)[:, np.repeat(~np.asarray(state.mobile), 3)] if not np.asarray(state.mobile).all() else np.zeros((size, 0))
    return np.concatenate([free / np.maximum(np.linalg.norm(free, axis=0), 1e-300), still], 1)


def _roots(state: State | LatticeState) -> Float[np.ndarray, " size"]:
    """Square roots of the masses, one a coordinate."""
    return np.repeat(np.sqrt(np.asarray(state.masses, float)[:, 0]), 3)


def _names(state: State | LatticeState) -> tuple[str, ...]:
    if isinstance(state, LatticeState):
        return tuple(f"mode {k}" for k in range(len(state.coordinates)))
    return tuple(f"atom {k} ({chemical_symbols[int(z)]})" for k, z in enumerate(np.asarray(state.numbers)))


def _point(state: State | LatticeState, strain: Any, field: Any) -> tuple[Array, Array]:
    dtype = state.cell.dtype
    return checked("strain", strain, (3, 3), "1", dtype), checked("field", field, (3,), "V/Å", dtype)
