"""The dynamics driver: conservation, determinism, rebuilding, reports and loud failure."""

import json

import ase.io
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_model import ToyModel, rattled_triclinic

from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.motion import draw_momenta, kinetic_energy, remove_drift, temperature
from ferrojax.dynamics.nve import NVE
from ferrojax.dynamics.output import Output
from ferrojax.dynamics.protocols import Ramp
from ferrojax.dynamics.rollout import rollout, start
from ferrojax.dynamics.run import DynamicsError, run
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.response.first import energy_forces_stress
from ferrojax.state import from_ase
from ferrojax.topology import narrow, rebuild
from ferrojax.units import BOLTZMANN, FEMTOSECOND

MODEL = ToyModel()
ENTHALPY = make_enthalpy(MODEL)
KEY = jax.random.key(11)


@pytest.fixture(scope="module")
def relaxed():
    """A minimum with a skin for dynamics."""
    return relax(ENTHALPY, MODEL.params, MODEL.prepare(rattled_triclinic(), skin=1.0)).state


def go(state, integrator=NVE(dt=0.5), steps=60, **settings):
    settings = {"key": KEY, "temperature": 300.0, "every": 10} | settings
    return run(ENTHALPY, MODEL.params, state, integrator, steps, **settings)


def test_momenta_are_thermal_and_at_rest():
    state = from_ase(rattled_triclinic(repeat=(6, 6, 6)))
    momenta = draw_momenta(KEY, state, 300.0)
    np.testing.assert_allclose(momenta.sum(0), 0.0, atol=1e-9)
    # Standard error of T: 300·sqrt(2/3N) = 3.4 K for 1,728 atoms.
    assert float(temperature(momenta, state)) == pytest.approx(300.0, abs=4 * 3.4)
    heavy, light = (float((momenta[state.numbers == z] ** 2).mean()) for z in (12, 9))
    assert heavy / light == pytest.approx(24.305 / 18.998, rel=0.1)
    assert float(kinetic_energy(momenta, state)) == pytest.approx(1.5 * 1727 * BOLTZMANN * float(temperature(momenta, state)))


def test_padding_atoms_stay_still():
    state = from_ase(rattled_triclinic())
    padded = state.replace(positions=jnp.pad(state.positions, ((0, 2), (0, 0))), numbers=jnp.pad(state.numbers, (0, 2)))
    momenta = draw_momenta(KEY, padded, 300.0)
    assert (momenta[8:] == 0).all()
    np.testing.assert_allclose(temperature(momenta, padded), temperature(momenta[:8], state))
    np.testing.assert_allclose(remove_drift(momenta + 1.0, padded).sum(0), 0.0, atol=1e-12)


def test_first_step_is_newton_in_femtoseconds(relaxed):
    """One velocity-Verlet step from rest moves atom i by ½ f_i t²/m_i, with t in Å·sqrt(amu/eV)."""
    field = jnp.array([0.0, 0.05, 0.0])
    dt = 0.25
    end = go(relaxed, NVE(dt=dt), steps=1, temperature=0.0, field=field)
    forces = energy_forces_stress(ENTHALPY, MODEL.params, relaxed, field)[1]
    mass = np.where(np.asarray(relaxed.numbers) == 12, 24.305, 18.998403163)[:, None]
    expected = 0.5 * forces / mass * (dt * FEMTOSECOND) ** 2
    # jax-md rounds the time step to float32: 6e-8 of it.
    np.testing.assert_allclose(end.state.positions - relaxed.positions, expected, rtol=1e-5, atol=1e-12)
    assert FEMTOSECOND == pytest.approx(1e-15 / np.sqrt(1.66053906660e-27 * 1e-20 / 1.602176634e-19), rel=1e-8)


def test_nve_conserves_energy_in_a_field(relaxed):
    """The fluctuation of the total shrinks as dt² and there is no drift beyond it."""
    spread = {}
    for dt in (0.5, 0.25):
        records = go(relaxed, NVE(dt=dt), steps=int(400 / dt), every=int(5 / dt), field=(0.0, 0.02, 0.01)).records
        spread[dt] = records.total.std()
        halves = np.array_split(records.total, 2)
        assert abs(halves[1].mean() - halves[0].mean()) < 2 * spread[dt]
    assert spread[0.5] / 8 < 1e-4  # eV per atom
    assert spread[0.5] / spread[0.25] == pytest.approx(4.0, rel=0.25)


