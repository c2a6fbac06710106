"""Protocols: values, composition, gradients, checks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax.dynamics.protocols import Constant, Pulse, Ramp, Sequence, Sine, Triangle, as_protocol, join, sample
from ferrojax.errors import FerrojaxError


def values(protocol, *times):
    return [float(protocol(jnp.asarray(t))) for t in times]


def test_each_shape():
    assert values(Ramp(1.0, 3.0, duration=10.0), -1.0, 0.0, 5.0, 10.0, 20.0) == [1.0, 1.0, 2.0, 3.0, 3.0]
    np.testing.assert_allclose(values(Triangle(2.0, period=8.0), 0, 1, 2, 4, 6, 7, 8, 10), [0, 1, 2, 0, -2, -1, 0, 2], atol=1e-12)
    np.testing.assert_allclose(values(Sine(2.0, period=8.0), 0, 2, 4, 6), [0, 2, 0, -2], atol=1e-12)
    np.testing.assert_allclose(values(Pulse(3.0, begin=2.0, width=4.0, rise=1.0), 0, 2, 2.5, 4, 5.5, 6, 9), [0, 0, 1.5, 3, 1.5, 0, 0])
    assert values(Pulse(3.0, begin=2.0, width=4.0), 1.9, 2.0, 6.0, 6.1) == [0, 3, 3, 0]


def test_a_sequence_runs_each_on_its_own_clock_and_stays_at_the_end():
    protocol = Sequence((Constant(1.0, duration=5.0), Ramp(1.0, 2.0, duration=10.0), Sine(1.0, period=4.0, duration=4.0), Constant(7.0)))
    np.testing.assert_allclose(values(protocol, 0, 4.9, 10, 15.0, 16.0, 19.0, 1e6), [1, 1, 1.5, 0, 1, 7, 7], atol=1e-12)
    ended = Sequence((Ramp(0.0, 2.0, duration=10.0),))
    assert values(ended, 50.0) == [2.0]


def test_bias_plus_wave_and_vectors():
    both = Constant(jnp.array([0.0, 0.0, 0.5])) + Triangle(jnp.array([0.0, 0.0, 1.0]), period=4.0)
    np.testing.assert_allclose(both(jnp.asarray(1.0)), [0, 0, 1.5])
    np.testing.assert_allclose(as_protocol(lambda t: t * jnp.ones(3))(jnp.asarray(2.0)), [2, 2, 2])
    assert float(as_protocol(3)(jnp.asarray(2.0))) == 3.0


def test_numbers_are_arguments():
    """One compilation for all amplitudes, and derivatives with respect to them."""
    at_one = jax.jit(lambda protocol: protocol(jnp.asarray(1.0)))
    assert [float(at_one(Triangle(a, period=8.0))) for a in (1.0, 2.0)] == [0.5, 1.0]
    assert at_one._cache_size() == 1
    slope = jax.grad(lambda a, t: Sequence((Constant(1.0, duration=t), Ramp(0.0, a, duration=10.0)))(jnp.asarray(7.0)), (0, 1))(2.0, 3.0)
    np.testing.assert_allclose(slope, [0.4, -0.2])


def test_gaps_and_overlaps_are_refused():
    one = Constant(1.0)
    joined = join([(0.0, 5.0, one), (5.0, 9.0, Ramp(1.0, 2.0))], "temperature")
    assert values(joined, 9.0) == [2.0]
    with pytest.raises(FerrojaxError, match="temperature: a gap before piece 2: it begins at 6 fs, the one before ends at 5 fs"):
        join([(0.0, 5.0, one), (6.0, 9.0, one)], "temperature")
    with pytest.raises(FerrojaxError, match="an overlap before piece 2"):
        join([(0.0, 5.0, one), (4.0, 9.0, one)], "temperature")
    with pytest.raises(FerrojaxError, match="a gap before piece 1"):
        join([(1.0, 5.0, one)], "temperature")
    with pytest.raises(FerrojaxError, match="piece 1 must end after"):
        join([(0.0, 0.0, one)], "temperature")


def test_a_sample_sees_the_ends_of_the_pieces():
    spike = Sequence((Constant(1.0, duration=10.0), Constant(-5.0, duration=1e-3), Constant(1.0)))
    assert sample(spike, 1000.0, points=4).min() == -5.0
