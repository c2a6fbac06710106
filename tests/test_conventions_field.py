"""Lines of docs/conventions.md on polarization, fields and electrostatics."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from scipy.special import erf
from toy_enthalpy import BORN, ENERGY, ENTHALPY, FIELD, MOMENT, NO_FIELD, NO_STRAIN, PARAMS, STRESS, TOY, crystal, prepared
from toy_model import ToyModel

from ferrojax import units
from ferrojax.electrostatics.boundary import Boundary
from ferrojax.electrostatics.ewald import ewald_energy
from ferrojax.enthalpy import make_enthalpy
from ferrojax.response import first
from ferrojax.topology import edge_vectors, reciprocal_box


def test_field_sign():
    state, small = prepared(), 1e-5 * FIELD
    # The polarizability depends on the positions too, but only in second order of the field.
    push = (STRESS(state, small)[1] - STRESS(state, -small)[1]) / 2
    np.testing.assert_allclose(push, np.einsum("iab,a->ib", BORN(state, NO_FIELD), small), atol=1e-11)
    lone = TOY.prepare(Atoms("Mg", cell=9 * np.eye(3), pbc=True))  # charge +1, no neighbours
    np.testing.assert_allclose(STRESS(lone, FIELD)[1][0], FIELD, atol=1e-12)


def test_reduced_field():
    state, moved = prepared(), prepared(position=0, shift=2)
    assert np.abs(MOMENT(moved, NO_FIELD) - MOMENT(state, NO_FIELD)).max() > 1
    np.testing.assert_allclose(STRESS(moved, FIELD)[2], STRESS(state, FIELD)[2], atol=1e-12)
    assert np.abs(STRESS(state, FIELD)[2] - STRESS(state, NO_FIELD)[2]).max() > 1e-6


def test_polarization():
    state = prepared()
    bonds = jnp.einsum("im,imx->x", TOY.terms(PARAMS, state).flow, edge_vectors(state))
    expected = (TOY.formal_charges(state) @ state.positions + bonds) / state.volume
    compiled = jax.jit(partial(first.polarization, ENTHALPY, PARAMS))
    np.testing.assert_allclose(compiled(state, NO_FIELD), expected, atol=1e-13)


def test_quantum():
    state = prepared()
    jump = MOMENT(prepared(position=0, shift=1), NO_FIELD) - MOMENT(state, NO_FIELD)  # Mg, formal charge +1
    np.testing.assert_allclose(jump / state.volume, first.polarization_quantum(state.cell)[2], atol=1e-12)


def test_minimum_image():
    cell = jnp.asarray(crystal().cell.array)
    short = jnp.array([0.3, -0.2, 0.4])
    np.testing.assert_allclose(first.minimum_image_dipole(short + 3 * cell[0] - 2 * cell[2], cell), short, atol=1e-12)


def test_born_index():
    state, step = prepared(), 1e-4
    born = np.asarray(BORN(state, NO_FIELD))
    plus, minus = (MOMENT(state.replace(positions=state.positions.at[1, 2].add(s)), NO_FIELD) for s in (step, -step))
    np.testing.assert_allclose(born[1, :, 2], (plus - minus) / (2 * step), atol=1e-6)
    assert np.abs(born[1] - born[1].T).max() > 1e-3  # else the order of the indices would not show


def test_chi_inf():
    state = prepared()
    chi = jax.jit(partial(first.chi_inf, ENTHALPY, PARAMS))(state, NO_FIELD)
    np.testing.assert_allclose(chi, TOY.terms(PARAMS, state).polarizability / (state.volume * units.EPSILON_0), atol=1e-12)


def test_polarizability_unit():
    state = prepared()
    induced = MOMENT(state, FIELD) - MOMENT(state, NO_FIELD)
    np.testing.assert_allclose(induced, TOY.terms(PARAMS, state).polarizability @ FIELD, atol=1e-12)


def test_screening():
    state = prepared()
    charges = TOY.terms(PARAMS, state).charges
    bare = ewald_energy(charges, state.positions, state.cell, state.topology.kgrid, TOY.config.smearing)
    energies = [make_enthalpy(ToyModel(eps_inf=eps))(PARAMS, state, NO_STRAIN, NO_FIELD) for eps in (1.0, 5.0)]
    assert float(energies[0] - energies[1]) == pytest.approx(float(bare) * (1 - 1 / 5.0), rel=1e-9)


def test_smearing():
    side, sigma, r = 30.0, 0.9, 2.0
    cell, positions = side * np.eye(3), np.array([[0.0, 0, 0], [r, 0, 0]])
    kgrid = reciprocal_box(cell, 4.5 / sigma)
    energy = ewald_energy(jnp.array([1.0, -1.0]), jnp.asarray(positions), jnp.asarray(cell), kgrid, sigma)
    isolated = units.COULOMB * (1 / (sigma * np.sqrt(np.pi)) - erf(r / (2 * sigma)) / r)
    images = -2 * np.pi * units.COULOMB * r**2 / (3 * side**3)  # a tin-foil cubic lattice of dipoles; octupoles give 3e-5 more
    assert float(energy) == pytest.approx(isolated + images, abs=1e-4)


def test_tin_foil():
    # A vacuum boundary would add k_e (2π/3V) M², which jumps when an ion moves by a lattice vector.
    jump = ENERGY(prepared(position=0, shift=1), NO_STRAIN, NO_FIELD) - ENERGY(prepared(), NO_STRAIN, NO_FIELD)
    assert float(jump) == pytest.approx(0, abs=1e-9)


def test_displacement():
    state = prepared()
    origin = np.asarray(MOMENT(state, NO_FIELD)) - [0, 0, 0.8]  # so that P_z V = 0.8 e Å
    outside = jnp.array([0.0, 0.0, 0.1])  # D/ε0, V/Å
    enthalpy = make_enthalpy(TOY, Boundary(("E", "E", "D"), tuple(origin)))
    forces = jax.jit(partial(first.forces, enthalpy, PARAMS))(state, outside)
    inside = (outside[2] - 0.8 / (state.volume * units.EPSILON_0)) / TOY.config.eps_inf
    expected = STRESS(state, NO_FIELD)[1] + inside * BORN(state, NO_FIELD)[:, 2]
    np.testing.assert_allclose(forces, expected, atol=1e-9)
