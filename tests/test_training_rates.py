"""Learning-rate factors by name: frozen means frozen, a tenth is a tenth, and patterns are checked."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_toy import random_frames, toy
from training_worker import REFERENCES

from ferrojax.errors import FerrojaxError
from ferrojax.potential import Model, preset
from ferrojax.training.batches import pack
from ferrojax.training.config import OptimizerConfig, load_config
from ferrojax.training.loss import LossSettings, batch_loss
from ferrojax.training.optimizer import init_state, make_step
from ferrojax.training.rates import parameter_names, rate_factors

RATES = {"w*": 0.0, "energy": 0.1}


@pytest.fixture(scope="module")
def run():
    """Parameters of the toy, their gradient, and the states after each of three steps of Adam with RATES."""
    model, config = toy(), OptimizerConfig(ema=0.9, weight_decay=0.01, clip=0.5, rates=RATES)
    batch = pack(random_frames(4), model, REFERENCES, max_buckets=1).buckets[0]
    start = model.init(jax.random.key(0))
    gradient = jax.jit(jax.grad(lambda params: batch_loss(model, LossSettings(), params, batch)))(start)
    step, states = make_step(model, LossSettings(), config), [init_state(jax.tree.map(jnp.copy, start), config)]
    for _ in range(3):
        copy = jax.tree.map(jnp.copy, states[-1])  # a step takes the buffers of its argument
        states.append(step(copy, batch, jnp.float32(0.02))[0])
    return jax.device_get((start, gradient, states[1:]))


def test_frozen_parameters_and_their_average_stay_bit_identical_and_the_others_move(run):
    start, _, (*_, state) = run
    np.testing.assert_array_equal(state.params["width"], start["width"])
    np.testing.assert_array_equal(state.ema["width"], start["width"])
    for name in ("energy", "flow"):
        assert np.all(state.params[name] != start[name])
        assert np.all(state.ema[name] != start[name])


def test_first_step_is_clipped_adam_times_the_factor_without_the_frozen_gradient(run):
    start, gradient, (state, *_) = run
    free = {name: slope for name, slope in gradient.items() if name != "width"}
    scale = 0.5 / float(optax.tree.norm(free))
    assert scale < 0.9  # the clip is at work
    assert float(optax.tree.norm(gradient)) > 1.001 * float(optax.tree.norm(free))  # and the frozen gradient would count in it
    for name, factor in {"energy": 0.1, "flow": 1.0}.items():
        clipped = scale * np.asarray(gradient[name], np.float64)
        adam = clipped / (np.abs(clipped) + 1e-8) + 0.01 * start[name]  # the first step, bias-corrected
        np.testing.assert_allclose(state.params[name] - start[name], -0.02 * factor * adam, rtol=1e-4, atol=2e-7)


def test_the_last_pattern_that_matches_counts():
    params = jax.eval_shape(Model(preset("accurate", ("Pb", "Ti", "O"))).init, jax.random.key(0))
    names = parameter_names(params)
    assert {"embedding", "first_product/mix", "second_energy/out", "Polarizability_0/isotropic/weight"} <= set(names)
    factors = dict(zip(names, jax.tree.leaves(rate_factors(params, {"*": 0.0, "*_energy/*": 0.5, "second_energy/bias": 2.0}))))
    assert {name: factor for name, factor in factors.items() if factor} == {
        "first_energy/bias": 0.5,
        "first_energy/out": 0.5,
        "first_energy/weight": 0.5,
        "second_energy/bias": 2.0,
        "second_energy/out": 0.5,
        "second_energy/weight": 0.5,
    }
    assert set(jax.tree.leaves(rate_factors(params, {}))) == {1.0}


def test_patterns_without_a_parameter_and_a_training_of_nothing_are_refused():
    params = toy().init(jax.random.key(0))
    with pytest.raises(FerrojaxError, match=r"'wdth' matches no parameter; there are energy, flow, polarizability, width\."):
        init_state(params, OptimizerConfig(rates={"wdth": 0.0}))
    with pytest.raises(FerrojaxError, match="every parameter is frozen"):
        rate_factors(params, {"*": 0.0})
    with pytest.raises(FerrojaxError, match=r"'optimizer\.rates.* greater than or equal to 0 \(got -1\)"):
        load_config({"data": [{"path": "a"}], "stop": {"steps": 1}, "output": {"folder": "b"}, "optimizer": {"rates": {"flow": -1}}})
