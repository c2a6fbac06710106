"""Hybrid Monte Carlo of atoms against exact averages."""

import jax
import numpy as np
import pytest
from double_well import BARRIER, double_well, two_atoms

from ferrojax import analysis
from ferrojax.dynamics import HybridMonteCarlo, MonteCarlo, run
from ferrojax.errors import FerrojaxError
from ferrojax.units import BOLTZMANN

KELVIN = 900.0


def exact(function):
    """⟨f(d)⟩ of the separation along z, whose energy is the double well."""
    d = np.linspace(-2.5, 2.5, 20001)
    weight = np.exp(-BARRIER * (d**2 - 1) ** 2 / (BOLTZMANN * KELVIN))
    return (weight * function(d)).sum() / weight.sum()


def test_two_atoms_in_a_double_well():
    # Time steps so long that a tenth of the trajectories and more are rejected.
    hybrid = HybridMonteCarlo(temperature=KELVIN, dt=80.0, leaps=16)
    found = run(double_well, {"h": BARRIER}, two_atoms(), hybrid, 20_000, key=jax.random.key(0), every=2)
    d = (found.records.positions[:, 1] - found.records.positions[:, 0])[..., 2]
    well = found.records.potential - 0.5 * ((found.records.positions[:, 1] - found.records.positions[:, 0])[:, :2] ** 2).sum(1)
    for values, function in ((d**2, np.square), (d**4, lambda x: x**4), (well, lambda x: BARRIER * (x**2 - 1) ** 2)):
        average = analysis.mean(values)
        assert abs(average.value - exact(function)) < 4 * average.error
        assert average.error < 0.03 * abs(average.value)
    drawn = analysis.mean(found.records.temperature)
    assert abs(drawn.value - KELVIN) < 4 * drawn.error
    assert np.isnan(found.records.conserved).all()
    assert 0.5 < float(found.progress.motion.acceptance) <= 1.0


def test_monte_carlo_of_atoms_names_the_one_that_works():
    with pytest.raises(FerrojaxError, match="HybridMonteCarlo"):
        run(double_well, {"h": BARRIER}, two_atoms(), MonteCarlo(temperature=KELVIN), 10, key=jax.random.key(0))
