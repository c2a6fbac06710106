"""Displacement waves in the primitive cell against long supercells, for models with charge flow in a field."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_model import polar_perovskite, random_model
from toy_model import ToyModel, rattled_triclinic
from wave_dipole import wave_dipole

from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.response.bloch import at_wave, images, with_images
from ferrojax.response.first import born_charges, energy_forces_stress
from ferrojax.response.waves import wave_response
from ferrojax.topology import rebuild
from ferrojax.units import COULOMB

FIELD = jnp.array([0.0, 0.02, -0.01])
ZERO = jnp.zeros((3, 3))


@functools.cache
def waves(name):
    """Model, parameters, the structure, its state with images, and the compiled response."""
    if name == "toy":
        model = ToyModel()
        params, atoms = model.params, rattled_triclinic()
    else:
        (model, params), atoms = random_model(name, cutoff=3.6), polar_perovskite()
    state = with_images(model.prepare(atoms, np.float64))
    return model, params, atoms, state, jax.jit(lambda q: wave_response(model, params, state, q, FIELD))


def with_field_of_the_wave(model, atoms, response, q):
    """Φ(q) with the macroscopic field."""
    charge = np.asarray(response.charge)
    strength = 4 * np.pi * COULOMB / (atoms.get_volume() * (q @ q))
    return np.asarray(response.force_constants) + strength * np.einsum("ia,jb->iajb", charge.conj(), charge)


@pytest.mark.parametrize("name", ["toy", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fast", "accurate"))])
def test_waves_are_those_of_a_supercell(name):
    """Forces on and dipole of a wave of random complex amplitude in three cells; the charge is that of the dipole; Φ is Hermitian."""
    model, params, atoms, _, response_at = waves(name)
    cells = 3
    long, q = atoms.repeat((1, 1, cells)), 2 * np.pi * atoms.cell.reciprocal()[2] / cells
    state, enthalpy = model.prepare(long, np.float64), make_enthalpy(model)
    rng = np.random.default_rng(0)
    amplitude, phase = rng.normal(size=(len(atoms), 3)) + 1j * rng.normal(size=(len(atoms), 3)), np.exp(1j * long.positions @ q)
    wave = np.tile(amplitude, (cells, 1)) * phase[:, None]
    slope = jax.jit(jax.grad(lambda x: enthalpy(params, state.replace(positions=x), ZERO, FIELD)))
    by_parts = [jax.jvp(slope, (state.positions,), (jnp.asarray(part),))[1] for part in (wave.real, wave.imag)]
    measured = (np.asarray(by_parts[0]) + 1j * np.asarray(by_parts[1])) * phase.conj()[:, None]

    response = response_at(jnp.asarray(q))
    predicted = np.einsum("iajb,jb->ia", with_field_of_the_wave(model, atoms, response, q), amplitude)
    np.testing.assert_allclose(np.tile(predicted, (cells, 1)), measured, atol=1e-11 * np.abs(measured).max())
    dipole = wave_dipole(model, params, state, wave, q) / cells
    np.testing.assert_allclose(np.einsum("aib,ib->a", response.dipole, amplitude), dipole, atol=1e-7)
    phi = np.asarray(response.force_constants)
    np.testing.assert_allclose(phi, phi.transpose(2, 3, 0, 1).conj(), atol=1e-12 * np.abs(phi).max())
    charge = -1j * np.einsum("a,aib->ib", q, response.dipole) / model.config.eps_inf**0.5
    np.testing.assert_allclose(response.charge, charge, atol=1e-12)


def test_at_the_zone_centre_waves_are_uniform_displacements():
    model, params, atoms, _, response_at = waves("toy")
    enthalpy, state = make_enthalpy(model), model.prepare(atoms, np.float64)
    hessian = jax.jit(jax.hessian(lambda x: enthalpy(params, state.replace(positions=x), ZERO, FIELD)))(state.positions)
    response = response_at(jnp.zeros(3))
    np.testing.assert_allclose(response.force_constants, hessian, atol=1e-12 * np.abs(hessian).max())
    born = born_charges(enthalpy, params, state, jnp.zeros(3))
    np.testing.assert_allclose(response.dipole, np.swapaxes(born, 0, 1), atol=1e-12)
    np.testing.assert_allclose(response.charge, 0, atol=1e-12)


def test_slope_in_q_is_that_of_finite_differences():
    """First and second derivatives in q at a general point and at the zone centre."""
    *_, response_at = waves("toy")

    def numbers(q):
        response = response_at(q)
        return jnp.concatenate([response.force_constants.ravel(), response.charge.ravel(), response.dipole.ravel()])

    direction, h = jnp.array([0.3, -0.5, 0.4]), 2e-3
    slope = jax.jit(lambda q: jax.jvp(numbers, (q,), (direction,))[1])
    curvature = jax.jit(lambda q: jax.jvp(lambda p: jax.jvp(numbers, (p,), (direction,))[1], (q,), (direction,))[1])
    for q in (jnp.zeros(3), jnp.array([0.11, 0.07, -0.2])):
        values = {k: np.asarray(numbers(q + k * h * direction)) for k in (-2, -1, 0, 1, 2)}
        first = (8 * (values[1] - values[-1]) - values[2] + values[-2]) / (12 * h)
        second = (16 * (values[1] + values[-1]) - values[2] - values[-2] - 30 * values[0]) / (12 * h**2)
        np.testing.assert_allclose(slope(q), first, atol=1e-9 * np.abs(first).max())
        np.testing.assert_allclose(curvature(q), second, atol=1e-6 * np.abs(second).max())


def test_images_leave_the_enthalpy_alone():
    model, params, atoms, state, _ = waves("toy")
    enthalpy = make_enthalpy(model)
    for one, other in zip(*(energy_forces_stress(enthalpy, params, s, FIELD) for s in (state, model.prepare(atoms, np.float64)))):
        np.testing.assert_allclose(one, other, atol=1e-12)
    again = rebuild(state)  # a list made anew has its images too
    np.testing.assert_array_equal(images(again).owner, images(state).owner)
    np.testing.assert_array_equal(again.topology.neighbors, state.topology.neighbors)


def test_a_wave_needs_images():
    with pytest.raises(FerrojaxError, match="with_images"):
        at_wave(ToyModel().prepare(rattled_triclinic()), jnp.zeros(3))


def test_a_strained_crystal_needs_no_new_compilation():
    """The lists of images differ, their lengths do not."""
    model, atoms = ToyModel(), rattled_triclinic()
    found = []
    for scale in (1.0, 1.03):
        scaled = atoms.copy()
        scaled.set_cell(atoms.cell.array * scale, scale_atoms=True)
        layout = images(with_images(model.prepare(scaled, np.float64)))
        listed = np.column_stack([layout.owner, layout.image])
        found.append((len(listed), len(np.unique(listed, axis=0))))
    assert len({padded for padded, _ in found}) == 1
    assert len({count for _, count in found}) == 2
