"""Is a point at rest, and is it a minimum: eigenvalues of the force constants at a fixed cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Array, Float
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ferrojax.effective.lattice import LatticeState
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.expansion import OUTER, along, second_order
from ferrojax.equilibrium.inputs import check_state, checked
from ferrojax.equilibrium.linear import DENSE_LIMIT, require_finite
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.units import THZ

FORCE_LIMIT = 1e-4  # eV/Å: a point that is farther from rest is none
SOFT = 1e-4  # eV/Å²: a stiffness below it has no relaxed response
ASIDE = 1e4  # eV/Å²: directions that do not count get this stiffness, above that of any bond


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
    dtype = state.coordinates.dtype
    strain, field = checked("strain", strain, (3, 3), "1", dtype), checked("field", field, (3,), "V/Å", dtype)
    if state.coordinates.size <= DENSE_LIMIT:
        return softest_of(force_constants(enthalpy, params, state, strain, field), state)

    def product(x: np.ndarray) -> np.ndarray:
        return np.asarray(along(enthalpy, params, state, strain, field, jnp.pad(jnp.asarray(x), (0, OUTER)))[1], float)[:-OUTER]

    roots = _roots(state)
    low, _ = _lanczos(product, state, np.ones_like(roots))
    return _mode(low, *_lanczos(product, state, roots), state)


def softest_of(matrix: Float[np.ndarray, "size size"] | Float[Array, "size size"], state: State | LatticeState) -> SoftMode:
    """The soft mode of force constants that are known."""
    roots = _roots(state)
    low, _ = _lowest(np.asarray(matrix, float), idle_directions(state))
    return _mode(low, *_lowest(np.asarray(matrix, float) / np.outer(roots, roots), idle_directions(state, roots)), state)


def force_constants(
    enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"]
) -> Float[Array, "size size"]:
    """∂²F/∂x∂x at the zone centre, eV/Å², rows and columns by atom and axis; the macroscopic field held."""
    return second_order(enthalpy, params, state, strain, field)[1][:-OUTER, :-OUTER]


def check_settled(
    enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"], name: str = "state"
) -> Float[np.ndarray, " count"]:
    """Eigenvalues of F_xx (eV/Å²), ascending, without the free displacements; FerrojaxError unless the forces vanish."""
    check_state(state, name)
    slope, matrix = second_order(enthalpy, params, state, strain, field)
    check_rest(slope[:-OUTER], state, name)
    aside = idle_directions(state)
    values = np.linalg.eigvalsh(_projected(matrix[:-OUTER, :-OUTER], aside))
    return values[: len(values) - aside.shape[1]]


def check_rest(slope: Float[Array, " size"] | Float[np.ndarray, " size"], state: State | LatticeState, name: str) -> None:
    """FerrojaxError unless every force is below 1e-4 eV/Å."""
    forces = np.linalg.norm(np.asarray(slope).reshape(-1, 3), axis=1)
    row = int(forces.argmax())
    if not forces[row] < FORCE_LIMIT:
        raise FerrojaxError(
            f"{name}: not at rest, the largest force is {forces[row]:.2g} eV/Å, on {_names(state)[row]}; relax it below "
            f"{FORCE_LIMIT:g} eV/Å first, in the same field."
        )


def check_stable(mode: SoftMode, name: str) -> None:
    """FerrojaxError that names the soft mode, if there is one."""
    if not mode.stiffness > SOFT:
        raise FerrojaxError(
            f"{name}: no stable minimum at this cell, the softest mode has {mode}; displace the structure along "
            "soft_mode(...).displacement and relax it again."
        )


def null_space(state: State | LatticeState, size: int) -> Float[Array, "size k"]:
    """Unit vectors of the common displacements that cost nothing; no columns if there are none."""
    rows = len(state.coordinates)
    if state.loose is None:
        return jnp.zeros((size, 0), state.cell.dtype)
    shift = jnp.einsum("i,ab->iab", state.loose.astype(state.cell.dtype), jnp.eye(3, dtype=state.cell.dtype)).reshape(3 * rows, 3)
    shift = shift / jnp.sqrt(jnp.sum(state.loose))
    return jnp.concatenate([shift, jnp.zeros((size - 3 * rows, 3), shift.dtype)])


def _lowest(matrix: np.ndarray, aside: np.ndarray) -> tuple[float, np.ndarray]:
    values, vectors = np.linalg.eigh(_projected(matrix, aside))
    return float(values[0]), vectors[:, 0]


def _mode(stiffness: float, square: float, vector: np.ndarray, state: State | LatticeState) -> SoftMode:
    """From the lowest eigenvalues of the force constants, plain and over the masses, and the eigenvector of the latter."""
    moved = vector / _roots(state)
    frequency = math.copysign(math.sqrt(abs(square)), square) * THZ
    return SoftMode(stiffness, frequency, (moved / np.linalg.norm(moved)).reshape(-1, 3), _names(state))


def _projected(matrix: Any, aside: np.ndarray) -> np.ndarray:
    require_finite("the force constants", matrix)
    keep = np.eye(len(aside)) - aside @ aside.T
    whole = keep @ np.asarray(matrix, float) @ keep + ASIDE * aside @ aside.T
    return (whole + whole.T) / 2


def _lanczos(product: Callable[[np.ndarray], np.ndarray], state: State | LatticeState, roots: np.ndarray) -> tuple[float, np.ndarray]:
    """As _lowest, of products with the force constants alone."""
    aside, size = idle_directions(state, roots), len(roots)

    def weighted(vector: np.ndarray) -> np.ndarray:
        image = product((vector - aside @ (aside.T @ vector)) / roots) / roots
        return image - aside @ (aside.T @ image) + ASIDE * aside @ (aside.T @ vector)

    try:
        # A fixed start: ARPACK's own is random, and numbers should repeat.
        values, vectors = eigsh(LinearOperator((size, size), weighted, dtype=float), 1, which="SA", tol=1e-6, v0=np.cos(np.arange(size)))
    except ArpackNoConvergence:
        raise FerrojaxError(f"soft_mode: Lanczos iteration over {size} coordinates has not converged; take a smaller cell.") from None
    return float(values[0]), vectors[:, 0]


def idle_directions(state: State | LatticeState, roots: Float[np.ndarray, " size"] | float = 1.0) -> Float[np.ndarray, "size k"]:
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
