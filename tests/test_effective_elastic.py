"""The elastic part of the lattice enthalpy: acoustic modes, relaxed strain, epitaxy, alloys."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_lattice import BULK, CELL, FIELD, NO_FIELD, NO_STRAIN, SHAPE, STRAIN, parameters, random_state

from ferrojax.effective import (
    load_parameters,
    make_enthalpy,
    minimise,
    relaxed_strain,
    stationary,
    strain_tensor,
    uniform_state,
    voigt_strain,
)
from ferrojax.effective.acoustic import local_strain, relaxed_acoustic
from ferrojax.effective.terms import elastic_tensor, strain_sources

ODD = make_enthalpy((5, 3, 3))  # no zone boundary; compiled once


def sources(params, state):
    return strain_sources(params, jnp.moveaxis(state.modes, -1, 0), state.occupation)


def test_explicit_acoustic_modes_relax_to_the_adiabatic_energy():
    shape = ODD.shape  # odd: no zone boundary
    enthalpy, params, state = ODD, parameters(), random_state(shape)
    explicit = state.replace(acoustic=jax.jit(relaxed_acoustic)(params, sources(params, state)))
    adiabatic = float(enthalpy(params, state, STRAIN, FIELD))
    assert float(enthalpy(params, explicit, STRAIN, FIELD)) == pytest.approx(adiabatic, rel=1e-13)
    residual = jax.jit(jax.grad(lambda s: enthalpy(params, s, STRAIN, FIELD)))(explicit).acoustic
    assert float(jnp.abs(residual).max()) < 1e-12
    away = state.replace(acoustic=random_state(shape, acoustic=True).acoustic)
    assert float(enthalpy(params, away, STRAIN, FIELD)) > adiabatic


def test_acoustic_energy_is_that_of_the_local_strain():
    """Σ ½ η·B η + η·y with η from w by differentiation: the elastic part integrated by parts."""
    shape = ODD.shape
    enthalpy, params, state = ODD, parameters(), random_state(shape, acoustic=True)
    eta = local_strain(state.acoustic, params.a0)
    expected = 0.5 * jnp.einsum("ixyz,ij,jxyz->", eta, elastic_tensor(params), eta) + jnp.vdot(eta, sources(params, state))
    rigid = state.replace(acoustic=jnp.ones_like(state.acoustic))
    found = enthalpy(params, state, STRAIN, FIELD) - enthalpy(params, rigid, STRAIN, FIELD)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


def test_strain_relaxed_in_closed_form_has_no_stress_left():
    enthalpy, params, state = BULK, parameters(), random_state(SHAPE)
    params = params.replace(stress=jnp.asarray(STRAIN))  # any symmetric tensor
    strain = relaxed_strain(params, state)
    total = jax.grad(enthalpy, 2)(params, state, strain, FIELD) / (60 * params.a0**3)
    np.testing.assert_allclose(total, np.zeros((3, 3)), atol=1e-14)
    inner = jax.grad(enthalpy, 2)(params.replace(stress=jnp.zeros((3, 3))), state, strain, FIELD) / (60 * params.a0**3)
    np.testing.assert_allclose(inner, STRAIN, atol=1e-14)


def test_minimum_and_newton_agree_and_epitaxy_holds_the_film_plane():
    params, enthalpy = load_parameters("batio3-wc"), CELL
    misfit = strain_tensor(jnp.array([-0.01, -0.01, 0.3, 0.1, 0.1, 0.0]))
    start = uniform_state((1, 1, 1), (0.01, 0.02, 0.12))
    down = minimise(enthalpy, params, start, misfit, FIELD, clamp="epitaxial", tolerance=1e-9)
    newton = stationary(enthalpy, params, down.state, misfit, FIELD, clamp="epitaxial", tolerance=1e-11)
    assert newton.energy == pytest.approx(down.energy, abs=1e-13)
    np.testing.assert_allclose(voigt_strain(down.strain)[jnp.array([0, 1, 5])], [-0.01, -0.01, 0.0], atol=1e-15)
    stress = jax.grad(enthalpy, 2)(params, down.state, down.strain, FIELD) / (params.a0**3)
    np.testing.assert_allclose(voigt_strain(stress)[jnp.array([2, 3, 4])], np.zeros(3), atol=1e-14)
    assert down.max_force <= 1e-9


def test_alloy_term_strains_the_lattice():
    """b Σ a Tr η: a composition wave relaxes by ½ b² <a²>/B11, a mean composition pulls on the volume."""
    params, cells = load_parameters("basrtio3-x50"), 5
    wave = np.cos(2 * np.pi * np.arange(cells) / cells)
    state = uniform_state((cells, 1, 1)).replace(occupation=jnp.asarray(wave).reshape(cells, 1, 1))
    enthalpy = make_enthalpy((cells, 1, 1))
    found = float(enthalpy(params, state, NO_STRAIN, NO_FIELD))
    assert found == pytest.approx(-0.5 * 0.279**2 * np.sum(wave**2) / float(params.b11), rel=1e-12)
    filled = uniform_state((cells, 1, 1)).replace(occupation=jnp.ones((cells, 1, 1)))
    empty = uniform_state((cells, 1, 1))
    change = float(enthalpy(params, filled, STRAIN, NO_FIELD) - enthalpy(params, empty, STRAIN, NO_FIELD))
    assert change == pytest.approx(-0.279 * cells * float(jnp.trace(STRAIN)), rel=1e-12)
