"""Reweighting against exact results for oscillators, and its derivatives against finite differences, float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_model import ToyModel, rattled_triclinic

from ferrojax.dynamics.barostat import external_energy
from ferrojax.dynamics.reweight import Average, average_and_gradient, collect, reweighted_average
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.state import State, apply_strain
from ferrojax.units import BOLTZMANN

HEAT, CHARGE, STIFFNESS = 300.0, 1.5, 2.0


def oscillators(params, state, strain, field):
    """F = Σ ½ k x² - q E·x: <x²> = kT/k, <M> = N q² E/k, chi = N q²/k."""
    x = apply_strain(state, strain).positions
    return 0.5 * params["k"] * jnp.sum(x**2) - CHARGE * field @ jnp.sum(x, 0)


def dipole(params, state, strain, field):
    return -jax.grad(oscillators, 3)(params, state, strain, field)


def square(params, state, strain, field):
    return jnp.mean(apply_strain(state, strain).positions ** 2)


@functools.cache
def drawn(count=4000, field=0.0):
    """Independent samples of four oscillators in a field along z."""
    noise = np.random.default_rng(3).normal(size=(count, 4, 3)) * np.sqrt(BOLTZMANN * HEAT / STIFFNESS)
    state = State(jnp.zeros((4, 3)), jnp.eye(3) * 10, jnp.ones(4, jnp.int32))
    field = jnp.array([0.0, 0.0, field])
    return collect(oscillators, {"k": STIFFNESS}, state, noise + np.asarray(CHARGE * field / STIFFNESS), field, HEAT)


def test_width_of_oscillators_and_its_slopes():
    """<x²> = kT/k, d/dk = -kT/k², d/dT = k_B/k, within four standard errors, which are as small as they should be."""
    average, slopes = average_and_gradient(
        square, oscillators, drawn(), {"k": STIFFNESS}, jnp.zeros(3), HEAT, wrt=("params", "temperature"), blocks=20
    )
    width = BOLTZMANN * HEAT / STIFFNESS
    slope = Average(slopes["params"].value["k"], slopes["params"].error["k"], average.effective)
    for found, exact in [(average, width), (slopes["temperature"], width / HEAT), (slope, -width / STIFFNESS)]:
        assert abs(float(found.value) - exact) < 4 * float(found.error)
    # Standard error of the mean of 48,000 squares of normal numbers; the jackknife knows its error to 1/√(2·19).
    assert float(average.error) == pytest.approx(width * np.sqrt(2 / 48000), rel=0.6)
    assert float(slopes["temperature"].error) < 0.05 * width / HEAT
    assert float(average.effective) == pytest.approx(1.0, abs=1e-9)


def test_susceptibility_is_the_variance_of_the_dipole():
    """d<M>/dE = β var(M) + <-∂²F/∂E²>, an identity of the estimator, and N q²/k within the error."""
    samples = drawn()
    average, slopes = average_and_gradient(dipole, oscillators, samples, {"k": STIFFNESS}, jnp.zeros(3), HEAT, wrt=("field",), forward=True)
    moments = CHARGE * np.asarray(samples.positions).sum(1)
    np.testing.assert_allclose(slopes["field"].value, np.cov(moments.T, bias=True) / (BOLTZMANN * HEAT), rtol=1e-9)
    exact = 4 * CHARGE**2 / STIFFNESS * np.eye(3)
    assert (np.abs(slopes["field"].value - exact) < 4 * np.asarray(slopes["field"].error)).all()
    np.testing.assert_allclose(average.value, moments.mean(0), atol=1e-12)


def test_another_field_and_stiffness_from_the_same_samples():
    """Samples at E = 0, k = 2 give <M> at E = 0.01 and k = 2.1: N q² E/k."""
    field = jnp.array([0.0, 0.0, 0.01])
    found = reweighted_average(dipole, oscillators, drawn(), {"k": 2.1}, field, HEAT, blocks=50)
    assert abs(float(found.value[2]) - 4 * CHARGE**2 * 0.01 / 2.1) < 4 * float(found.error[2])
    assert 0.4 < float(found.effective) < 0.98
    # And the weights undo themselves: to where the samples were drawn.
    there = reweighted_average(square, oscillators, drawn(field=0.02), {"k": STIFFNESS}, jnp.zeros(3), HEAT)
    assert abs(float(there.value) - BOLTZMANN * HEAT / STIFFNESS) < 4 * float(there.error)


def test_strain_carries_the_atoms_along():
    """Strained coordinates y = (1 + e) x see the force constant k (1 + e)²: <y²> stays kT/k."""
    strain = jnp.eye(3) * 0.02
    found = reweighted_average(square, oscillators, drawn(), {"k": STIFFNESS}, jnp.zeros(3), HEAT, strain=strain)
    assert abs(float(found.value) - BOLTZMANN * HEAT / STIFFNESS) < 4 * float(found.error)


def gas(params, state, strain, field):
    """A cell of energy a (V - V₀)²/2 and nothing else."""
    return 0.5 * params["a"] * (apply_strain(state, strain).volume - 1000.0) ** 2


def test_constant_stress_reweights_with_the_work():
    """Volumes from a normal distribution: pressure p shifts the mean by -p/a, and d<V>/d(stress) = var(V)/kT."""
    stiffness = 1e-4
    spread = np.sqrt(BOLTZMANN * HEAT / stiffness)
    volumes = 1000.0 + spread * np.random.default_rng(5).normal(size=4000)
    cells = np.eye(3) * np.cbrt(volumes)[:, None, None]
    state = State(jnp.zeros((1, 3)), jnp.eye(3) * 10, jnp.ones(1, jnp.int32))
    samples = collect(gas, {"a": stiffness}, state, np.zeros((4000, 1, 3)), jnp.zeros(3), HEAT, cells=cells, stress=0.0)
    volume = lambda params, state, strain, field: apply_strain(state, strain).volume  # noqa: E731
    arguments = (volume, gas, samples, {"a": stiffness}, jnp.zeros(3), HEAT)
    average, slopes = average_and_gradient(*arguments, 0.0, wrt=("stress",))
    assert float(slopes["stress"].value) == pytest.approx(volumes.var() / (BOLTZMANN * HEAT), rel=1e-9)
    squeezed = reweighted_average(*arguments, -0.0008)
    assert abs(float(squeezed.value) - 992.0) < 4 * float(squeezed.error)
    assert float(average.value) == pytest.approx(volumes.mean())


@functools.cache
def toy_samples(constant_stress):
    """Scattered structures of the toy crystal: the estimator's derivative is exact for any samples."""
    model = ToyModel()
    enthalpy = make_enthalpy(model)
    state = model.prepare(
        rattled_triclinic(), skin=0.05 if constant_stress else 0.4
    )  # samples with topologies of their own, or one for all
    rng = np.random.default_rng(1)
    positions = np.asarray(state.positions) + 0.02 * rng.normal(size=(12, 8, 3))
    field, stress, cells = jnp.array([0.0, 0.01, 0.02]), None, None
    if constant_stress:
        grown = np.eye(3) + 0.004 * rng.normal(size=(12, 3, 3))
        positions, cells, stress = positions @ grown, np.asarray(state.cell) @ grown, jnp.array([1e-3, -2e-3, 0.0, 5e-4, 0.0, 1e-3])
    params = jax.tree.map(jnp.asarray, model.params)
    return enthalpy, params, collect(enthalpy, params, state, positions, field, 900.0, cells=cells, stress=stress), field, stress


