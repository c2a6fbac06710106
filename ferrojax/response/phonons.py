"""Phonons at any wave vector by automatic differentiation, with the long-range part exact."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ferrojax.effective.lattice import strain_tensor
from ferrojax.enthalpy import Enthalpy, shared_enthalpy
from ferrojax.equilibrium.implicit import settle
from ferrojax.equilibrium.inputs import check_state
from ferrojax.equilibrium.stability import check_rest
from ferrojax.errors import FerrojaxError
from ferrojax.response.bloch import with_images
from ferrojax.response.first import forces
from ferrojax.response.waves import wave_response
from ferrojax.state import State, apply_strain, field_inside
from ferrojax.units import COULOMB, THZ

BATCH = 8  # wave vectors done together
DEGENERATE = 1e-6  # of the largest eigenvalue: modes closer than this are one multiplet


class Phonons:
    """Phonons of a relaxed structure.

        D(q) = [Φ(q) + 4π k_e/(V q²) S* S] / √(m m')    (see ``wave_response``)

    Wave vectors are in reduced coordinates of the structure's own cell, frequencies in THz, imaginary ones negative, eigenvectors in
    the phase convention of the atoms' positions: u_i(R) = e_i/√m_i exp(iq·(R + r_i)), as in phonopy. At q = 0 no field is included
    unless a direction of approach is given (LO-TO splitting). Gonze and Lee, Phys. Rev. B 55, 10355 (1997).

    Args:
        model, params: as ``load`` returns them. state: relaxed, from ``model.prepare(atoms, np.float64)``, the primitive cell.
        field: V/Å. masses: of isotopes, amu; by default ASE's.

    Raises FerrojaxError for a state in float32 or not at rest.
    """

    def __init__(
        self,
        model: Any,
        params: Any,
        state: State,
        field: Sequence[float] | np.ndarray | Array = (0.0, 0.0, 0.0),
        masses: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        if state.cell.dtype != jnp.float64:
            raise FerrojaxError("phonons: second derivatives need float64; set JAX_ENABLE_X64=1 and prepare the state in np.float64.")
        check_state(state, "phonons")
        self.model, self.params, self.field = model, params, jnp.asarray(field, state.cell.dtype)
        self.masses = np.asarray(state.masses[:, 0] if masses is None else masses, float)
        self.enthalpy = _enthalpy(model)
        self.state = with_images(state)
        check_rest(forces(self.enthalpy, params, self.state, self.field).ravel(), self.state, "phonons")

    def force_constants(
        self, wave: Float[np.ndarray, "3"] | Sequence[float], direction: Sequence[float] | None = None
    ) -> Complex[np.ndarray, "atoms 3 atoms 3"]:
        """Φ(q) with the macroscopic field, eV/Å²; at q = 0 with that of a Cartesian ``direction`` of approach, if given."""
        return self.many(np.asarray(wave, float)[None], None if direction is None else np.asarray(direction, float)[None])[0]

    def many(
        self, waves: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"] | None = None
    ) -> Complex[np.ndarray, "n atoms 3 atoms 3"]:
        """Φ of many wave vectors; rows of ``directions`` that are zero stand for none."""
        waves = np.asarray(waves, float)
        directions = np.zeros_like(waves) if directions is None else np.asarray(directions, float)
        padded = -len(waves) % BATCH  # one compiled shape
        both = [np.concatenate([x, np.zeros((padded, 3))]) for x in (waves, directions)]
        parts = [
            _many(self.model, self.params, self.state, self.field, *(jnp.asarray(x[i : i + BATCH]) for x in both))
            for i in range(0, len(both[0]), BATCH)
        ]
        return np.concatenate([np.asarray(part) for part in parts])[: len(waves)]

    def frequencies(
        self, waves: Float[np.ndarray, "n 3"] | Sequence[Sequence[float]], directions: Float[np.ndarray, "n 3"] | None = None
    ) -> Float[np.ndarray, "n modes"]:
        """THz, ascending, negative for imaginary ones."""
        return to_thz(np.linalg.eigvalsh(self._dynamical(self.many(np.asarray(waves, float), directions))))

    def modes(
        self, wave: Sequence[float] | np.ndarray, direction: Sequence[float] | None = None
    ) -> tuple[Float[np.ndarray, " modes"], Complex[np.ndarray, "modes atoms 3"]]:
        """Frequencies (THz) and eigenvectors e, of unit norm, a row a mode."""
        values, vectors = np.linalg.eigh(self._dynamical(self.force_constants(wave, direction)))
        return to_thz(values), vectors.T.reshape(len(values), -1, 3)

    def derivatives(self, wave: Sequence[float] | np.ndarray) -> tuple[Float[np.ndarray, "modes 6"], Float[np.ndarray, "modes 3"]]:
        """∂(ν²) of each mode by strain (Voigt, η4 = 2ε_yz) and by field, THz² and THz² Å/V, the atoms following.

            ∂ν² = e† ∂D e/4π²,  within a multiplet the eigenvalues of that matrix, for each of the nine components by itself

        q is held in reduced coordinates.
        """
        whole = self._dynamical(self.force_constants(wave))
        slopes = _slopes(self.model, self.params, self.state, self.field, jnp.asarray(wave, float))
        values, vectors = np.linalg.eigh(whole)
        columns = self._dynamical(np.moveaxis(np.asarray(slopes), -1, 0))
        result = np.stack([_split(values, vectors, column) for column in columns], 1) * THZ**2
        return result[:, :6], result[:, 6:]

    def gruneisen(self, wave: Sequence[float] | np.ndarray) -> Float[np.ndarray, "modes 6"]:
        """γ_j = -∂ln ω/∂η_j of each mode, atoms following. Raises FerrojaxError where a frequency vanishes."""
        values = np.linalg.eigvalsh(self._dynamical(self.force_constants(wave))) * THZ**2
        if np.min(np.abs(values)) < 1e-6:
            raise FerrojaxError(f"gruneisen: a mode at q = {list(map(float, wave))} has no frequency; take a wave vector off Γ.")
        return -self.derivatives(wave)[0] / (2 * values[:, None])

    def _dynamical(self, constants: Complex[np.ndarray, "*n atoms 3 atoms 3"]) -> Complex[np.ndarray, "*n modes modes"]:
        root = np.repeat(np.sqrt(self.masses), 3)
        flat = constants.reshape(*constants.shape[:-4], len(root), len(root))
        return (flat + np.conj(np.swapaxes(flat, -1, -2))) / (2 * np.outer(root, root))


def to_thz(values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """ν = √(K/m)/2π of eigenvalues in eV/Å²/amu, THz; negative for negative ones."""
    return np.sign(values) * np.sqrt(np.abs(values)) * THZ


def force_constants_at(
    model: Any, params: Any, state: State, field: Float[Array, "3"], wave: Float[Array, "3"], direction: Float[Array, "3"]
) -> Complex[Array, "atoms 3 atoms 3"]:
    """Φ at a wave vector in reduced coordinates with its macroscopic field, differentiable; at q = 0 that of ``direction``, if not zero."""
    whole = jnp.round(wave)  # to the first zone, where the macroscopic term is the one of G = 0
    to_cartesian = 2 * jnp.pi * jnp.linalg.inv(state.cell)
    inside = to_cartesian @ (wave - whole)
    response = wave_response(model, params, state, inside, field)
    squared = inside @ inside
    at_zone_centre = squared < 1e-16
    norm = direction @ direction
    axis = direction / jnp.sqrt(jnp.where(norm > 0, norm, 1.0))
    born = jnp.einsum("a,aib->ib", axis, response.dipole) / model.config.eps_inf**0.5
    charge = jnp.where(at_zone_centre, born, response.charge / jnp.sqrt(jnp.where(at_zone_centre, 1.0, squared)))
    strength = 4 * jnp.pi * COULOMB / state.volume
    constants = response.force_constants + strength * jnp.einsum("ia,jb->iajb", charge.conj(), charge)
    turn = jnp.exp(1j * (state.positions @ (to_cartesian @ whole)))
    return constants * turn.conj()[:, None, None, None] * turn[:, None]


@functools.partial(jax.jit, static_argnums=0)
def _many(model, params, state, field, waves, directions):
    return jax.lax.map(lambda both: force_constants_at(model, params, state, field, *both), (waves, directions))


@functools.partial(jax.jit, static_argnums=0)
def _slopes(model, params, state, field, wave):
    """∂Φ/∂(η, E), the atoms at rest throughout; (atoms, 3, atoms, 3, 9)."""

    def of(z: Array) -> Array:
        settled = settle(_enthalpy(model), params, state, strain_tensor(z[:6]), field + z[6:])
        strained = apply_strain(state.at(settled.coordinates), settled.strain)
        inside = field_inside(settled.strain, field + z[6:])
        return force_constants_at(model, params, strained, inside, wave, jnp.zeros_like(wave))

    return jax.jacfwd(of)(jnp.zeros(9, state.cell.dtype))


def _enthalpy(model: Any) -> Enthalpy:
    return shared_enthalpy(model, long_range="ewald")


def _split(values: np.ndarray, vectors: np.ndarray, change: np.ndarray) -> np.ndarray:
    """First-order change of each eigenvalue, of multiplets the eigenvalues of the change within."""
    result, start = np.zeros(len(values)), 0
    gap = DEGENERATE * np.abs(values).max()
    for stop in range(1, len(values) + 1):
        if stop == len(values) or values[stop] - values[stop - 1] > gap:
            inside = vectors[:, start:stop]
            result[start:stop] = np.linalg.eigvalsh(inside.conj().T @ change @ inside)
            start = stop
    return result
