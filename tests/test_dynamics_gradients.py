"""Derivatives of what a run ends with, through all of its steps, float64: forward mode, reverse mode, checkpointed or not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_model import polar_perovskite, random_model
from toy_model import ToyModel, rattled_triclinic

from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.npt import NPT, LangevinNPT
from ferrojax.dynamics.nve import NVE
from ferrojax.dynamics.protocols import Triangle
from ferrojax.dynamics.rollout import rollout, start
from ferrojax.enthalpy import make_enthalpy
from ferrojax.state import apply_strain

STEPS = 40
INTEGRATORS = {"A-trajectory-nve": NVE(dt=1.0), "A-trajectory-langevin": Langevin(dt=1.0, temperature=250.0, friction=0.01)}


def final_energy(model, params, atoms, integrator):
    """Jitted U(strain, field) after 40 steps from a strained start, and the number of steps taken."""
    enthalpy = make_enthalpy(model)
    state = model.prepare(atoms, dtype=np.float64, skin=1.5)

    def energy(strain, field):
        strained = apply_strain(state, strain)
        constant = lambda time: field  # noqa: E731
        begin = start(enthalpy, integrator, params, strained, constant, jax.random.key(7), 300.0)
        end, record = rollout(enthalpy, integrator, params, strained, begin, constant, STEPS, every=STEPS)
        return record.potential[0], end.step

    return energy


@functools.cache
def case(name, integrator):
    if name == "toy":
        model = ToyModel()
        return final_energy(model, model.params, rattled_triclinic(), INTEGRATORS[integrator])
    model, params = random_model("fast")
    return final_energy(model, params, polar_perovskite(rattle=0.02), INTEGRATORS[integrator])


@pytest.mark.parametrize("integrator", ["A-trajectory-nve", pytest.param("A-trajectory-langevin", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["toy", pytest.param("network", marks=pytest.mark.slow)])
def test_strain_and_field_derivatives_through_40_steps(name, integrator, claim):
    energy = case(name, integrator)
    value = jax.jit(energy)
    strain, field = jnp.array([[0.004, 0.002, 0.0], [0.0, -0.003, 0.001], [0.002, 0.0, 0.005]]), jnp.array([0.01, -0.02, 0.015])
    assert int(value(strain, field)[1]) == STEPS
    reverse = jax.jit(jax.grad(lambda *x: energy(*x)[0], (0, 1)))(strain, field)
    rng = np.random.default_rng(0)
    forward = jax.jit(lambda *v: jax.jvp(lambda *x: energy(*x)[0], (strain, field), v)[1])
    for on_strain, step in [(True, 2e-4), (False, 2e-3)]:
        v = (jnp.asarray(rng.normal(size=(3, 3))) * on_strain, jnp.asarray(rng.normal(size=3)) * (not on_strain))
        u = {k: float(value(strain + k * step * v[0], field + k * step * v[1])[0]) for k in (-2, -1, 1, 2)}
        numerical = (8 * (u[1] - u[-1]) - (u[2] - u[-2])) / (12 * step)
        for exact in (forward(*v), jnp.vdot(reverse[0], v[0]) + jnp.vdot(reverse[1], v[1])):
            error = abs(float(exact) / numerical - 1)
            assert error <= 1e-6
            claim(integrator, error)


RUNS = {
    "B-trajectory-npt": NPT(dt=1.0, tau=20.0, tau_cell=400.0),
    "B-trajectory-npt-langevin": LangevinNPT(dt=1.0, friction=0.01, friction_cell=0.01, tau_cell=400.0),
    "B-trajectory-ramp": Langevin(dt=1.0, friction=0.01),
}


def end_of_run(model, params, atoms, integrator, steps=30):
    """Potential and volume after a run, as a function of initial strain, amplitude of a triangular field, temperature and parameters."""
    enthalpy = make_enthalpy(model)
    state = model.prepare(atoms, dtype=np.float64, skin=1.5)

    def end(inputs, remat=False):
        strain, amplitude, heat, params = inputs
        strained, field = apply_strain(state, strain), Triangle(amplitude, 40.0)  # the field turns round within the run
        thermostat = integrator.replace(temperature=heat)
        begin = start(enthalpy, thermostat, params, strained, field, jax.random.key(7), heat)
        final, record = rollout(enthalpy, thermostat, params, strained, begin, field, steps, every=steps, remat=remat)
        # Parts of comparable size: the energy, the volume and an atom.
        result = record.potential[0] + 0.1 * jnp.linalg.det(record.cell[0]) + final.motion.position[0] @ jnp.array([0.3, -0.5, 0.7])
        return result, final.step

    strain = jnp.array([[0.004, 0.002, 0.0], [0.0, -0.003, 0.001], [0.002, 0.0, 0.005]])
    return end, (strain, jnp.array([0.01, -0.02, 0.015]), jnp.array(280.0), params)


@functools.cache
def long_case(name, run):
    if name == "toy":
        model = ToyModel()
        return end_of_run(model, jax.tree.map(jnp.asarray, model.params), rattled_triclinic(), RUNS[run])
    model, params = random_model("fast")
    return end_of_run(model, params, polar_perovskite(rattle=0.02), RUNS[run])


@functools.cache
def gradient(name, run, remat):
    end, inputs = long_case(name, run)
    return jax.jit(jax.grad(lambda x: end(x, remat)[0])).lower(inputs).compile()


@pytest.mark.slow  # each takes minutes to compile; the quick tests have the 40 steps above
@pytest.mark.parametrize("run", list(RUNS))
@pytest.mark.parametrize("name", ["toy", "network"])
def test_strain_field_temperature_and_parameters_through_a_run(name, run, claim):
    end, inputs = long_case(name, run)
    # One compiled function gives values and forward derivatives: to compile is what takes the time here.
    forward = jax.jit(lambda x, v: jax.jvp(end, (x,), (v,), has_aux=True))
    assert int(forward(inputs, jax.tree.map(jnp.zeros_like, inputs))[2]) == 30
    reverse = gradient(name, run, True)(inputs)
    rng = np.random.default_rng(0)
    # Steps that balance rounding against the fifth derivative.
    for place, step in enumerate((1e-4, 5e-4, 0.5, 1e-4)):
        v = jax.tree.map(jnp.zeros_like, inputs)
        direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), inputs[place])
        v = (*v[:place], direction, *v[place + 1 :])
        moved = lambda k: jax.tree.map(lambda x, d: x + k * step * d, inputs, v)  # noqa: E731, B023
        u = {k: float(forward(moved(k), v)[0]) for k in (-2, -1, 1, 2)}
        numerical = (8 * (u[1] - u[-1]) - (u[2] - u[-2])) / (12 * step)
        backward = sum(float(jnp.vdot(a, b)) for a, b in zip(jax.tree.leaves(reverse), jax.tree.leaves(v)))
        for exact in (float(forward(inputs, v)[1]), backward):
            error = abs(exact / numerical - 1)
            assert error <= 1e-6, (place, exact, numerical)
            claim(run, error)


@pytest.mark.slow
def test_checkpoints_change_memory_not_the_gradient():
    """The same gradient from a fifth of the working memory, already at 30 steps."""
    plain, remat = (gradient("toy", "B-trajectory-ramp", remat) for remat in (False, True))
    _, inputs = long_case("toy", "B-trajectory-ramp")
    for a, b in zip(jax.tree.leaves(plain(inputs)), jax.tree.leaves(remat(inputs))):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
    assert remat.memory_analysis().temp_size_in_bytes < plain.memory_analysis().temp_size_in_bytes / 5