@pytest.mark.parametrize("constant_stress", [pytest.param(False, marks=pytest.mark.slow), True])
def test_derivatives_against_finite_differences(constant_stress, claim):
    """Away from the conditions of the samples, for a mixture of energy, dipole and cell."""
    enthalpy, params, samples, field, stress = toy_samples(constant_stress)
    assert (samples.topologies is None) == (not constant_stress)

    def mixture(params, state, strain, field):
        value, slope = jax.value_and_grad(enthalpy, 3)(params, state, strain, field)
        return value - slope @ jnp.array([0.5, -1.0, 2.0]) + jnp.sum(jnp.sin(apply_strain(state, strain).cell))

    strain = None if constant_stress else jnp.array([[0.002, 0.001, 0.0], [0.0, -0.001, 0.0], [0.0, 0.0, 0.001]])
    other = {"params": params | {"well": jnp.array(0.405)}, "field": field + 0.001, "temperature": jnp.array(950.0)}
    other |= {"stress": stress * 1.1} if constant_stress else {"strain": strain}

    def estimate(x):
        return reweighted_average(mixture, enthalpy, samples, **x)

    assert 0.2 < float(estimate(other).effective) < 0.999
    value = jax.jit(lambda x: estimate(x).value)
    reverse, forward = jax.jit(jax.grad(value))(other), jax.jit(lambda x, v: jax.jvp(value, (x,), (v,))[1])
    rng = np.random.default_rng(0)
    for name, step in {"params": 1e-4, "field": 1e-4, "temperature": 1.0, "stress": 1e-5, "strain": 1e-5}.items():
        if name not in other:
            continue
        v = jax.tree.map(jnp.zeros_like, other) | {name: jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), other[name])}
        u = {k: float(value(jax.tree.map(lambda x, d: x + k * step * d, other, v))) for k in (-2, -1, 1, 2)}  # noqa: B023
        numerical = (8 * (u[1] - u[-1]) - (u[2] - u[-2])) / (12 * step)
        backward = sum(float(jnp.vdot(a, b)) for a, b in zip(jax.tree.leaves(reverse), jax.tree.leaves(v)))
        for exact in (backward, float(forward(other, v))):
            assert abs(exact / numerical - 1) <= 1e-6, name
            claim("B-reweight-gradient", abs(exact / numerical - 1))


