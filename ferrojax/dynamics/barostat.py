"""What the constant-stress integrators share: which cells may change, and the pieces of one step.

Row vectors throughout: position r, cell h (rows are lattice vectors), rate of deformation v with

    dr/dt = p/m + r v        dh/dt = h v        dp/dt = f - p vᵀ - (Tr v / N_f) p
    W dv/dt = S[ Σ p⊗p/m - ∂U/∂X + (Σ p²/m / N_f) 1 + Φ ]

S projects on the deformations allowed, ∂U/∂X is the slope with respect to a homogeneous deformation
(r → r X, h → h X), and Φ = -p V 1 + V₀ Xᵀ T X the push from outside: hydrostatic pressure p
and deviatoric stress T, the latter held per area of the reference cell h₀ (X = h₀⁻¹ h), so
that it has a potential, p V - V₀ Tr(T η) with η = ½ (X Xᵀ - 1).
Martyna, Tobias and Klein, J. Chem. Phys. 101, 4177 (1994); Parrinello and Rahman, J. Appl. Phys. 52, 7182 (1981).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.errors import FerrojaxError
from ferrojax.matrix import exponential, inverse, mean_exponential

Matrix = Float[Array, "3 3"]
Energy = Callable[..., Array]
Number = Any  # a float or a scalar array

FREEDOM = {"isotropic": 1, "uniaxial": 1, "orthorhombic": 3, "film": 3, "triclinic": 6}


def project(cell: str, tensor: Matrix) -> Matrix:
    """The part of a rate or push that the kind of cell allows (S above).

    isotropic: the volume. orthorhombic: the three diagonal strains. triclinic: all six, without
    rotation. film: a and b fixed in the xy plane, c free (epitaxial film). uniaxial: only the
    height along z.
    """
    if cell == "isotropic":
        return jnp.trace(tensor) / 3 * jnp.eye(3, dtype=tensor.dtype)
    if cell == "orthorhombic":
        return tensor * jnp.eye(3, dtype=tensor.dtype)
    if cell == "triclinic":
        return 0.5 * (tensor + tensor.T)
    rows = {"film": [[0, 0, 0], [0, 0, 0], [1, 1, 1]], "uniaxial": [[0, 0, 0], [0, 0, 0], [0, 0, 1]]}
    return tensor * jnp.asarray(rows[cell], tensor.dtype)


def check_cell_kind(cell: str, vectors: np.ndarray) -> None:
    """Raise FerrojaxError for an unknown kind, and for a film whose a and b leave the xy plane."""
    if cell not in FREEDOM:
        raise FerrojaxError(f"the cell of a constant-stress run must be one of {sorted(FREEDOM)}; got {cell!r}.")
    if cell in ("film", "uniaxial") and np.abs(np.asarray(vectors)[:2, 2]).max() > 1e-6:
        raise FerrojaxError(f"cell={cell!r} needs two lattice vectors in the xy plane, a and b; rotate the structure (standard form).")


def slopes(energy: Energy, position: Array, cell: Matrix, follows_cell: bool = True, **kwargs: Any) -> tuple[Array, Array, Matrix]:
    """Energy, forces and ∂U/∂X in one reverse pass of ``energy(position, cell=cell, **kwargs)``.

    Here and below ``follows_cell`` is False for coordinates that a deformation leaves alone (local modes): then no
    momentum enters the cell's equation, and no rate those of the coordinates.
    """

    def of(position: Array, deformation: Matrix) -> Array:
        return energy(position @ deformation if follows_cell else position, cell=cell @ deformation, **kwargs)

    value, (slope, torsion) = jax.value_and_grad(of, (0, 1))(position, jnp.eye(3, dtype=cell.dtype))
    return value, -slope, torsion


def stress_tensor(stress: Any, dtype: Any) -> Matrix:
    """External stress, tension positive, from a number (times the unit tensor), Voigt components (xx yy zz yz xz xy) or a matrix."""
    stress = jnp.asarray(stress, dtype)
    if stress.ndim == 0:
        return stress * jnp.eye(3, dtype=dtype)
    if stress.shape == (6,):
        return stress[jnp.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])]
    return stress


def external_push(cell: Matrix, reference: Matrix, stress: Matrix) -> Matrix:
    """Φ = -p V 1 + V₀ Xᵀ T X, eV."""
    pressure = -jnp.trace(stress) / 3
    identity = jnp.eye(3, dtype=cell.dtype)
    deformation = inverse(reference) @ cell
    deviatoric = stress + pressure * identity
    return -pressure * jnp.linalg.det(cell) * identity + jnp.linalg.det(reference) * deformation.T @ deviatoric @ deformation


def external_energy(cell: Matrix, reference: Matrix, stress: Matrix) -> Float[Array, ""]:
    """P V - V₀ Tr(T η), eV, whose slope with respect to a deformation is -Φ."""
    pressure = -jnp.trace(stress) / 3
    identity = jnp.eye(3, dtype=cell.dtype)
    deformation = inverse(reference) @ cell
    strain = 0.5 * (deformation @ deformation.T - identity)
    return pressure * jnp.linalg.det(cell) - jnp.linalg.det(reference) * jnp.sum((stress + pressure * identity) * strain)


def cell_mass(kT: Number, freedom: Number, period: Number) -> Float[Array, ""]:
    """W = (N_f + 3) kT τ²/3; a stiff crystal responds faster than τ, by the square root of its elastic energy over kT."""
    return (freedom + 3) * kT * period**2 / 3


def kick_cell(state: Any, kind: str, push: Matrix, freedom: Number, time: Number, follows_cell: bool = True) -> Matrix:
    """Rate of deformation after ``time`` of the internal, kinetic and external push."""
    if not follows_cell:
        return state.rate + time / state.cell_mass * project(kind, push - state.torsion)
    momentum = state.momentum
    kinetic = momentum.T @ (momentum / state.mass)
    total = kinetic - state.torsion + jnp.trace(kinetic) / freedom * jnp.eye(3, dtype=kinetic.dtype) + push
    return state.rate + time / state.cell_mass * project(kind, total)


def kick(state: Any, freedom: Number, time: Number, follows_cell: bool = True) -> Array:
    """Momenta after ``time`` of dp/dt = f - p B, B = vᵀ + Tr v / N_f, exactly."""
    if not follows_cell:
        return state.momentum + time * state.force
    damping = state.rate.T + jnp.trace(state.rate) / freedom * jnp.eye(3, dtype=state.rate.dtype)
    return state.momentum @ exponential(-time * damping) + time * state.force @ mean_exponential(-time * damping)


def drift(state: Any, time: Number, deform: Matrix | None, follows_cell: bool = True) -> tuple[Array, Matrix]:
    """Positions and cell after ``time`` of dr/dt = p/m + r v, dh/dt = h v, exactly, then an imposed deformation."""
    growth = exponential(time * state.rate)
    if not follows_cell:
        return state.position + time * state.momentum / state.mass, state.cell @ (growth if deform is None else growth @ deform)
    position = state.position @ growth + time * (state.momentum / state.mass) @ mean_exponential(time * state.rate)
    cell = state.cell @ growth
    return (position, cell) if deform is None else (position @ deform, cell @ deform)
