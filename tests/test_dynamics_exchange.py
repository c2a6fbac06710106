"""Replica exchange: detailed balance, what a swap does to a replica, and exact Boltzmann averages of a double well."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from double_well import BARRIER, double_well, two_atoms
from toy_model import ToyModel, rattled_triclinic

from ferrojax.dynamics import NPT, NVE, Langevin, NoseHoover, Ramp
from ferrojax.dynamics.exchange import exchange, move, reduced_enthalpy, swap_exponent
from ferrojax.dynamics.motion import temperature
from ferrojax.dynamics.replicas import run_replicas
from ferrojax.dynamics.rollout import start
from ferrojax.dynamics.stacking import stack
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.units import BOLTZMANN

HEATS = (150.0, 260.0, 450.0, 800.0)


def exact(heat, function, field=0.0):
    d = np.linspace(-3, 3, 20001)
    weight = np.exp(-(BARRIER * (d**2 - 1) ** 2 - field * d) / (BOLTZMANN * heat))
    return (function(d) * weight).sum() / weight.sum()


def test_swaps_leave_the_product_of_two_distributions_alone():
    """Two replicas of a three-level system: the swap's transition matrix is in detailed balance with π_i π_j, exactly."""
    u = np.array([[0.0, 0.7, 2.0], [0.1, -0.4, 0.5]])  # reduced energy of each level on each rung; not proportional
    states = list(itertools.product(range(3), range(3)))
    weight = np.array([np.exp(-u[0, a] - u[1, b]) for a, b in states])
    rung = np.arange(2)
    for k, (a, b) in enumerate(states):
        there = states.index((b, a))
        forth = swap_exponent(np.array([u[0, a], u[1, b]]), np.array([u[1, a], u[0, b]]), rung, np.array([0]))[0]
        back = swap_exponent(np.array([u[0, b], u[1, a]]), np.array([u[1, b], u[0, a]]), rung, np.array([0]))[0]
        chances = [min(1.0, np.exp(-x)) for x in (forth, back)]
        assert weight[k] * chances[0] == pytest.approx(weight[there] * chances[1], rel=1e-12)
        if a != b:
            assert min(chances) < 1.0
    # The order of the replicas does not matter, that of the rungs does.
    own, other = np.array([0.3, 1.0, -2.0]), np.array([0.5, 0.4, 0.0])
    assert swap_exponent(own, other, np.array([2, 0, 1]), np.array([0]))[0] == pytest.approx((0.4 - 1.0) + (0.0 + 2.0))


@pytest.mark.slow
def test_a_swap_of_temperature_field_and_stress():
    """Kinetic energy and rate of the cell scale with T, chains with their mass; forces and energy are those of the new field."""
    model = ToyModel()
    enthalpy = make_enthalpy(model)
    state = model.prepare(rattled_triclinic(), skin=1.0)
    fields = jnp.array([[0.0, 0.0, 0.01], [0.02, 0.0, -0.01]])
    integrators = [NPT(temperature=300.0, stress=-0.01), NPT(temperature=600.0, stress=0.002)]
    old, new = ((i, model.params, f) for i, f in zip(integrators, fields))
    begin = start(enthalpy, old[0], model.params, state, fields[0], jax.random.key(0), 300.0)
    begin = begin.replace(motion=begin.motion.replace(rate=jnp.eye(3) * 1e-3))
    swapped = jax.jit(lambda: move(enthalpy, state, begin, old, new))()
    fresh = start(enthalpy, new[0], model.params, state, fields[1], jax.random.key(0), 300.0)
    np.testing.assert_allclose(temperature(swapped.motion.momentum, state), 2 * temperature(begin.motion.momentum, state))
    np.testing.assert_allclose(swapped.motion.rate, begin.motion.rate * np.sqrt(2))
    for name in ("force", "torsion", "potential"):
        np.testing.assert_allclose(getattr(swapped.motion, name), getattr(fresh.motion, name), atol=1e-10)
    # pV at zero strain of the reference cell, and β.
    energies = [float(reduced_enthalpy(enthalpy, state, begin, s)) * BOLTZMANN * float(s[0].temperature) for s in (old, new)]
    volume, zero = float(state.volume), jnp.zeros((3, 3))
    for energy, (integrator, params, field) in zip(energies, (old, new)):
        assert energy == pytest.approx(float(enthalpy(params, state, zero, field)) - integrator.stress * volume, rel=1e-9)
    back = move(enthalpy, state, swapped, new, old)
    np.testing.assert_allclose(back.motion.momentum, begin.motion.momentum, rtol=1e-12)


def test_chains_are_scaled_as_their_mass():
    integrators = [NoseHoover(temperature=t) for t in (200.0, 800.0)]
    state, params = two_atoms(), {"h": BARRIER}
    settings = [(i, params, jnp.zeros(3)) for i in integrators]
    begin = start(double_well, integrators[0], params, state, jnp.zeros(3), jax.random.key(0), 200.0)
    chain = begin.motion.chain.replace(momentum=jnp.array([0.1, 0.2, 0.3]))
    begin = begin.replace(motion=begin.motion.replace(chain=chain))
    swapped = move(double_well, state, begin, *settings).motion
    np.testing.assert_allclose(swapped.momentum, 2 * begin.motion.momentum)
    kinetic = [c.momentum**2 / c.masses(BOLTZMANN * t) / t for c, t in ((chain, 200.0), (swapped.chain, 800.0))]
    np.testing.assert_allclose(kinetic[1], kinetic[0])


