"""Replicas: each as if alone, whatever the number of devices, stale or failing neighbours."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_model import ToyModel, rattled_triclinic

from ferrojax.dynamics import NVE, Langevin, LangevinNPT, NoseHoover, Ramp, Triangle, run
from ferrojax.dynamics.replicas import run_replicas
from ferrojax.dynamics.rollout import BLOWN_UP, RUNNING
from ferrojax.dynamics.stacking import Stacked, common_shapes, stack
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError

MODEL = ToyModel()
ENTHALPY = make_enthalpy(MODEL)
KEYS = jax.random.split(jax.random.key(5), 3)


@pytest.fixture(scope="module")
def relaxed():
    return relax(ENTHALPY, MODEL.params, MODEL.prepare(rattled_triclinic(), skin=1.0)).state


def same_as_alone(fleet, index, alone, atol=1e-9):
    """Records and final structure of a replica against a single run."""
    fresh = fleet.records.fresh[index]
    assert fleet.records.step[index][fresh].tolist() == alone.records.step.tolist()
    for name in ("positions", "total", "dipole", "stress", "cell", "field"):
        np.testing.assert_allclose(getattr(fleet.records, name)[index][fresh], getattr(alone.records, name), atol=atol, err_msg=name)
    np.testing.assert_allclose(fleet.state.positions[index], alone.state.positions, atol=atol)
    np.testing.assert_allclose(fleet.state.cell[index], alone.state.cell, atol=atol)


@pytest.mark.slow
def test_temperatures_and_fields_each_as_alone(relaxed):
    """A small skin: every replica is rebuilt several times, at its own steps."""
    state = MODEL.prepare(relaxed, skin=0.15)
    integrators = [Langevin(dt=1.0, temperature=Ramp(t, 300.0, duration=40.0), friction=0.02) for t in (100.0, 400.0, 900.0)]
    loops = [Triangle(jnp.array([0.0, 0.0, e]), 80.0) for e in (0.0, 0.02, 0.04)]
    fleet = run_replicas(ENTHALPY, MODEL.params, state, integrators, 65, key=KEYS, field=stack(loops))
    assert fleet.records.step[0].tolist() == [10, 20, 30, 40, 50, 60, 65] and not fleet.failures
    assert len(set(fleet.rebuilds.tolist())) > 1 and fleet.rebuilds.max() >= 2
    for k in range(3):
        alone = run(ENTHALPY, MODEL.params, state, integrators[k], 65, key=KEYS[k], field=loops[k])
        same_as_alone(fleet, k, alone)
        assert alone.rebuilds == fleet.rebuilds[k]
    assert np.abs(fleet.state.positions[0] - fleet.state.positions[2]).max() > 1e-2


@pytest.mark.slow
def test_parameters_and_cells_each_as_alone(relaxed):
    """A committee at constant stress from two cells; topologies of different size get a common shape."""
    states = [MODEL.prepare(relaxed, skin=s_) for s_ in (1.0, 1.0)]
    states[1] = MODEL.prepare(relaxed.replace(cell=relaxed.cell * 1.06, positions=relaxed.positions * 1.06), skin=1.0, slots=80)
    committee = [MODEL.params | {"flow": f} for f in (0.6, 0.5)]
    integrator = LangevinNPT(dt=1.0, temperature=300.0)
    fleet = run_replicas(ENTHALPY, stack(committee), states, integrator, 12, key=jax.random.key(3), every=4)
    keys = jax.random.split(jax.random.key(3), 2)
    for k in range(2):
        same_as_alone(fleet, k, run(ENTHALPY, committee[k], states[k], integrator, 12, key=keys[k], every=4))
    assert np.abs(fleet.records.cell[0, -1] - relaxed.cell).max() > 1e-4


@pytest.mark.slow
def test_going_on_equals_going_through(relaxed):
    settings = {"field": stack(jnp.eye(3) * 0.02), "every": 10}
    integrator = Langevin(dt=1.0, temperature=300.0, friction=0.02)
    whole = run_replicas(ENTHALPY, MODEL.params, relaxed, integrator, 40, key=jax.random.key(1), **settings)
    first = run_replicas(ENTHALPY, MODEL.params, relaxed, integrator, 25, key=jax.random.key(1), **settings)
    second = run_replicas(ENTHALPY, MODEL.params, relaxed, integrator, 15, after=first, **settings)
    assert first.records.step[0].tolist() == [10, 20, 25] and second.records.step[0].tolist() == [30, 40]
    np.testing.assert_allclose(second.records.positions[:, -1], whole.records.positions[:, -1], atol=1e-10)
    state, progress = second.one(2)
    alone = run(ENTHALPY, MODEL.params, state, integrator, 5, progress=progress, field=jnp.array([0.0, 0.0, 0.02]))
    assert alone.records.step.tolist() == [45]


@pytest.mark.slow
def test_one_that_blows_up_is_named_and_the_others_go_on(relaxed):
    seen = []
    with pytest.warns(UserWarning, match=r"replica 1 \(.*temperature=1\.e\+08\): at step 1 .*an atom jumps"):
        fleet = run_replicas(
            ENTHALPY, MODEL.params, relaxed, NVE(dt=0.5), 20, key=KEYS, temperature=stack([100.0, 1e8, 200.0]),
            report=lambda k, record: seen.append((k, record.step.tolist())),
        )  # fmt: skip
    assert list(fleet.failures) == [1] and fleet.progress.verdict.tolist() == [RUNNING, BLOWN_UP, RUNNING]
    assert fleet.records.fresh.tolist() == [[True, True], [False, False], [True, True]] and np.isnan(fleet.records.total[1]).all()
    np.testing.assert_array_equal(fleet.state.positions[1], relaxed.positions)
    assert seen == [(0, [10, 20]), (2, [10, 20])]
    same_as_alone(fleet, 2, run(ENTHALPY, MODEL.params, relaxed, NVE(dt=0.5), 20, key=KEYS[2], temperature=200.0))


def test_a_skin_too_small_for_one_step_fails_alone(relaxed):
    with pytest.warns(UserWarning, match=r"replica 0 .*at step \d+ atoms move farther than the skin of 0\.01 Å"):
        fleet = run_replicas(
            ENTHALPY, MODEL.params, MODEL.prepare(relaxed, skin=0.01), NVE(dt=0.5), 20, key=KEYS[:2], temperature=stack([2000.0, 0.0])
        )
    assert list(fleet.failures) == [0] and fleet.records.step[1].tolist() == [10, 20]


def test_what_cannot_run_side_by_side_is_refused(relaxed):
    go = lambda integrator, **settings: run_replicas(ENTHALPY, MODEL.params, relaxed, integrator, 1, **settings)  # noqa: E731
    with pytest.raises(FerrojaxError, match="item 1 is not of the kind"):
        go([NVE(), NoseHoover()], key=KEYS[0])
    with pytest.raises(FerrojaxError, match="3 of integrator, 2 of key"):
        go([NoseHoover()] * 3, key=KEYS[:2])
    with pytest.raises(FerrojaxError, match="nothing tells how many"):
        go(NoseHoover(), key=KEYS[0])
    with pytest.raises(FerrojaxError, match="key=jax"):
        go([NVE(), NVE()], key=KEYS[0])
    with pytest.raises(FerrojaxError, match="skin of state 1 is 0.5, of state 0 1"):
        common_shapes([relaxed, MODEL.prepare(relaxed, skin=0.5)])
    with pytest.raises(FerrojaxError, match="nothing to stack"):
        stack([])


def test_stacked_numbers_keep_the_precision_of_the_run(relaxed):
    state = MODEL.prepare(rattled_triclinic(), dtype=np.float32, skin=1.0, k_tolerance=1e-6)
    fleet = run_replicas(ENTHALPY, MODEL.params, state, [Langevin(dt=d) for d in (0.5, 1.0)], 4, key=jax.random.key(0), every=2)
    assert fleet.state.positions.dtype == jnp.float32 and fleet.records.total.dtype == np.float32
    assert isinstance(stack([1.0, 2.0]), Stacked)


@pytest.mark.slow
def test_eight_devices_give_the_numbers_of_one(tmp_path, claim):
    """Ten replicas on 8 virtual devices, two of them only padding there, against the same on 1."""
    worker = Path(__file__).parent / "replica_worker.py"
    for devices in (1, 8):
        subprocess.run([sys.executable, worker, "single", str(devices), tmp_path / f"{devices}.npz"], check=True, timeout=600)
    one, eight = (np.load(tmp_path / f"{devices}.npz") for devices in (1, 8))
    assert one["positions"].shape == (10, 8, 3) and int(eight["devices"]) == 8 and one["rebuilds"].max() >= 1
    np.testing.assert_array_equal(one["rebuilds"], eight["rebuilds"])
    assert np.ptp(one["positions"], axis=0).max() > 1e-3
    claim("B-replicas-devices", np.abs(one["positions"] - eight["positions"]).max())
