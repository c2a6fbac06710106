"""Masses, Maxwell-Boltzmann momenta and temperature, in eV, Å, amu (momenta in √(amu eV))."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from ase.data import atomic_masses
from jaxtyping import Array, Float, Int

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


def masses(state: State) -> Float[Array, "atoms 1"]:
    """Atomic masses, amu; 1 for padding atoms, which are held still."""
    table = np.where(np.isfinite(atomic_masses), atomic_masses, 1.0)
    table[0] = 1.0
    return jnp.asarray(table, state.positions.dtype)[state.numbers][:, None]


def draw_momenta(key: Array, state: State, temperature: float | Float[Array, ""]) -> Float[Array, "atoms 3"]:
    """Maxwell-Boltzmann momenta at a temperature (K), total momentum zero."""
    noise = jax.random.normal(key, state.positions.shape, state.positions.dtype)
    heat = BOLTZMANN * jnp.asarray(temperature, noise.dtype)
    return remove_drift(jnp.sqrt(masses(state) * heat) * noise, state)


def remove_drift(momenta: Float[Array, "atoms 3"], state: State) -> Float[Array, "atoms 3"]:
    """Momenta in the frame of the centre of mass; zero for padding atoms."""
    mass = jnp.where((state.numbers > 0)[:, None], masses(state), 0.0)
    momenta = jnp.where(mass > 0, momenta, 0.0)
    return momenta - mass * jnp.sum(momenta, 0) / jnp.sum(mass)


def kinetic_energy(momenta: Float[Array, "atoms 3"], state: State) -> Float[Array, ""]:
    """Σ p²/2m, eV."""
    return 0.5 * jnp.sum(momenta**2 / masses(state))


def temperature(momenta: Float[Array, "atoms 3"], state: State) -> Float[Array, ""]:
    """T = 2 K / (k_B (3N - 3)), K: the centre of mass is at rest."""
    return 2 * kinetic_energy(momenta, state) / (BOLTZMANN * degrees_of_freedom(state))


def degrees_of_freedom(state: State) -> Int[Array, ""]:
    """3N - 3, padding atoms not counted."""
    return 3 * jnp.maximum(jnp.sum(state.numbers > 0) - 1, 1)
