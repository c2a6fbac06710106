"""Curvature on a path: the lowest modes of ∂²G/∂x², dense for small cells, without the matrix for large ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ferrojax.effective.lattice import LatticeState
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium import stability
from ferrojax.equilibrium.linear import matrix_of
from ferrojax.errors import FerrojaxError
from ferrojax.paths.space import Conditions, Point, energy, moving, pack
from ferrojax.state import State
from ferrojax.units import THZ

DENSE = 900  # unknowns up to which the matrix is made: 300 atoms
STIFF = 1e3  # eV/Å², given to displacements that cost nothing, so that they are not the lowest
FEW = 6  # modes that the matrix-free search finds


class Modes(NamedTuple):
    """Eigenvalues (eV/Å²), ascending, and unit eigenvectors as columns: all of them, or the lowest few."""

    values: Float[np.ndarray, " modes"]
    vectors: Float[np.ndarray, "n modes"]


def lowest_modes(enthalpy: Enthalpy, conditions: Conditions, point: Point, dense: bool | None = None) -> Modes:
    """Modes of ∂²G/∂x² at a point, in x = (coordinates, J ε), without the displacements that cost nothing.

    ``dense`` makes the matrix and gives all of them, the default up to 900 unknowns; else the lowest 6 by ARPACK on
    Hessian-vector products. Raises FerrojaxError if ARPACK does not converge.
    """
    x = pack(point, conditions.free)
    dense = x.size <= (DENSE if dense is None else 2 * FEW) or bool(dense)
    idle = idle_directions(point.state, conditions.free)
    if dense:
        matrix = np.asarray(hessian(enthalpy, conditions, point, x), float)
        values, vectors = np.linalg.eigh(matrix + STIFF * idle @ idle.T)
        count = x.size - idle.shape[1]
        return Modes(values[:count], vectors[:, :count])
    operator = LinearOperator((x.size, x.size), stiffened(enthalpy, conditions, point, x, idle), dtype=float)
    start = np.random.default_rng(0).normal(size=x.size)
    try:
        values, vectors = eigsh(operator, k=FEW, which="SA", v0=start, tol=1e-6, maxiter=100 * FEW)
    except ArpackNoConvergence as error:
        raise FerrojaxError(
            f"modes: ARPACK found {len(error.eigenvalues)} of the lowest {FEW} modes of {x.size} unknowns; use float64 or a smaller cell."
        ) from None
    order = np.argsort(values)
    return Modes(values[order], vectors[:, order])


def stiffened(
    enthalpy: Enthalpy, conditions: Conditions, point: Point, x: Array, idle: Float[np.ndarray, "n idle"]
) -> Callable[[np.ndarray], np.ndarray]:
    """Products with ∂²G/∂x², in which displacements that cost nothing are stiff."""

    def product(v: np.ndarray) -> np.ndarray:
        v = v.reshape(-1)
        return np.asarray(hessian_product(enthalpy, conditions, point, x, jnp.asarray(v, x.dtype)), float) + STIFF * idle @ (idle.T @ v)

    return product


@functools.partial(jax.jit, static_argnums=0)
def hessian_product(enthalpy: Enthalpy, conditions: Conditions, point: Point, x: Array, v: Array) -> Float[Array, " n"]:
    """∂²G/∂x² v, one forward derivative of the gradient."""
    moves = moving(point.state, conditions.free)
    slope = jax.grad(functools.partial(energy, enthalpy, conditions, point))
    return jnp.where(moves, jax.jvp(slope, (x,), (jnp.where(moves, v, 0.0),))[1], 0.0)


@functools.partial(jax.jit, static_argnums=0)
def hessian(enthalpy: Enthalpy, conditions: Conditions, point: Point, x: Array) -> Float[Array, "n n"]:
    """∂²G/∂x², symmetric."""
    columns = functools.partial(hessian_product, enthalpy, conditions, point, x)
    matrix = matrix_of(columns, x.size, x.dtype)
    return (matrix + matrix.T) / 2


def idle_directions(state: State | LatticeState, free: tuple[int, ...]) -> Float[np.ndarray, "n idle"]:
    """Unit vectors, as columns, of what costs nothing in (coordinates, J ε): those of ``stability.idle_directions``."""
    return np.pad(stability.idle_directions(state), ((0, len(free)), (0, 0)))


def describe_mode(value: float, vector: Float[np.ndarray, " n"], state: State | LatticeState) -> str:
    """A mode in words: stiffness, about what frequency, and what moves most.

    The frequency is that of the mass moved, √(λ/Σ m v²): an estimate, since the vector is no mode of motion.
    """
    count = state.coordinates.size
    rows = vector[:count].reshape(-1, 3)
    moved = np.sum(rows**2, 1)
    inertia = float(moved @ np.asarray(state.masses)[:, 0])
    if moved.sum() < 0.1:
        return f"{value:.3g} eV/Å², a strain"
    k = int(moved.argmax())
    name = f"atom {k} ({state.to_ase().symbols[k]})" if isinstance(state, State) else f"row {k}"
    frequency = f"{THZ * np.sqrt(abs(value) / inertia):.3g}{'i' if value < 0 else ''} THz"
    return f"{value:.3g} eV/Å² (about {frequency}), most of it {name} along {'xyz'[int(np.abs(rows[k]).argmax())]}"