def test_field_ramp_does_work(relaxed):
    """dF/dt = -M·dE/dt along the exact motion."""
    slope = np.array([0.0, 0.0, 2e-4])  # V/Å/fs
    records = go(relaxed, NVE(dt=0.25), steps=400, every=1, field=ramp).records
    np.testing.assert_allclose(records.field, records.time[:, None] * slope, atol=1e-12)
    moment = records.dipole @ slope
    work = -np.concatenate([[0.0], np.cumsum(0.5 * (moment[1:] + moment[:-1]) * 0.25)])
    assert np.abs(work).max() > 0.005
    np.testing.assert_allclose(records.total - records.total[0], work, atol=2e-4)


def ramp(time):
    return time * jnp.array([0.0, 0.0, 2e-4])


def test_same_key_same_run_and_segments_do_not_matter(relaxed):
    langevin = Langevin(dt=1.0, temperature=300.0, friction=0.02)
    whole = go(relaxed, langevin, steps=60)
    again = go(relaxed, langevin, steps=60)
    np.testing.assert_array_equal(whole.records.positions, again.records.positions)
    first = go(relaxed, langevin, steps=25)
    second = go(first.state, langevin, steps=35, progress=first.progress)
    assert first.records.step.tolist() == [10, 20, 25] and second.records.step.tolist() == [30, 40, 50, 60]
    np.testing.assert_allclose(second.records.positions[-1], whole.records.positions[-1], atol=1e-9)
    other = go(relaxed, langevin, steps=60, key=jax.random.key(12))
    assert np.abs(other.records.positions - whole.records.positions).max() > 1e-3


def test_rebuilding_gives_the_same_trajectory(relaxed):
    """A small skin needs many rebuilds, a large one none; the forces cannot tell."""
    small = MODEL.prepare(relaxed, skin=0.1)
    few, many = go(relaxed, steps=120), go(small, steps=120)
    assert few.rebuilds == 0 and many.rebuilds >= 3
    assert many.records.step.tolist() == few.records.step.tolist()
    np.testing.assert_allclose(many.records.positions, few.records.positions, atol=1e-8)
    np.testing.assert_allclose(many.records.total, few.records.total, atol=1e-9)


def test_overflow_is_mended(relaxed):
    tight = MODEL.prepare(relaxed, skin=1.0, slots=8)
    assert bool(tight.topology.overflow)
    mended, reference = go(tight), go(relaxed)
    np.testing.assert_allclose(mended.records.positions, reference.records.positions, atol=1e-9)


def test_a_shell_of_neighbours_that_comes_near_in_one_step_finds_room():
    crystal = rattled_triclinic()
    crystal.set_cell(np.eye(3) * 5.35)
    crystal.set_scaled_positions(np.rint(2 * rattled_triclinic().get_scaled_positions(wrap=False)) / 2)
    wide = MODEL.prepare(crystal, skin=2.0)  # 18 neighbours within the cutoff of 4.5 Å, eight more at 4.63 Å
    squeeze = Ramp(np.zeros((3, 3)), -0.06 * np.eye(3), duration=0.01)  # to 4.36 Å in one step
    ended = go(wide, NVE(dt=0.01), steps=2, temperature=1.0, strain=squeeze, every=1)
    assert ended.state.topology.near > narrow(wide).topology.near and ended.rebuilds == 2
    fresh = rebuild(ended.state.replace(topology=wide.topology))
    energy = ENTHALPY(MODEL.params, fresh, jnp.zeros((3, 3)), jnp.zeros(3))
    np.testing.assert_allclose(ended.records.potential[-1], energy, rtol=0, atol=1e-9)


def test_dipole_has_no_jumps_and_charges_follow_the_field(relaxed):
    records = go(relaxed, Langevin(dt=1.0, temperature=600.0, friction=0.05), steps=200, every=1, field=switch).records
    steps = np.linalg.norm(np.diff(records.dipole, axis=0), axis=1)
    assert steps.max() < 1.0  # a branch jump would be a lattice vector, 4.7 e Å or more
    assert (records.field[:99, 1] == 0.03).all() and (records.field[101:, 1] == -0.03).all()


def switch(time):
    return jnp.where(time <= 100, 1.0, -1.0) * jnp.array([0.0, 0.03, 0.0])


