"""What a new model answers before it has learnt: electrons without labels polarize as the configuration says."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from ferrojax.data import read_frames
from ferrojax.training.config import LabelValues, LossConfig, PotentialConfig, TrainConfig
from ferrojax.training.start import starting_point, untrained
from ferrojax.units import EPSILON_0


@pytest.mark.parametrize(("preset", "eps_inf"), [("fast", 6.8), ("accurate", 2.0), ("fast", 1.0)])
def test_an_untrained_model_polarizes_as_eps_inf_says(preset, eps_inf):
    frames = [frame for frame in read_frames("pbtio3-v1") if len(frame.atoms) == 5][::60]
    start = starting_point(PotentialConfig(preset=preset, eps_inf=eps_inf), frames, seed=1)
    terms = jax.jit(start.model.terms)
    states = [start.model.prepare(frame.atoms, skin=1.0) for frame in frames]
    tensors = [np.eye(3) + terms(start.params, state).polarizability / (state.volume * EPSILON_0) for state in states]
    # Random weights of the head add some per cent, and an α of zero is out of its reach.
    np.testing.assert_allclose(np.trace(np.mean(tensors, 0)) / 3, eps_inf, rtol=0.1)


def test_a_polarizability_that_nothing_trains_is_told():
    frames = read_frames("pbtio3-v1")[:2]
    labelled = [frames[0], replace(frames[1], polarizability=np.eye(3))]
    config = TrainConfig.model_validate(
        {"data": [{"path": "pbtio3-v1"}], "model": {"eps_inf": 7.0}, "stop": {"steps": 1}, "output": {"folder": "run"}}
    )
    note = "NOTE: no label trains the polarizability: that of the model stays near eps_inf = 7"
    assert untrained(config, frames) == (note,) and untrained(config, labelled) == ()
    unweighted = config.model_copy(update={"loss": LossConfig(weights=LabelValues(polarizability=0))})
    assert untrained(unweighted, labelled) == (note,)
    assert untrained(config.model_copy(update={"model": PotentialConfig(start_from="pbtio3-v1")}), frames) == ()
