"""Bending of films and sheets: the moment and the rigidity of a slab held in the shape of a sine, by its response to waves along it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ferrojax.enthalpy import shared_enthalpy
from ferrojax.equilibrium.inputs import checked
from ferrojax.equilibrium.stability import check_rest
from ferrojax.errors import FerrojaxError
from ferrojax.response.bloch import with_images
from ferrojax.response.first import energy_forces_stress
from ferrojax.response.waves import WaveResponse, wave_response
from ferrojax.state import State
from ferrojax.units import COULOMB

TENSION = 0.01  # of the rigidity, which a film that is not free of tension may be wrong by


@dataclass(frozen=True)
class FilmBending:
    """Bending of a film with normal z, per area; curvature κ = ∂²u_z/∂x², so that the strain gradient is ∂ε_xx/∂z = -κ.

    moment: dipole per area and curvature of the film alone, D_z = 0, e; short: the same at E_z = 0 across the cell. rigidity: D of
    the energy ½ D κ² per area, eV, D_z = 0. waves: q, 1/Å, with the moment and the rigidity at E_z = 0 found at each; the numbers
    above are their limit q → 0.
    """

    moment: float
    short: float
    rigidity: float
    waves: Float[np.ndarray, " n"]
    moments: Float[np.ndarray, " n"]
    rigidities: Float[np.ndarray, " n"]


def film_bending(
    model: Any, params: Any, state: State, axis: int = 0, cells: Sequence[int] = (16, 24, 32), field: Any = None
) -> FilmBending:
    """A film bent along one of its lattice vectors, as a sine over so many cells; the direct experiment beside ``flexo_tensors``.

        min ½ u†Φ(q)u  at  (1/N) Σ u_z = 1:    D = u†Φu/(A q⁴),    moment = -V P_z(q)·u/(A q²)

    for waves of 2π/n along the reciprocal vector of ``axis``, and their limit at q = 0 by a polynomial in q². All surfaces and the
    relaxation of every atom are in it. With vacuum the images feel each other through E_z only. What the film alone keeps, moment/ε
    and D + moment²/(ε0 H ε), does not depend on the cell's height H; ε = ε∞ + χ_zz, as charges are screened by ε∞ everywhere (see
    ``displacement_energy``).

    state: cell vectors a, b across z and c along it, at rest, free of tension in the plane, in float64; atoms anywhere along c.
    Raises FerrojaxError for a film that is none of this, for fewer than two waves and for one that buckles.
    Stengel, Phys. Rev. B 90, 201112 (2014); Springolo, Royo and Stengel, Phys. Rev. Lett. 127, 216801 (2021).
    """
    dtype = state.cell.dtype
    field = checked("field", field, (3,), "V/Å", dtype)
    cell = np.asarray(state.cell)
    _check_film(state, axis, cells)
    shared = shared_enthalpy(model, long_range="ewald")
    _, forces, stress = energy_forces_stress(shared, params, state, field)
    check_rest(forces.ravel(), state, "film_bending")
    images, reciprocal = with_images(state), 2 * np.pi * np.linalg.inv(cell).T[axis]
    area, height = float(np.linalg.norm(np.cross(cell[0], cell[1]))), float(cell[2, 2])
    waves = np.array([np.linalg.norm(reciprocal) / n for n in cells])
    found = [_sine(_compiled(model, params, images, jnp.asarray(reciprocal / n, dtype), field), area, q) for n, q in zip(cells, waves)]
    moments, rigidities = np.array(found).T
    short, stiffness = (_limit(waves, values) for values in (moments, rigidities))
    if not stiffness > 0:
        raise FerrojaxError(f"film_bending: the film buckles, its rigidity is {stiffness:.3g} eV; relax a longer cell of it first.")
    direction = reciprocal / np.linalg.norm(reciprocal)
    _check_tension(float(direction @ np.asarray(stress) @ direction) * height, waves.min(), stiffness)
    rest = _compiled(model, params, images, jnp.zeros(3, dtype), field)
    eps = model.config.eps_inf + _susceptibility(rest, area * height)
    # 1/ε0 = 4π k_e in e and eV.
    return FilmBending(short / eps, short, stiffness + 4 * np.pi * COULOMB * short**2 / (height * eps), waves, moments, rigidities)


_compiled = functools.partial(jax.jit, static_argnums=0)(wave_response)


def _sine(wave: WaveResponse, area: float, q: float) -> tuple[float, float]:
    """Moment per area and curvature (e) and rigidity (eV) of a slab whose mean u_z is a wave of amplitude one."""
    size = 3 * len(wave.charge)
    held = np.tile([0.0, 0.0, 3.0 / size], size // 3)
    whole = np.block([[np.asarray(wave.force_constants).reshape(size, size), held[:, None]], [held[None], np.zeros((1, 1))]])
    solution = np.linalg.solve(whole, np.append(np.zeros(size), 1.0))
    dipole = np.asarray(wave.dipole[2]).reshape(size) @ solution[:size]
    return float(-dipole.real / (area * q**2)), float(-solution[size].real / (area * q**4))


def _limit(waves: np.ndarray, values: np.ndarray) -> float:
    """Value at q = 0 of the polynomial in q² through all values."""
    return float(np.linalg.solve(np.vander(waves**2, increasing=True), values)[0])


def _susceptibility(rest: WaveResponse, volume: float) -> float:
    """χ_zz of the atoms that follow a field, of the cell with its vacuum."""
    stiffness = np.asarray(rest.force_constants).real.reshape(rest.charge.size, -1)
    born = np.asarray(rest.dipole[2]).real.ravel()
    return 4 * np.pi * COULOMB * float(born @ np.linalg.pinv(stiffness, rcond=1e-9, hermitian=True) @ born) / volume


def _check_film(state: State, axis: int, cells: Sequence[int]) -> None:
    cell = np.asarray(state.cell)
    if state.cell.dtype != jnp.float64:
        raise FerrojaxError("film_bending: q⁴ needs float64; set JAX_ENABLE_X64=1 and prepare the state in np.float64.")
    if axis not in (0, 1) or len(set(cells)) < 2 or len(set(cells)) != len(cells) or min(cells) < 3:
        raise FerrojaxError(f"film_bending: axis {axis} is 0 or 1, cells {tuple(cells)} are two or more different numbers from 3 on.")
    if np.abs([cell[0, 2], cell[1, 2], cell[2, 0], cell[2, 1]]).max() > 1e-6:
        raise FerrojaxError(f"film_bending: vectors a and b of the cell lie across z and c along it; got {cell.round(4).tolist()} Å.")
    heights = np.sort(np.asarray(state.positions)[np.asarray(state.mobile), 2] % cell[2, 2])
    vacuum = np.diff(np.append(heights, heights[0] + cell[2, 2])).max()
    if vacuum < state.topology.cutoff:
        raise FerrojaxError(
            f"film_bending: {vacuum:.1f} Å of vacuum, and atoms see each other up to {state.topology.cutoff:g} Å; make the cell higher."
        )


def _check_tension(tension: float, q: float, rigidity: float) -> None:
    """A tension T pulls a wave straight: it adds T/q² to the rigidity."""
    if abs(tension) / q**2 > TENSION * rigidity:
        raise FerrojaxError(
            f"film_bending: tension of {tension:.2g} eV/Å² in the film; relax its cell in the plane first (cell=[[1,1,0],[1,1,0],[0,0,0]])."
        )
