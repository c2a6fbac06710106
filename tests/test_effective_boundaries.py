"""Electrical boundaries of the lattice enthalpy: open circuit, electrodes, dead layers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_lattice import CELL, FIELD, NO_FIELD, NO_STRAIN, STRAIN, parameters

from ferrojax.effective import LatticeBoundary, LatticeState, load_parameters, make_enthalpy, stripes, uniform_state
from ferrojax.units import COULOMB, EPSILON_0


def test_open_circuit_is_the_limit_of_a_long_longitudinal_wave():
    """LO-TO splitting of a point-dipole lattice: 2π k_e Z*²/(ε∞ a0³) in half curvatures, as 1/n²."""
    params = load_parameters("batio3-wc")
    lorentz = float(2 * jnp.pi * COULOMB * params.charge**2 / (params.eps_inf * params.a0**3))
    uniform = uniform_state((1, 1, 1), (1e-3, 0.0, 0.0))
    shorted = float(CELL(params, uniform, NO_STRAIN, NO_FIELD))
    opened = float(make_enthalpy((1, 1, 1), LatticeBoundary((1.0, 0.0, 0.0)))(params, uniform, NO_STRAIN, NO_FIELD))
    assert opened - shorted == pytest.approx(lorentz * 1e-6, rel=1e-10)
    gaps = []
    for cells in (48, 96):
        wave = np.cos(2 * np.pi * np.arange(cells) / cells)[:, None, None, None] * np.array([1e-3, 0.0, 0.0])
        energy = float(make_enthalpy((cells, 1, 1))(params, LatticeState(jnp.asarray(wave)), NO_STRAIN, NO_FIELD))
        gaps.append(2 * energy / cells / opened - 1)
    assert abs(gaps[1]) < 0.01
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.02)


def test_film_between_perfect_electrodes():
    """No gap: a film along z is a bulk, and a film in its plane is the bulk with stripes that alternate along z."""
    params, shape = parameters(), (2, 2, 3)
    film, bulk = make_enthalpy(shape, LatticeBoundary(dead_layers=0)), make_enthalpy(shape)
    up = uniform_state(shape, (0.0, 0.0, 0.2))
    assert float(film(params, up, STRAIN, FIELD)) == pytest.approx(float(bulk(params, up, STRAIN, FIELD)), rel=1e-13)
    along = uniform_state(shape, (0.2, 0.0, 0.0))
    image = stripes((6, 2, 2), (0.0, 0.2, 0.0), 6)
    image = LatticeState(jnp.moveaxis(image.modes, 0, 2)[..., jnp.array([1, 2, 0])])
    doubled = make_enthalpy((2, 2, 6))
    assert 2 * float(film(params, along, STRAIN, NO_FIELD)) == pytest.approx(float(doubled(params, image, STRAIN, NO_FIELD)), rel=1e-13)


def test_dead_layers_leave_a_depolarizing_field():
    """E_z = -P d/((l + d) ε0 ε∞) inside, the field of a capacitor with d dead layers."""
    params, layers, gap, u = load_parameters("batio3-wc"), 12, 4, 0.1
    state = uniform_state((1, 1, layers), (0.0, 0.0, u))

    def force(enthalpy, charge):
        """On a cell in the middle of the film, eV/Å."""
        changed = params.replace(charge=jnp.asarray(charge))
        return -float(jax.grad(enthalpy, 1)(changed, state, NO_STRAIN, NO_FIELD).modes[0, 0, layers // 2, 2])

    film, bulk = (make_enthalpy((1, 1, layers), LatticeBoundary(dead_layers=d)) for d in (gap, 0))
    charge = float(params.charge)
    # The gap also bears no stress from the modes; what it does without charges is elastic.
    electric = (force(film, charge) - force(bulk, charge)) - (force(film, 0.0) - force(bulk, 0.0))
    polarization = charge * u / float(params.a0) ** 3
    field = -polarization * gap / (layers + gap) / (EPSILON_0 * float(params.eps_inf))
    assert electric / charge == pytest.approx(field, rel=1e-6)