def test_a_ladder_keeps_its_books():
    """Each rung is occupied once, records follow the rung and not the replica, and the counts add up."""
    ladder = [Langevin(dt=4.0, temperature=t, friction=0.02) for t in HEATS[1:]]
    fields = jnp.array([[0.0, 0.0, e] for e in (0.0, 0.01, 0.02)])
    end = exchange(double_well, {"h": BARRIER}, two_atoms(), ladder, 12, key=jax.random.key(1), field=stack(fields), swap_every=10)
    assert (np.sort(end.places, axis=1) == np.arange(3)).all() and (end.places[0] == np.arange(3)).all()
    assert end.attempts.tolist() == [6, 6] and 0 < end.accepted.sum() < 12
    assert (np.abs(np.diff(end.places, axis=0)) > 0).sum() == 2 * end.accepted.sum()
    assert end.records.step.tolist() == [list(range(10, 130, 10))] * 3
    np.testing.assert_allclose(end.records.field, np.broadcast_to(fields[:, None], (3, 12, 3)))
    assert end.report().splitlines()[0] == f"rungs 0 and 1: {end.acceptance[0]:.0%} of 6 swaps"
    # Without the first swap a replica runs as if alone.
    alone = run_replicas(
        double_well, {"h": BARRIER}, two_atoms(), ladder, 10, key=jax.random.split(jax.random.key(1))[0], field=stack(fields)
    )
    np.testing.assert_allclose(end.records.total[:, 0], alone.records.total[:, 0], rtol=1e-12)


def test_what_has_no_ladder_is_refused():
    go = lambda ladder, **s: exchange(double_well, {"h": BARRIER}, two_atoms(), ladder, 1, key=jax.random.key(0), **s)  # noqa: E731
    with pytest.raises(FerrojaxError, match="NVE has no temperature"):
        go([NVE(), NVE()])
    with pytest.raises(FerrojaxError, match="temperature must be constant in time on every rung; got Ramp"):
        go([Langevin(temperature=Ramp(100.0, t, duration=10.0)) for t in (200.0, 300.0)])
    with pytest.raises(FerrojaxError, match="multiple of every"):
        go([Langevin()] * 2, swap_every=15)


def blocked(values):
    """Mean and standard error from 20 blocks."""
    blocks = values[: len(values) // 20 * 20].reshape(20, -1).mean(1)
    return blocks.mean(), blocks.std(ddof=1) / np.sqrt(20)


@pytest.mark.statistical
def test_double_well_in_temperature():
    """Exact <d_z>, <d_z²> and <F> on every rung; alone, the coldest replica never leaves its well."""
    ladder = [Langevin(dt=4.0, temperature=t, friction=0.02) for t in HEATS]
    settings = {"key": jax.random.key(4), "every": 5, "keep_positions": True}
    end = exchange(double_well, {"h": BARRIER}, two_atoms(), ladder, 1500, swap_every=20, **settings)
    separation = (end.records.positions[:, 200:, 1] - end.records.positions[:, 200:, 0])[..., 2]
    for k, heat in enumerate(HEATS):
        inner = end.records.potential[k, 200:] - BOLTZMANN * heat  # less the two harmonic coordinates
        energy = lambda d: BARRIER * (d**2 - 1) ** 2  # noqa: E731
        for values, function in [(separation[k], lambda d: d), (separation[k] ** 2, np.square), (inner, energy)]:
            mean, error = blocked(values)
            assert abs(mean - exact(heat, function)) < 4 * error + 0.002 and error < 0.2
    assert (end.acceptance > 0.15).all() and end.round_trips.sum() >= 10
    alone = run_replicas(double_well, {"h": BARRIER}, two_atoms(), ladder[:2], 30000, **settings)
    assert (alone.records.positions[0, :, 1, 2] - alone.records.positions[0, :, 0, 2]).min() > 0


@pytest.mark.statistical
def test_double_well_in_the_field():
    """Exact <d_z> on every rung of a ladder of fields at one temperature that hardly crosses the barrier alone."""
    fields = np.linspace(-0.06, 0.06, 5)
    cold = Langevin(dt=4.0, temperature=250.0, friction=0.02)
    stacked = stack([jnp.array([0.0, 0.0, e]) for e in fields])
    end = exchange(
        double_well,
        {"h": BARRIER},
        two_atoms(),
        cold,
        2000,
        key=jax.random.key(6),
        field=stacked,
        swap_every=20,
        every=5,
        keep_positions=True,
    )
    separation = (end.records.positions[:, 400:, 1] - end.records.positions[:, 400:, 0])[..., 2]
    for k, field in enumerate(fields):
        mean, error = blocked(separation[k])
        assert abs(mean - exact(250.0, lambda d: d, field)) < 4 * error + 0.002 and error < 0.2
    assert (end.acceptance > 0.1).all()
