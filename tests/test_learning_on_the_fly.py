"""Dynamics that ends where it is doubted and goes on from there, with a doubt that is known: how far the atoms have come."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jaxtyping import Array
from toy_model import ToyModel, rattled_triclinic

from ferrojax.dynamics import Langevin, Ramp, run
from ferrojax.dynamics.run import DynamicsError
from ferrojax.learning import on_the_fly
from ferrojax.learning.on_the_fly import run_until_doubt

TOY = ToyModel()
START = rattled_triclinic()


class HowFar(struct.PyTreeNode):
    """Doubt: the largest displacement from where the run began, Å."""

    begun: Array
    model: ToyModel = struct.field(pytree_node=False, default=TOY)

    def deviation(self, state):
        return SimpleNamespace(max_force=jnp.max(jnp.linalg.norm(state.positions - self.begun, axis=1)))


MEASURE = HowFar(jnp.asarray(START.positions, jnp.float32))


def stretch(levels, steps=60, atoms=START, temperature=300.0):
    """Almost without friction, so that a run in pieces can be compared with one in one piece."""
    motion = Langevin(dt=1.0, temperature=temperature, friction=1e-9)
    return run_until_doubt(MEASURE, TOY.params, atoms, motion, steps, levels, every=10, seed=3)


def far(atoms):
    moved = atoms.positions - START.positions
    fractional = moved @ np.linalg.inv(START.cell.array)
    return np.linalg.norm((fractional - np.round(fractional)) @ START.cell.array, axis=1).max()


@pytest.fixture(scope="module")
def whole():
    """60 steps without doubt."""
    return stretch((np.inf, np.inf))


def test_a_trusted_run_is_run_to_its_end(whole):
    assert not whole.doubt and len(whole.frames) == 6
    assert [frame.info["time"] for frame in whole.frames] == [10, 20, 30, 40, 50, 60]
    assert whole.left.info["time"] == 60 and whole.left.has("momenta") and not whole.frames[-1].has("momenta")
    assert far(whole.frames[2]) < far(whole.frames[3])  # what the tests below rest on


def test_it_stops_at_the_first_doubt_and_goes_on_as_if_it_had_not_stopped(whole):
    low = (far(whole.frames[2]) + far(whole.frames[3])) / 2
    found = stretch((low, 10.0))
    assert found.doubt and len(found.frames) == 4
    assert all(far(frame) <= low for frame in found.frames[:-1]) and far(found.frames[-1]) > low
    np.testing.assert_allclose(found.left.positions, found.frames[-1].positions)
    rest = stretch((np.inf, np.inf), atoms=found.left)
    assert [frame.info["time"] for frame in rest.frames] == [50, 60]
    np.testing.assert_allclose(rest.left.positions, whole.left.positions, atol=1e-4)
    np.testing.assert_allclose(rest.left.get_momenta(), whole.left.get_momenta(), atol=1e-3)


def test_a_look_that_came_too_late_is_repeated_with_smaller_steps(whole):
    low, late = (far(whole.frames[2]) + far(whole.frames[3])) / 2, far(whole.frames[3])
    found = stretch((low, low + 0.6 * (late - low)))
    assert found.doubt and 30 < found.frames[-1].info["time"] < 40
    assert low < far(found.frames[-1]) <= low + 0.6 * (late - low)
    assert found.frames[-1].info["time"] == found.left.info["time"]


def test_where_every_look_is_too_late_the_last_trusted_structure_is_labelled(whole):
    low = (far(whole.frames[2]) + far(whole.frames[3])) / 2
    found = stretch((low, low + 1e-7))
    assert found.doubt and far(found.frames[-1]) <= low and found.left.info["time"] == found.frames[-1].info["time"]
    stuck = stretch((1e-9, 2e-9))
    assert stuck.doubt and [frame.info["time"] for frame in stuck.frames] == [0.0]


@pytest.mark.slow  # compiles the dynamics of a ramp
def test_a_ramp_goes_on_in_time():
    ramp = Ramp(100.0, 400.0, duration=60.0)
    first = stretch((np.inf, np.inf), steps=20, temperature=ramp)
    rest = stretch((np.inf, np.inf), atoms=first.left, temperature=ramp)
    assert first.left.info["temperature"] == pytest.approx(200.0)
    assert rest.frames[0].info["time"] == 30 and rest.left.info["temperature"] == pytest.approx(400.0)


def test_a_run_that_breaks_off_is_doubted_before(monkeypatch):
    """After step 35, between two looks."""

    def breaking(*system, **rest):
        done = run(*system, **rest)
        if done.progress.step > 35:
            raise DynamicsError("the energy is not finite", done)
        return done

    monkeypatch.setattr(on_the_fly, "run", breaking)
    found = stretch((np.inf, np.inf))
    assert found.doubt and found.left.info["time"] == found.frames[-1].info["time"] == 35
