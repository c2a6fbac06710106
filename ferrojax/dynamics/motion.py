"""Maxwell-Boltzmann momenta and temperature, in eV, Å, amu (momenta in √(amu eV))."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ferrojax.effective.lattice import LatticeState
from ferrojax.matrix import inverse
from ferrojax.state import State
from ferrojax.units import BOLTZMANN


def deforming_shift(positions: Array, step: Array, deform: Array | None = None, **_: Array) -> Array:
    """Displacement of unwrapped Cartesian positions, and the deformation imposed on them meanwhile; no box."""
    moved = positions + step
    return moved if deform is None else moved @ deform


def deformed_momenta(momenta: Array, deform: Array | None) -> Array:
    """P X⁻ᵀ: momenta after a deformation X of space at fixed fractional coordinates, so that it works against the kinetic stress too."""
    return momenta if deform is None else momenta @ inverse(deform).T


def draw_momenta(key: Array, state: State | LatticeState, temperature: float | Float[Array, ""]) -> Float[Array, "rows 3"]:
    """Maxwell-Boltzmann momenta at a temperature (K), the centre of mass at rest."""
    noise = jax.random.normal(key, state.coordinates.shape, state.coordinates.dtype)
    heat = BOLTZMANN * jnp.asarray(temperature, noise.dtype)
    return remove_drift(jnp.sqrt(state.masses * heat) * noise, state)


def remove_drift(momenta: Float[Array, "rows 3"], state: State | LatticeState) -> Float[Array, "rows 3"]:
    """Momenta with the centre of mass of the loose rows at rest; zero for padding atoms."""
    momenta = jnp.where(state.mobile[:, None], momenta, 0.0)
    if state.loose is None:
        return momenta
    mass = jnp.where(state.loose[:, None], state.masses, 0.0)
    return momenta - mass * jnp.sum(jnp.where(mass > 0, momenta, 0.0), 0) / jnp.sum(mass)


def kinetic_energy(momenta: Float[Array, "rows 3"], state: State | LatticeState) -> Float[Array, ""]:
    """Σ p²/2m, eV."""
    return 0.5 * jnp.sum(momenta**2 / state.masses)


def temperature(momenta: Float[Array, "rows 3"], state: State | LatticeState) -> Float[Array, ""]:
    """T = 2 K / (k_B N_f), K."""
    return 2 * kinetic_energy(momenta, state) / (BOLTZMANN * degrees_of_freedom(state))


def degrees_of_freedom(state: State | LatticeState) -> Int[Array, ""]:
    """N_f: 3N, padding atoms not counted, less 3 where the centre of mass is at rest."""
    return 3 * jnp.maximum(jnp.sum(state.mobile) - (state.loose is not None), 1)