def test_weights_of_one_ensemble_are_even_and_stress_counts():
    """At the conditions of the samples every one counts the same; the work of a stress enters the weights as in the barostat."""
    enthalpy, params, samples, field, stress = toy_samples(True)
    energy = reweighted_average(enthalpy, enthalpy, samples, params, field, 900.0, stress, blocks=4)
    assert float(energy.effective) == pytest.approx(1.0, abs=1e-9)
    outside = np.array([external_energy(cell, samples.reference, jnp.eye(3) * 1e-3) for cell in samples.cells])
    inner = np.asarray(samples.reduced) * BOLTZMANN * 900.0
    voigt = jnp.array([1e-3, -2e-3, 0.0, 5e-4, 0.0, 1e-3])
    work = np.array([external_energy(cell, samples.reference, full(voigt)) for cell in samples.cells])
    logs = -(outside - work) / (BOLTZMANN * 900.0)
    weights = np.exp(logs - logs.max())
    expected = np.sum(weights * (inner - work)) / weights.sum()
    found = reweighted_average(enthalpy, enthalpy, samples, params, field, 900.0, 1e-3, blocks=4)
    assert float(found.value) == pytest.approx(expected, rel=1e-10)


def full(voigt):
    xx, yy, zz, yz, xz, xy = voigt
    return jnp.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def test_too_little_overlap_is_an_error():
    with pytest.raises(FerrojaxError, match=r"only .* % of the samples count .*sample anew closer"):
        reweighted_average(square, oscillators, drawn(), {"k": 20.0}, jnp.zeros(3), HEAT)
    with pytest.raises(FerrojaxError, match=r"only .* % of the samples count"):
        average_and_gradient(square, oscillators, drawn(), {"k": 20.0}, jnp.zeros(3), HEAT)
    # Inside jit the share tells.
    inside = jax.jit(lambda k: reweighted_average(square, oscillators, drawn(), {"k": k}, jnp.zeros(3), HEAT).effective)
    assert float(inside(20.0)) < 0.1


def test_bad_input_is_refused():
    samples, go = drawn(), functools.partial(reweighted_average, square, oscillators)
    with pytest.raises(FerrojaxError, match="give stress for samples at constant stress, and none"):
        go(samples, {"k": 2.0}, jnp.zeros(3), HEAT, 0.0)
    with pytest.raises(FerrojaxError, match="no strain can be imposed"):
        reweighted_average(square, oscillators, toy_samples(True)[2], {}, 0.0, 1.0, 0.0, jnp.zeros((3, 3)))
    with pytest.raises(FerrojaxError, match="blocks must lie between 2 and"):
        go(samples, {"k": 2.0}, jnp.zeros(3), HEAT, blocks=1)
    with pytest.raises(FerrojaxError, match="both cells and stress"):
        collect(oscillators, {"k": 2.0}, samples.state, samples.positions, jnp.zeros(3), HEAT, stress=0.0)
    with pytest.raises(FerrojaxError, match=r"positions must be \(2 or more samples, 4, 3\)"):
        collect(oscillators, {"k": 2.0}, samples.state, np.zeros((4, 3)), jnp.zeros(3), HEAT)
    with pytest.raises(FerrojaxError, match="sample 1 is not finite"):
        collect(oscillators, {"k": 2.0}, samples.state, np.array([0, np.nan, 0])[:, None, None] * np.ones((4, 3)), jnp.zeros(3), HEAT)
    with pytest.raises(FerrojaxError, match="no derivative with respect to strain, pressure"):
        average_and_gradient(square, oscillators, samples, {"k": 2.0}, jnp.zeros(3), HEAT, wrt=("strain", "pressure"))
