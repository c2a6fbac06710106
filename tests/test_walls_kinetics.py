"""Walls and switching laws: fits return what made the data, with errors that cover it as often as they should."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax import effective
from ferrojax import ferroelectrics as fe
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.hysteresis import Hysteresis
from ferrojax.ferroelectrics.walls import kinks
from ferrojax.units import BOLTZMANN


def walls_at(places, xi, signs, planes=60, length=240.0, amplitude=0.7, offset=0.05):
    """Profile of known walls; far domains are flat, so each tanh has its neighbours' tails only."""
    x = (np.arange(planes) + 0.5) * length / planes
    return offset + amplitude * kinks(x, np.array(places, float), np.array(xi, float), np.array(signs), length)


def test_a_profile_of_two_walls_is_the_product_of_its_tanhs():
    """Far apart, ± walls give P0 tanh((x - x1)/ξ) tanh((x2 - x)/ξ): written by hand, without images."""
    x = (np.arange(100) + 0.5) * 4.0
    by_hand = np.tanh((x - 101.0) / 6.0) * np.tanh((303.0 - x) / 6.0)
    np.testing.assert_allclose(walls_at([101, 303], [6, 6], [1, -1], 100, 400.0, 1.0, 0.0), by_hand, atol=1e-10)


@pytest.mark.parametrize("places, signs", [((60.3, 178.9), (1, -1)), ((2.0, 100.0), (-1, 1)), ((31.0, 85.0, 150.0, 211.0), (1, -1, 1, -1))])
def test_walls_are_found(places, signs, claim):
    xi = np.linspace(5.0, 9.0, len(places))
    found = fe.fit_walls(walls_at(places, xi, signs), 240.0)
    assert found.signs == signs
    errors = [found.places - places, [w.value - 2 * x for w, x in zip(found.widths, xi)]]
    claim("F-wall-fit", np.abs(errors).max() / 4.0)
    assert found.amplitude.value == pytest.approx(0.7, abs=1e-8) and found.offset.value == pytest.approx(0.05, abs=1e-8)


def test_wall_errors_cover_the_truth():
    rng, pulls = np.random.default_rng(0), []
    for _ in range(40):
        noisy = walls_at((60.3, 178.9), (6.0, 6.0), (1, -1)) + rng.normal(0, 0.03, 60)
        found = fe.fit_walls(noisy, 240.0)
        pulls += [(found.positions[0].value - 60.3) / found.positions[0].error, (found.widths[1].value - 12.0) / found.widths[1].error]
    pulls = np.array(pulls)
    assert 0.75 < pulls.std() < 1.25 and abs(pulls.mean()) < 4 / np.sqrt(len(pulls))


def test_noise_at_a_wall_makes_no_walls():
    """A profile that crosses zero three times within two planes at each wall."""
    values = walls_at((60.3, 178.9), (6.0, 6.0), (1, -1), offset=0.0)
    values[[14, 15, 44, 45]] = [0.05, -0.05, -0.04, 0.06]
    found = fe.fit_walls(values, 240.0)
    assert found.signs == (1, -1)
    np.testing.assert_allclose(found.places, (60.3, 178.9), atol=1.0)


def test_a_shifted_profile_has_shifted_walls():
    values = walls_at((60.3, 178.9), (6.0, 7.0), (1, -1))
    base, moved = fe.fit_walls(values, 240.0), fe.fit_walls(np.roll(values, 25), 240.0)
    shifted = np.sort((base.places + 100.0) % 240.0)
    np.testing.assert_allclose(np.sort(moved.places % 240.0), shifted, atol=1e-6)
    assert moved.signs == (-1, 1)


def test_a_single_domain_has_no_walls():
    with pytest.raises(FerrojaxError, match="no walls"):
        fe.fit_walls(np.full(20, 0.7), 80.0)


def test_wall_energy_in_millijoule():
    """1 eV over two walls of 10 Å x 10 Å: 1.602e-19 J / 2e-18 m² = 80.1 mJ/m²."""
    assert fe.wall_energy(-9.0, -10.0, 100.0) == pytest.approx(1.602176634e-19 / 2e-18 * 1e3, rel=1e-12)
    with pytest.raises(FerrojaxError, match="must be above zero"):
        fe.wall_energy(0.0, 0.0, 0.0)


