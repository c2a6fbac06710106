"""Barriers of the effective Hamiltonian with their derivatives, against barriers converged anew; 0.831409 meV of PHYSICS.md 5."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax import effective
from ferrojax.effective import strain_tensor
from ferrojax.errors import FerrojaxError
from ferrojax.paths import Point, activation, barrier, conditions_of, second_derivatives, switching_barrier
from ferrojax.units import GPA

ALL = (0, 1, 2, 3, 4, 5)
FIELD = np.array([0.0, 2e-4, 3e-4])  # V/Å: leaves the saddle no symmetry
# Central differences of eighth order: weights of ±1 to ±4 steps.
FIRST, SECOND, MIDDLE = (4 / 5, -1 / 5, 4 / 105, -1 / 280), (8 / 5, -1 / 5, 8 / 315, -1 / 560), -205 / 72


@functools.cache
def one_cell():
    return effective.make_enthalpy((1, 1, 1))


def titanate(pressure=0.0):
    return effective.load_parameters("batio3-wc").under_pressure(pressure * GPA)


def well(direction, params):
    found = effective.well(params, direction)
    return Point(effective.prepare(params, found.state), found.strain)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["neb", "string"])
def test_rhombohedral_barrier_with_a_free_cell(method, claim):
    """R-O-R' of a single cell: three modes and six strains, by a path from one well to the other."""
    params = titanate()
    ends = [well(direction, params) for direction in ((1, 1, 1), (-1, 1, 1))]
    found = switching_barrier(one_cell(), params, *ends, free=ALL, method=method, force_tolerance=2e-3, second=True)
    value, slope = 1e3 * found.forward.barrier, 1e3 * found.forward.volume * GPA
    assert found.forward.barrier == pytest.approx(found.backward.barrier, abs=1e-12)
    claim("D-barrier-ror", max(abs(value / 0.831409 - 1), abs(slope / -0.159378 - 1)))
    # The saddle is the orthorhombic well.
    np.testing.assert_allclose(found.saddle.point.state.modes.ravel(), well((0, 1, 1), params).state.modes.ravel(), atol=1e-9)
    np.testing.assert_allclose(found.forward.strain, 0.0, atol=1e-9)
    pressure, h = np.concatenate([np.zeros(9), [-GPA] * 3, np.zeros(3)]), 0.1
    wells = {k: [effective.well(titanate(k * h), d).energy for d in ((1, 1, 1), (0, 1, 1))] for k in (-2, -1, 0, 1, 2)}
    anew = {k: high - low for k, (low, high) in wells.items()}
    bend = (16 * (anew[1] + anew[-1]) - (anew[2] + anew[-2]) - 30 * anew[0]) / (12 * h**2)
    assert pressure @ found.second @ pressure == pytest.approx(bend, rel=1e-5)


def film(load, start):
    """A film relaxed by the solver of the effective Hamiltonian: in-plane strain held, the rest and the mode free."""
    strain = 0.004 * jnp.diag(jnp.array([1.0, 1.0, 0.0])) + strain_tensor(jnp.asarray(load[:6]))
    settings = {"clamp": "epitaxial", "tolerance": 1e-13}
    state = effective.LatticeState(jnp.asarray(start).reshape(1, 1, 1, 3))
    return effective.stationary(one_cell(), titanate(), state, strain, FIELD + load[6:9], **settings)


@pytest.mark.slow
def test_all_derivatives_of_a_barrier_under_epitaxial_strain(claim):
    """First and second, by in-plane strain and field together, in random directions."""
    params, rest = titanate(), np.zeros(9)
    places = (0.11, 0.11, 0.09), (0.0, 0.12, 0.12)
    relaxed = [film(rest, place) for place in places]
    ends = [Point(effective.prepare(params, found.state), found.strain) for found in relaxed]
    conditions = conditions_of(params, ends[0], FIELD, (2, 3, 4))
    found = activation(one_cell(), params, *ends, field=conditions.field, free=conditions.free)
    slope = np.concatenate([[found.strain[i, j] for i, j in effective.lattice.VOIGT], -found.dipole])
    curvature = second_derivatives(one_cell(), conditions, *ends)[:9, :9]
    assert np.abs(curvature[[2, 3, 4]]).max() < 1e-8  # free strains
    rng, scale = np.random.default_rng(0), np.array([1, 1, 0, 0, 0, 1, 0.2, 0.2, 0.2]) * 1e-4
    for _ in range(3):
        step = scale * rng.normal(size=9)
        values = {k: np.diff([film(k * step, end.state.modes).energy for end in ends])[0] for k in range(-4, 5)}
        first = sum(w * (values[k] - values[-k]) for k, w in enumerate(FIRST, 1))
        second = sum(w * (values[k] + values[-k]) for k, w in enumerate(SECOND, 1)) + MIDDLE * values[0]
        claim("D-barrier-derivatives", abs(first / (slope @ step) - 1))
        claim("D-barrier-derivatives", abs(second / (step @ curvature @ step) - 1))


@pytest.mark.slow
def test_second_derivatives_are_those_of_the_differentiable_barrier():
    """The matrix with its projections against automatic differentiation of ``barrier`` through the implicit solves."""
    params = titanate()
    ends = [
        Point(effective.prepare(params, end.state), end.strain)
        for end in (film(np.zeros(9), p) for p in ((0.11, 0.11, 0.09), (0, 0.12, 0.12)))
    ]
    conditions = conditions_of(params, ends[0], FIELD, (2, 3, 4))

    def value(z):
        return barrier(one_cell(), params, *ends, strain_tensor(z[:6]), conditions.field + z[6:9], (2, 3, 4))

    whole = jax.jit(jax.hessian(value))(jnp.zeros(9))
    found = second_derivatives(one_cell(), conditions, *ends)[:9, :9]
    np.testing.assert_allclose(found, whole, atol=1e-8 * np.abs(whole).max())


def test_lattices_without_cell_and_other_shapes_are_refused():
    params = titanate()
    bare = effective.uniform_state((1, 1, 1), (0.1, 0.1, 0.1))
    with pytest.raises(FerrojaxError, match=r"no cell; make it ready with effective.prepare"):
        switching_barrier(one_cell(), params, Point(bare, jnp.zeros((3, 3))), Point(bare, jnp.zeros((3, 3))))
    low, other = (effective.prepare(params, effective.uniform_state(shape)) for shape in ((1, 1, 1), (2, 1, 1)))
    with pytest.raises(FerrojaxError, match="1 and 2 rows"):
        switching_barrier(one_cell(), params, low, other)
    strained = Point(low, 0.01 * jnp.eye(3))
    with pytest.raises(FerrojaxError, match=r"differ by a strain of 0.01 in Voigt component 0, which is held; set it free"):
        switching_barrier(one_cell(), params, low, strained)


@pytest.mark.slow
def test_lattices_have_no_idpp_start():
    params = titanate()
    with pytest.raises(FerrojaxError, match="start='linear'"):
        switching_barrier(one_cell(), params, *(well(d, params) for d in ((1, 1, 1), (-1, 1, 1))), free=ALL, start="idpp")