def test_single_precision_runs_in_single_precision(relaxed):
    state = MODEL.prepare(rattled_triclinic(), dtype=np.float32, skin=1.0, k_tolerance=1e-6)
    end = go(state, Langevin(dt=1.0, temperature=300.0, friction=0.02), steps=20)
    assert {x.dtype for x in jax.tree.leaves(end.progress.motion) if jnp.issubdtype(x.dtype, jnp.floating)} == {jnp.dtype("float32")}
    assert np.isfinite(end.records.total).all()


def test_not_a_number_stops_the_run_with_the_last_good_frame(relaxed, tmp_path):
    with pytest.raises(DynamicsError, match=r"at step 11 \(5.5 fs\) a position is not finite.*smaller time step") as caught:
        output = Output(tmp_path / "md", trajectory="extxyz")
        run(
            fails_in_a_field,
            MODEL.params,
            relaxed,
            NVE(dt=0.5),
            100,
            key=KEY,
            temperature=300.0,
            field=on_after_5_fs,
            every=2,
            output=output,
        )
    kept = caught.value.run
    assert np.isfinite(kept.state.positions).all() and kept.records.step.tolist() == [2, 4, 6, 8, 10]
    assert len((tmp_path / "md" / "log.csv").read_text().splitlines()) == 6
    np.testing.assert_allclose(ase.io.read(tmp_path / "md" / "trajectory.extxyz").positions, kept.state.positions, atol=1e-7)
    card = json.loads((tmp_path / "md" / "run.json").read_text())
    assert card["status"] == "failed" and card["parts"][-1]["to_step"] == 10 and "step 11" in card["parts"][-1]["message"]


def on_after_5_fs(time):
    return jnp.where(time > 5, 1.0, 0.0) * jnp.ones(3)


def fails_in_a_field(params, state, strain, field):
    return ENTHALPY(params, state, strain, field) * jnp.where(field[0] > 0.5, jnp.nan, 1.0)


def test_a_jumping_atom_stops_the_run(relaxed, tmp_path):
    with pytest.raises(DynamicsError, match="at step 1 .*an atom jumps") as caught:
        go(relaxed, temperature=1e8, output=Output(tmp_path, trajectory="extxyz"))
    np.testing.assert_array_equal(caught.value.run.state.positions, relaxed.positions)
    assert len(caught.value.run.records) == 0 and (tmp_path / "trajectory.extxyz").read_text() == ""


def test_no_skin_is_refused_with_the_remedy(relaxed):
    with pytest.raises(DynamicsError, match=r"skin=2\.0"):
        go(MODEL.prepare(relaxed, skin=0.0))


def test_a_run_needs_a_key_and_nve_a_temperature(relaxed):
    for settings in ({"key": None}, {"temperature": None}):
        with pytest.raises(FerrojaxError, match="key=jax"):
            go(relaxed, **settings)


def test_settings_are_arguments_not_constants(relaxed):
    """Temperature and friction may change, and be differentiated, without recompilation."""

    def final(kelvin):
        integrator = Langevin(dt=1.0, temperature=kelvin, friction=0.02)
        rest = lambda time: jnp.zeros(3)  # noqa: E731
        begin = start(ENTHALPY, integrator, MODEL.params, relaxed, rest, KEY, 300.0)
        return rollout(ENTHALPY, integrator, MODEL.params, relaxed, begin, rest, 5, every=5)[1].total[0]

    both = jax.jit(lambda kelvin: jax.jvp(final, (kelvin,), (1.0,)))
    slope = both(300.0)[1]
    assert float(slope) == pytest.approx(float(both(301.0)[0] - both(299.0)[0]) / 2, rel=1e-4)
    assert both._cache_size() == 1


@pytest.mark.statistical
def test_langevin_reaches_its_temperature(relaxed):
    """Mean kinetic temperature within four standard errors, from block averages; the kinetic energy's spread too."""
    langevin = Langevin(dt=1.0, temperature=400.0, friction=0.05)
    records = go(relaxed, langevin, steps=24000, every=8, keep_positions=False, temperature=400.0).records
    kelvin = records.temperature[250:]
    blocks = kelvin[: len(kelvin) // 25 * 25].reshape(25, -1).mean(1)
    error = blocks.std(ddof=1) / 5
    assert error < 10 and abs(blocks.mean() - 400.0) < 4 * error
    # Chi-squared of 21 degrees of freedom: var T / T² = 2/21.
    assert kelvin.var() / 400.0**2 == pytest.approx(2 / 21, rel=0.2)