@pytest.mark.slow  # compiles a relaxation
def test_wall_energy_of_the_effective_hamiltonian():
    params = effective.load_parameters("pbtio3-lda")
    wall = effective.wall(params, cells=8)
    with_walls, domain = (float(np.asarray(x)) for x in wall_energies(params, wall))
    assert fe.wall_energy(with_walls, domain, float(params.a0) ** 2) == pytest.approx(wall.energy, rel=1e-6)


def wall_energies(params, wall):
    """Enthalpies of the lattice with walls and of its single domain in the same strain."""
    enthalpy = effective.make_enthalpy(wall.state.shape)
    uniform = effective.uniform_state(wall.state.shape, wall.domain.modes[0, 0, 0])
    return [enthalpy(params, state, wall.strain, jnp.zeros(3)) for state in (wall.state, uniform)]


def test_walls_are_followed_through_the_boundary():
    length, time = np.full(16, 240.0), np.arange(16) * 1250.0
    speed = np.array([0.004, -0.0052])  # Å/fs; both cross the boundary, and the walls turn places in the list
    truth = np.array([200.0, 60.0]) + time[:, None] * speed
    fits = []
    for places in truth:
        order = np.argsort(places % 240.0)
        fits.append(fe.fit_walls(walls_at((places % 240.0)[order], (6.0, 6.0), np.array([1, -1])[order]), 240.0))
    found = fe.track(fits, length)
    first = np.argsort(truth[0] % 240.0)
    np.testing.assert_allclose(found - found[0], (truth - truth[0])[:, first], atol=1e-4)
    result = fe.velocity(time, found[:, 1])
    assert result.value == pytest.approx(400.0, rel=1e-5)  # 0.004 Å/fs = 400 m/s
    with pytest.raises(FerrojaxError, match="frame 1 has 4 walls, the first 2"):
        fe.track([fits[0], fe.fit_walls(walls_at((31.0, 85.0, 150.0, 211.0), [6] * 4, (1, -1, 1, -1)), 240.0)], length)
    with pytest.raises(FerrojaxError, match="at least 10"):
        fe.velocity(time[:4], found[:4, 0])


def test_velocity_errors_allow_for_correlated_noise():
    rng, time, pulls = np.random.default_rng(1), np.arange(1500.0), []
    for _ in range(60):
        kicks = rng.normal(0, 1, 1500)
        noise = np.zeros(1500)
        for t in range(1, 1500):
            noise[t] = 0.9 * noise[t - 1] + kicks[t]
        found = fe.velocity(time, 0.01 * time + noise)
        pulls.append((found.value - 1000.0) / found.error)
    assert 0.7 < np.std(pulls) < 1.4 and abs(np.mean(pulls)) < 0.5  # 60 pulls: 9 and 13 %; white errors would give 4.4


