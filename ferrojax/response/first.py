"""First derivatives of the enthalpy, and the Born charges and dielectric tensor.

With F(R, ε, E) the enthalpy of ``make_enthalpy``, everything here is a derivative at
ε = 0 and the given field. Each function is pure and compiled: vmap it, differentiate it,
call it inside another jit.
On an axis of fixed displacement (Boundary kind "D") the entry of ``field`` is D/ε0, so
there the derivative called polarization is -ε0 times the internal field instead of P.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.enthalpy import Enthalpy
from ferrojax.state import State
from ferrojax.units import EPSILON_0

# Compiled per enthalpy function and shape: keep the function that make_enthalpy returned.
compiled = functools.partial(jax.jit, static_argnums=0)


@compiled
def energy_forces_stress(
    enthalpy: Enthalpy, params: Any, state: State, field: Float[Array, "3"]
) -> tuple[Float[Array, ""], Float[Array, "atoms 3"], Float[Array, "3 3"]]:
    """Enthalpy (eV), forces (eV/Å) and stress (eV/Å³, tension positive), one reverse pass.

        f_i = -∂F/∂R_i,   σ_ab = (1/V) ∂F/∂ε_ab

    The field is the reduced one, so σ in a field does not depend on the branch of P
    and is symmetric; symmetrising removes rounding only, except next to a fixed
    displacement, whose torque on the cell it drops.
    """

    def of(positions: Array, strain: Array) -> Array:
        return enthalpy(params, state.replace(positions=positions), strain, field)

    energy, (slope, torsion) = jax.value_and_grad(of, (0, 1))(state.positions, _no_strain(state))
    return energy, -slope, (torsion + torsion.T) / (2 * state.volume)


@compiled
def forces(enthalpy: Enthalpy, params: Any, state: State, field: Float[Array, "3"]) -> Float[Array, "atoms 3"]:
    """Forces -∂F/∂R alone, eV/Å."""
    zero = _no_strain(state)
    return -jax.grad(lambda positions: enthalpy(params, state.replace(positions=positions), zero, field))(state.positions)


@compiled
def energy_dipole(enthalpy: Enthalpy, params: Any, state: State, field: Float[Array, "3"]) -> tuple[Float[Array, ""], Float[Array, "3"]]:
    """Enthalpy (eV) and dipole moment of the cell M = -∂F/∂E (e·Å), field-induced part included.

    M is defined modulo e times a lattice vector, and continuous along a trajectory of
    unwrapped positions.
    """
    zero = _no_strain(state)
    energy, slope = jax.value_and_grad(lambda e: enthalpy(params, state, zero, e))(field)
    return energy, -slope


@compiled
def dipole_moment(enthalpy: Enthalpy, params: Any, state: State, field: Float[Array, "3"]) -> Float[Array, "3"]:
    """M = -∂F/∂E, e·Å (see energy_dipole)."""
    return energy_dipole(enthalpy, params, state, field)[1]


@compiled
def polarization(enthalpy: Enthalpy, params: Any, state: State, field: Float[Array, "3"]) -> Float[Array, "3"]:
    """P = -(1/V) ∂F/∂E, e/Å² (times 16.02 C/m²), modulo the rows of polarization_quantum.

    King-Smith and Vanderbilt, Phys. Rev. B 47, 1651 (1993).
    """
    return dipole_moment(enthalpy, params, state, field) / state.volume


def polarization_quantum(cell: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    """The lattice of equivalent polarizations: rows e a_i / V, e/Å²."""
    return cell / jnp.linalg.det(cell)


def wrap_polarization(
    polarization: Float[Array, "3"], cell: Float[Array, "3 3"], reference: Float[Array, "3"] | float = 0.0
) -> Float[Array, "3"]:
    """The equivalent of a polarization closest to ``reference``, e/Å²."""
    volume = jnp.linalg.det(cell)
    return reference + minimum_image_dipole((polarization - reference) * volume, cell) / volume


def minimum_image_dipole(dipole: Float[Array, "3"], cell: Float[Array, "3 3"]) -> Float[Array, "3"]:
    """The shortest of the equivalent dipoles M + e n·cell, e·Å; its Jacobian in M is one.

    Rounds the reduced components, then looks at the 26 images around: in a skewed cell
    rounding alone need not find the shortest.
    """
    folded = dipole - jax.lax.stop_gradient(jnp.round(dipole @ jnp.linalg.inv(cell))) @ cell
    images = folded + jnp.asarray(_IMAGES, cell.dtype) @ cell
    return images[jnp.argmin(jnp.sum(images**2, -1))]


@compiled
def born_charges(enthalpy: Enthalpy, params: Any, state: State, field: Float[Array, "3"]) -> Float[Array, "atoms 3 3"]:
    """Born effective charges Z*[i, a, b] = ∂M_a/∂R_ib = -∂²F/∂E_a∂R_ib = ∂f_ib/∂E_a, e.

    Index a is the polarization, b the displacement. The charge-flow form of M makes
    them sum to zero over the atoms (acoustic sum rule). Three forward derivatives of
    the forces. Gonze and Lee, Phys. Rev. B 55, 10355 (1997).
    """
    response = jax.jacfwd(lambda e: forces(enthalpy, params, state, e))(field)
    return jnp.swapaxes(response, 1, 2)


@compiled
def chi_inf(enthalpy: Enthalpy, params: Any, state: State, field: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """Electronic (clamped-ion) susceptibility χ∞ = -(1/ε0V) ∂²F/∂E∂E = ε∞ - 1, dimensionless.

    Gonze and Lee, Phys. Rev. B 55, 10355 (1997).
    """
    return jax.jacfwd(lambda e: polarization(enthalpy, params, state, e))(field) / EPSILON_0


@compiled
def eps_inf(enthalpy: Enthalpy, params: Any, state: State, field: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """Electronic (clamped-ion) relative permittivity, ε∞ = 1 + χ∞."""
    return jnp.eye(3, dtype=field.dtype) + chi_inf(enthalpy, params, state, field)


_IMAGES = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)


def _no_strain(state: State) -> Float[Array, "3 3"]:
    return jnp.zeros((3, 3), state.cell.dtype)
