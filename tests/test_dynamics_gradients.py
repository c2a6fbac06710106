"""Derivatives of the final potential energy through 40 steps of dynamics, float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_model import polar_perovskite, random_model
from toy_model import ToyModel, rattled_triclinic

from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.nve import NVE
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


@pytest.mark.parametrize("integrator", INTEGRATORS)
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