def test_merz_and_creep_return_their_parameters():
    field = np.linspace(0.5, 2.0, 12)
    slow = 30.0 * np.exp(-1.7 / field)
    found = fe.merz(field, slow)
    assert found.activation.value == pytest.approx(1.7, rel=1e-8) and found.log_speed.value == pytest.approx(np.log(30.0), rel=1e-8)
    np.testing.assert_allclose(found.speed(field), slow, rtol=1e-7)
    kelvin = np.repeat([250.0, 300.0, 400.0], 12)
    fields = np.tile(field, 3)
    at = np.exp(np.log(fields).mean())
    speed = 800.0 * np.exp(-0.12 / (BOLTZMANN * kelvin) * (at / fields) ** 0.25)
    for exponent in (None, 0.25):
        creep = fe.creep(fields, speed, kelvin, exponent=exponent)
        assert creep.barrier.value == pytest.approx(0.12, rel=1e-5) and creep.exponent.value == pytest.approx(0.25, rel=1e-4)
        assert creep.log_speed.value == pytest.approx(np.log(800.0), rel=1e-5) and creep.at == pytest.approx(at)
        np.testing.assert_allclose(creep.speed(fields, kelvin), speed, rtol=1e-5)
        np.testing.assert_allclose(creep.speed(fields[:12], 250.0), speed[:12], rtol=1e-5)
    merz = fe.creep(field, slow, 300.0, exponent=1.0)  # Merz's law is creep with μ = 1
    assert merz.barrier.value / (BOLTZMANN * 300.0) * merz.at == pytest.approx(1.7, rel=1e-8)
    with pytest.raises(FerrojaxError, match="exponent must be above zero, such as 0.25; got 0.0"):
        fe.creep(fields, speed, kelvin, exponent=0.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_confidence_intervals_hold_the_truth_95_times_in_100(weighted):
    rng, hits, trials = np.random.default_rng(4), np.zeros(3), 200
    field, kelvin = np.tile(np.linspace(0.5, 2.0, 8), 2), np.repeat([280.0, 400.0], 8)
    at = np.exp(np.log(field).mean())
    for _ in range(trials):
        exact = 800.0 * np.exp(-0.1 / (BOLTZMANN * kelvin) * (at / field) ** 0.5)
        speed = exact * np.exp(rng.normal(0, 0.05, 16))
        found = fe.creep(field, speed, kelvin, error=0.05 * speed if weighted else None)
        truth = (np.log(800.0), 0.1, 0.5)
        hits += [e.low < x < e.high for e, x in zip((found.log_speed, found.barrier, found.exponent), truth)]
    assert (hits / trials > 0.90).all() and (hits / trials < 0.995).all()  # 200 trials: ± 1.5 %


def test_nucleation_and_growth():
    t = np.linspace(0, 300, 80)
    share = 1 - np.exp(-((t / 110.0) ** 2.6))
    found = fe.nucleation_growth(t, share)
    assert found.time.value == pytest.approx(110.0, rel=1e-6) and found.exponent.value == pytest.approx(2.6, rel=1e-6)
    rng, hits = np.random.default_rng(0), 0
    for _ in range(100):
        noisy = fe.nucleation_growth(t, share + rng.normal(0, 0.02, 80))
        hits += (noisy.time.low < 110.0 < noisy.time.high) + (noisy.exponent.low < 2.6 < noisy.exponent.high)
    assert 180 <= hits <= 198  # 95 % of 200: 190 ± 3
    with pytest.raises(FerrojaxError, match="grows from 0 past one half"):
        fe.nucleation_growth(t, 0.2 * share)


def test_coercive_field_against_frequency():
    f = np.array([0.1, 1.0, 10.0, 100.0])
    found = fe.frequency_law(f, 120.0 * f**0.33)
    assert found.exponent.value == pytest.approx(0.33, rel=1e-9) and found.field.value == pytest.approx(120.0 * found.at**0.33, rel=1e-9)
    with pytest.raises(FerrojaxError, match="2 points"):
        fe.frequency_law(f[:2], f[:2])
    with pytest.raises(FerrojaxError, match="above zero"):
        fe.merz(np.array([-1.0, 1.0, 2.0]), np.ones(3))


def test_numbers_of_loops():
    """An ellipse has the sine of its loss angle; a shifted loop has its shift as imprint."""
    t, angle = np.linspace(0, 2 * np.pi, 4001), 0.3
    field, p = 100.0 * np.cos(t), 0.5 * np.cos(t - angle)  # kV/cm, C/m²
    area = np.pi * 100e5 * 0.5 * np.sin(angle) * 1e-6  # MJ/m³
    coercive = 100.0 * np.sin(angle)
    zeros = np.zeros(len(t), int)
    loop = Hysteresis(t, zeros, field, p, (0.5 * np.sin(angle), -0.5 * np.sin(angle)), (-coercive, coercive), area, 1.0, 1)
    assert loop.loss == pytest.approx(np.sin(angle), rel=1e-6)
    assert loop.half_width == pytest.approx(coercive) and loop.imprint == pytest.approx(0.0)
    assert loop.remanent == pytest.approx(0.5 * np.sin(angle))
    shifted = replace(loop, coercive_field=(-10.0, 34.0))
    assert shifted.imprint == 12.0 and shifted.half_width == 22.0
    assert replace(loop, coercive_field=(None, 3.0)).imprint is None
    assert {"imprint_kV_per_cm", "loss", "remanent_polarization_C_per_m2"} <= set(loop.numbers)
