"""What a new model answers before it has learnt: electrons without labels polarize as the configuration says."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from ferrojax.data import read_frames
from ferrojax.training.config import PotentialConfig
from ferrojax.training.start import starting_point
from ferrojax.units import EPSILON_0


@pytest.mark.parametrize(("preset", "eps_inf"), [("fast", 6.8), ("accurate", 2.0), ("fast", 1.0)])
def test_an_untrained_model_polarizes_as_eps_inf_says(preset, eps_inf):
    frames = [frame for frame in read_frames("pbtio3-v1") if len(frame.atoms) == 5][::60]
    start = starting_point(PotentialConfig(preset=preset, eps_inf=eps_inf), frames, seed=1)
    assert start.notes == (f"NOTE: no frame labels a polarizability: untrained, that of the model stays near eps_inf = {eps_inf:g}",)
    terms = jax.jit(start.model.terms)
    states = [start.model.prepare(frame.atoms, skin=1.0) for frame in frames]
    tensors = [np.eye(3) + terms(start.params, state).polarizability / (state.volume * EPSILON_0) for state in states]
    # Random weights of the head add some per cent, and an α of zero is out of its reach.
    np.testing.assert_allclose(np.trace(np.mean(tensors, 0)) / 3, eps_inf, rtol=0.1)


def test_polarizabilities_to_learn_from_need_no_note():
    frames = read_frames("pbtio3-v1")[:2]
    labelled = [frames[0], replace(frames[1], polarizability=np.eye(3))]
    assert starting_point(PotentialConfig(), labelled, seed=0).notes == ()
