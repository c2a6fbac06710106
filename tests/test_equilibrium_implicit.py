"""Derivatives of relaxed states and barriers against re-converged ones and the numbers of the literature."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from lead_titanate import MODEL as TRAINED

from ferrojax import effective
from ferrojax.effective import strain_tensor
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium import linear, relax
from ferrojax.equilibrium.implicit import settle, settled_enthalpy
from ferrojax.equilibrium.linear import require_finite
from ferrojax.equilibrium.stability import check_settled
from ferrojax.errors import FerrojaxError
from ferrojax.paths import activation, barrier
from ferrojax.potential import load
from ferrojax.response.tensors import response_tensors
from ferrojax.state import apply_strain
from ferrojax.units import GPA

ALL = (0, 1, 2, 3, 4, 5)
ZERO, NO_FIELD = jnp.zeros((3, 3)), jnp.zeros(3)


@functools.cache
def one_cell():
    return effective.make_enthalpy((1, 1, 1))


def well(params, direction):
    """The relaxed uniform state and its strain, for a pressure in the parameters."""
    found = effective.well(params, direction)
    return effective.prepare(params, found.state), found.strain


@functools.cache
def rhombohedral_and_saddle(pressure=0.0):
    params = effective.load_parameters("batio3-wc").under_pressure(pressure * GPA)
    return params, well(params, (1, 1, 1)), well(params, (0, 1, 1))


def free_barrier(params, minimum, saddle, pressure):
    """E_b with the cell free under a pressure, eV/Å³; each end about its own relaxed strain."""
    ends = []
    for state, strain in (saddle, minimum):
        ends.append(settled_enthalpy(one_cell(), params.under_pressure(pressure), state, strain, NO_FIELD, ALL))
    return ends[0] - ends[1]


@pytest.mark.slow
def test_rhombohedral_barrier_and_its_pressure_derivatives():
    """PHYSICS.md 5: 0.831409 meV, -0.159378 meV/GPa; the barrier at ±1 GPa, re-converged, for the second derivative."""
    params, minimum, saddle = rhombohedral_and_saddle()
    zero = jnp.zeros(())
    value = jax.jit(free_barrier)(params, minimum, saddle, zero)
    slope, curvature = (jax.jit(f)(params, minimum, saddle, zero) for f in (jax.grad(free_barrier, 3), jax.hessian(free_barrier, 3)))
    assert 1e3 * float(value) == pytest.approx(0.831409, rel=1e-5)
    assert 1e3 * float(slope) * GPA == pytest.approx(-0.159378, rel=1e-5)

    def reconverged(pressure):
        fresh, low, high = rhombohedral_and_saddle(pressure)
        return float(free_barrier(fresh, low, high, jnp.asarray(pressure * GPA)))

    assert 1e3 * reconverged(-1.0) == pytest.approx(0.97944, rel=1e-4)
    assert 1e3 * reconverged(1.0) == pytest.approx(0.66892, rel=1e-4)
    h = 0.1
    second = (reconverged(h) - 2 * reconverged(0.0) + reconverged(-h)) / h**2
    fourth = (-reconverged(2 * h) + 16 * reconverged(h) - 30 * reconverged(0.0) + 16 * reconverged(-h) - reconverged(-2 * h)) / (12 * h**2)
    assert abs(fourth - second) > 0  # two orders of differences
    assert float(curvature) * GPA**2 == pytest.approx(fourth, rel=1e-5)


def relaxed_at(params, strain, field, start):
    """Newton at a fixed strain and field, from a near state."""
    state = effective.LatticeState(start.modes)
    found = effective.stationary(one_cell(), params, state, strain, field, clamp="fixed", tolerance=1e-12)
    return effective.prepare(params, found.state)


@pytest.mark.slow
def test_all_second_derivatives_of_a_barrier_against_reconverged_ones():
    """By epitaxial strain, field and a parameter at once, at a fixed cell: the whole Hessian, one solve an entry."""
    params, (low, _), (high, strain) = rhombohedral_and_saddle()
    # A strain and field at which the saddle has no symmetry left.
    field = jnp.array([0.0, 2e-4, 3e-4])

    def at(z):
        return strain + strain_tensor(z[:6]), field + z[6:9], params.replace(alpha=params.alpha * (1 + z[9]))

    def of(z, minimum, saddle):
        strained, electric, mine = at(z)
        return barrier(one_cell(), mine, minimum, saddle, strained, electric)

    def reconverged(z):
        strained, electric, mine = at(z)
        ends = [relaxed_at(mine, strained, electric, state) for state in (low, high)]
        return float(of(z, *ends))

    zero = jnp.zeros(10)
    ends = [relaxed_at(params, strain, field, state) for state in (low, high)]
    slope, curvature = jax.jit(jax.grad(of))(zero, *ends), jax.jit(jax.hessian(of))(zero, *ends)
    np.testing.assert_allclose(curvature, curvature.T, rtol=1e-8, atol=1e-8 * np.abs(curvature).max())
    rng = np.random.default_rng(0)
    scale = jnp.asarray([3e-5] * 6 + [6e-6] * 3 + [3e-5])  # the minimum is near the saddle: larger steps see the sixth derivative
    for _ in range(3):
        step = scale * jnp.asarray(rng.normal(size=10))
        values = {k: reconverged(k * step) for k in (-3, -2, -1, 0, 1, 2, 3)}
        first = sum(w * (values[k] - values[-k]) for k, w in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)))
        second = sum(w * (values[k] + values[-k]) for k, w in ((1, 3 / 2), (2, -3 / 20), (3, 1 / 90))) - 49 / 18 * values[0]
        assert first == pytest.approx(float(slope @ step), rel=1e-6)
        assert second == pytest.approx(float(step @ curvature @ step), rel=2e-5)


@pytest.mark.slow
def test_activation_is_the_difference_of_the_ends():
    params, (low, _), (high, strain) = rhombohedral_and_saddle()
    ends = [relaxed_at(params, strain, NO_FIELD, state) for state in (low, high)]
    found = activation(one_cell(), params, *ends, strain)
    charge = float(params.charge)
    np.testing.assert_allclose(found.dipole, charge * (ends[1].coordinates - ends[0].coordinates)[0], atol=1e-10)
    assert found.barrier > 0 and found.soft < 0 and "barrier" in str(found)
    with pytest.raises(FerrojaxError, match="softest mode"):
        activation(one_cell(), params, ends[1], ends[1], strain)
    with pytest.raises(FerrojaxError, match="0 unstable directions"):
        activation(one_cell(), params, ends[0], ends[0], strain)
    with pytest.raises(FerrojaxError, match="not at rest"):
        activation(one_cell(), params, low.at(low.coordinates * 1.1), high, strain)


@pytest.mark.slow
def test_explicit_acoustic_displacements_have_free_translations():
    """A small lattice with w explicit: the derivative of the relaxed dipole by the field equals that of re-relaxed ones."""
    params, shape = effective.load_parameters("pbtio3-lda"), (3, 1, 1)
    enthalpy = effective.make_enthalpy(shape)
    start = effective.uniform_state(shape, (0.0, 0.0, 0.33))
    rng = np.random.default_rng(0)
    start = start.replace(acoustic=0.001 * jnp.asarray(rng.normal(size=start.modes.shape)))
    relaxed = effective.stationary(enthalpy, params, start, ZERO, NO_FIELD, clamp="fixed", tolerance=1e-11)
    state = effective.prepare(params, relaxed.state)
    assert np.abs(check_settled(enthalpy, params, state, ZERO, NO_FIELD)).min() > 0.05  # without the three translations

    def mode(field):
        return jnp.mean(settle(enthalpy, params, state, ZERO, field).coordinates[:3, 2])

    both = [jax.jit(derivative(mode))(NO_FIELD) for derivative in (jax.grad, jax.jacfwd)]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-10, atol=1e-12)
    step = jnp.array([0.0, 0.0, 1e-4])
    ends = [effective.stationary(enthalpy, params, state, ZERO, s * step, clamp="fixed", tolerance=1e-12).state for s in (1, -1)]
    expected = float(jnp.mean(ends[0].modes[..., 2]) - jnp.mean(ends[1].modes[..., 2])) / 2e-4
    assert float(both[0][2]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_free_strain_follows_field_and_stress_by_d_and_s():
    """dε/dE = d and dε/dσ = S of the response tensors, in both modes; all of the strain free."""
    params = effective.load_parameters("pbtio3-lda")
    state, strain = well(params, (0, 0, 1))
    found = response_tensors(one_cell(), params, state, strain)

    def follows(z):
        point = settle(one_cell(), params, state, strain, z[6:], ALL, tensor_of(z[:6]))
        return effective.voigt_strain(point.strain)

    for derivative in (jax.jacfwd, jax.jacrev):
        slopes = np.asarray(jax.jit(derivative(follows))(jnp.zeros(9)))
        np.testing.assert_allclose(slopes[:, :6] * GPA * 1e3, found.compliance, atol=1e-8 * np.abs(found.compliance).max())
        np.testing.assert_allclose(slopes[:, 6:].T * 100, found.d, atol=1e-7 * np.abs(found.d).max())


def tensor_of(stress):
    """Voigt stress, without factors of two."""
    return strain_tensor(stress * jnp.array([1.0, 1, 1, 2, 2, 2]))


def test_wrong_shapes_are_refused():
    params = effective.load_parameters("pbtio3-lda")
    state, strain = well(params, (0, 0, 1))
    for change, words in (
        ({"strain": jnp.zeros(6)}, r"strain has shape \(6,\)"),
        ({"field": jnp.zeros(2)}, r"field has shape \(2,\)"),
        ({"stress": jnp.zeros(6)}, r"stress has shape \(6,\)"),
        ({"free": (0, 6)}, "free lists Voigt components from 0 to 5"),
    ):
        with pytest.raises(FerrojaxError, match=words):
            settle(one_cell(), params, state, **({"strain": strain, "field": NO_FIELD} | change))


def test_a_state_that_is_not_relaxed_there_gives_nothing():
    """At another strain or field than that of the relaxation there are forces, and no number that could be taken for a response."""
    params = effective.load_parameters("pbtio3-lda")
    state, strain = well(params, (0, 0, 1))

    def mode(strain, field):
        return settle(one_cell(), params, state, strain, field).coordinates[0, 2]

    slopes = jax.jit(jax.grad(mode, argnums=(0, 1)))
    require_finite("slopes", *slopes(strain, NO_FIELD))
    for elsewhere in ((strain + 0.01 * jnp.eye(3), NO_FIELD), (strain, NO_FIELD + 0.01)):
        assert np.isnan(mode(*elsewhere))
        with pytest.raises(FerrojaxError, match="was not relaxed at the strain and field given"):
            require_finite("slopes", *slopes(*elsewhere))


@pytest.mark.slow
def test_4000_modes_without_a_matrix():
    """11 x 11 x 11 cells, 3993 unknowns, by GMRES: in a uniform field each cell answers as one alone; second derivatives too."""
    params = effective.load_parameters("pbtio3-lda")
    state, strain = well(params, (0, 0, 1))
    shape = (11, 11, 11)
    large = effective.prepare(params, effective.uniform_state(shape, state.coordinates[0]))
    enthalpy = effective.make_enthalpy(shape)

    def per_cell(function, crystal, cells):
        return lambda field: settled_enthalpy(function, params, crystal, strain, field) / cells

    field = jnp.array([0.3, -0.2, 1.0])
    for derivative in (
        lambda f: jax.jvp(jax.grad(f), (NO_FIELD,), (field,))[1],
        lambda f: jax.grad(lambda e: jnp.vdot(jax.grad(f)(e), field))(NO_FIELD),
    ):
        expected = jax.jit(lambda d=derivative: d(per_cell(one_cell(), state, 1)))()
        found = jax.jit(lambda d=derivative: d(per_cell(enthalpy, large, 1331)))()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@functools.cache
def trained():
    """Tetragonal PbTiO3 of five atoms, at rest."""
    model, params, _ = load(TRAINED)
    sites = [(0, 0, 0.094), (0.5, 0.5, 0.556), (0.5, 0.5, 0.978), (0.5, 0, 0.473), (0, 0.5, 0.473)]
    atoms = Atoms("PbTiO3", scaled_positions=sites, cell=[3.874, 3.874, 4.2], pbc=True)
    enthalpy, start = make_enthalpy(model), model.prepare(atoms, np.float64, skin=1.0)
    return enthalpy, jax.tree.map(lambda x: jnp.asarray(x, float), params), relax(enthalpy, params, start, force_tolerance=1e-9).state


def trained_at(z):
    """Strain, field and parameters, all but the embedding changed by a relative amount."""
    params = trained()[1]
    scaled = jax.tree_util.tree_map_with_path(lambda path, x: x if "embedding" in str(path) else x * (1 + z[9]), params)
    return strain_tensor(z[:6]), z[6:9], scaled


@pytest.mark.slow
@pytest.mark.parametrize("limit", [3000, 0], ids=["dense", "iterative"])
def test_trained_potential_to_second_order_in_both_modes(limit, monkeypatch):
    """The relaxed enthalpy by strain, field and parameters at once against energies of structures relaxed anew."""
    monkeypatch.setattr(linear, "DENSE_LIMIT", limit)
    enthalpy, _, state = trained()

    def of(z):
        strain, field, params = trained_at(z)
        return settled_enthalpy(enthalpy, params, state, strain, field)

    def reconverged(z):
        strain, field, params = trained_at(z)
        moved, held = apply_strain(state, strain), jnp.linalg.solve((jnp.eye(3) + strain).T, field)
        return relax(enthalpy, params, moved, held, cell=False, force_tolerance=1e-7).energy

    zero, rng = jnp.zeros(10), np.random.default_rng(0)
    step = jnp.asarray([4e-4] * 6 + [2e-3] * 3 + [4e-4]) * jnp.asarray(rng.normal(size=10))
    slope = jax.jit(jax.grad(of))(zero)
    assert float(jax.jit(lambda: jax.jvp(of, (zero,), (step,))[1])()) == pytest.approx(float(slope @ step), rel=1e-9)
    values = {k: reconverged(k * step) for k in (-3, -2, -1, 0, 1, 2, 3)}
    first = sum(w * (values[k] - values[-k]) for k, w in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)))
    second = sum(w * (values[k] + values[-k]) for k, w in ((1, 3 / 2), (2, -3 / 20), (3, 1 / 90))) - 49 / 18 * values[0]
    assert first == pytest.approx(float(slope @ step), rel=1e-6)
    forward = jax.jit(lambda: jax.jvp(jax.grad(of), (zero,), (step,))[1])()
    backward = jax.jit(lambda: jax.grad(lambda z: jax.grad(of)(z) @ step)(zero))()
    np.testing.assert_allclose(forward, backward, rtol=1e-6, atol=1e-6 * np.abs(forward).max())
    assert second == pytest.approx(float(forward @ step), rel=1e-5)
