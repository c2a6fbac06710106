"""The effective Hamiltonian through the integrators of molecular dynamics, and its Monte Carlo."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax import analysis, effective
from ferrojax.dynamics import NPT, NVE, Constant, HybridMonteCarlo, Langevin, LangevinNPT, MonteCarlo, NoseHoover, Ramp, run
from ferrojax.dynamics.system import System
from ferrojax.effective import LatticeBoundary, LatticeState
from ferrojax.effective.enthalpy import fold_image, with_image
from ferrojax.errors import FerrojaxError
from ferrojax.units import BOLTZMANN, GPA

KEY, SHAPE = jax.random.key(7), (4, 3, 2)


def parameters(name="batio3-lda", pressure=-5.0):
    return effective.load_parameters(name).under_pressure(pressure * GPA)


def lattice(shape=SHAPE, acoustic=False, dtype=float, **options):
    params = parameters()
    rng = np.random.default_rng(0)
    modes = jnp.asarray(0.05 * rng.normal(size=(*shape, 3)) + [0.02, 0.04, 0.08], dtype)
    moved = jnp.asarray(0.01 * rng.normal(size=(*shape, 3)), dtype) if acoustic else None
    state = effective.prepare(params, LatticeState(modes, acoustic=moved))
    return effective.make_enthalpy(shape, **options), params, state


def drift(integrator, enthalpy, params, state, femtoseconds=60, **options):
    steps = round(femtoseconds / float(integrator.dt))
    found = run(enthalpy, params, state, integrator, steps, key=KEY, temperature=200.0, every=steps // 12, **options)
    return np.ptp(found.records.conserved), found


@pytest.mark.parametrize("kind", ["nve", "acoustic", "nose-hoover", "npt"])
def test_conserved_quantities_are_of_second_order(kind):
    clamp = "fixed" if kind == "npt" else "free"
    case = lattice(acoustic=kind == "acoustic", clamp=clamp)
    make = {
        "nve": NVE,
        "acoustic": NVE,
        "nose-hoover": lambda dt: NoseHoover(dt=dt, temperature=200.0, tau=50.0),
        "npt": lambda dt: NPT(dt=dt, temperature=200.0, tau=50.0, tau_cell=1000.0),
    }[kind]
    coarse, found = drift(make(2.0), *case)
    fine, _ = drift(make(1.0), *case)
    assert 3.2 < coarse / fine < 4.8, (coarse, fine)
    assert np.ptp(found.records.potential) > 30 * coarse


def test_first_step_is_newton():
    enthalpy, params, state = lattice(acoustic=True, clamp="free")
    start = run(enthalpy, params, state, NVE(dt=0.01), 1, key=KEY, temperature=0.0).state
    forces = -jax.grad(lambda s: enthalpy(params, s, jnp.zeros((3, 3)), jnp.zeros(3)))(state).coordinates
    time = 0.01 * 0.09822694743  # fs in Å √(amu/eV)
    np.testing.assert_allclose(start.coordinates - state.coordinates, 0.5 * time**2 * forces / state.masses, rtol=1e-5, atol=1e-15)


def test_records_hold_dipole_and_relaxed_cell():
    enthalpy, params, state = lattice(clamp="free")
    records = run(enthalpy, params, state, Langevin(dt=2.0, temperature=100.0), 20, key=KEY, every=5).records
    modes = records.positions[-1]
    np.testing.assert_allclose(records.dipole[-1], float(params.charge) * modes.sum(0), rtol=1e-10)
    strain = effective.relaxed_strain(params, state.at(jnp.asarray(modes)))
    np.testing.assert_allclose(records.cell[-1], state.cell @ (np.eye(3) + strain).T, rtol=1e-10)
    assert np.abs(records.stress).max() < 1e-9  # at the strain that cancels it


def test_strain_and_field_protocols_act_on_the_lattice():
    enthalpy, params, state = lattice()
    held = Constant(jnp.diag(jnp.array([0.01, 0.0, -0.005])))
    ramp = Ramp(jnp.zeros(3), jnp.array([0.0, 0.0, 0.02]), duration=40.0)
    found = run(enthalpy, params, state, NVE(dt=1.0), 40, key=KEY, temperature=50.0, strain=held, field=ramp, every=20)
    expected = enthalpy(params, found.state, held.value, jnp.array([0.0, 0.0, 0.02]))
    assert float(found.records.potential[-1]) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(found.records.cell[-1], np.asarray(state.cell) * [1.01, 1.0, 0.995])


def test_a_run_restarts_bit_for_bit_and_its_trajectory_has_the_sites(tmp_path):
    enthalpy, params, state = lattice(clamp="free")
    cold = Langevin(dt=2.0, temperature=100.0)
    arguments = {"key": KEY, "every": 5}
    whole = run(enthalpy, params, state, cold, 40, output=tmp_path / "whole", **arguments)
    run(enthalpy, params, state, cold, 20, output=tmp_path / "parts", **arguments)
    parts = run(enthalpy, params, state, cold, 40, output=tmp_path / "parts", **arguments)
    assert jnp.array_equal(whole.state.modes, parts.state.modes)
    assert (tmp_path / "whole" / "log.csv").read_bytes() == (tmp_path / "parts" / "log.csv").read_bytes()
    with h5py.File(tmp_path / "whole" / "trajectory.h5") as file:
        last = file["particles/all/position/value"][-1]
    sites = state.to_ase().positions
    np.testing.assert_allclose(last - sites, whole.state.coordinates, atol=1e-12)
    atoms = whole.state.to_ase()
    np.testing.assert_allclose(atoms.arrays["mode"], whole.state.coordinates)
    assert np.allclose(sites[0], 0.5 * np.asarray(state.cell).diagonal() / SHAPE)


def one_cell(clamp, kelvin, field):
    """⟨F⟩, ⟨u²⟩ and ⟨uz⟩ of a single cell by integration over a grid."""
    params, enthalpy = parameters(), effective.make_enthalpy((1, 1, 1), clamp=clamp)
    axis = np.linspace(-0.42, 0.42, 57)
    points = jnp.asarray(list(itertools.product(axis, repeat=3)))
    value = jax.jit(jax.vmap(lambda u: enthalpy(params, LatticeState(u.reshape(1, 1, 1, 3)), jnp.zeros((3, 3)), field)))(points)
    weight = np.exp(-(np.asarray(value) - float(value.min())) / (BOLTZMANN * kelvin))
    edge = np.abs(np.asarray(points)).max(1) > 0.41
    assert weight[edge].sum() < 1e-4 * weight.sum()
    moments = (np.asarray(value), np.sum(np.asarray(points) ** 2, 1), np.asarray(points)[:, 2])
    return [float((weight * m).sum() / weight.sum()) for m in moments]


@pytest.mark.parametrize("clamp", ["free", *(pytest.param(clamp, marks=pytest.mark.slow) for clamp in ("epitaxial", "fixed"))])
def test_monte_carlo_of_one_cell_against_integration(clamp):
    """A single cell has homogeneous strain, its own dipole kernel and all anharmonic terms, in three dimensions."""
    field, kelvin = jnp.array([0.0, 0.0, 0.03]), 600.0
    params, enthalpy = parameters(), effective.make_enthalpy((1, 1, 1), clamp=clamp)
    state = effective.prepare(params, effective.uniform_state((1, 1, 1), (0.1, 0.1, 0.1)))
    found = run(enthalpy, params, state, MonteCarlo(temperature=kelvin), 40_000, key=KEY, field=field, every=4)
    modes = found.records.positions[:, 0]
    series = (found.records.potential, np.sum(modes**2, 1), modes[:, 2])
    for values, expected in zip(series, one_cell(clamp, kelvin, field), strict=True):
        average = analysis.mean(values)
        assert abs(average.value - expected) < 4.5 * average.error, (average, expected)
        assert average.error < 0.05 * np.std(values)
    assert 0.01 < float(found.progress.motion.acceptance) < 0.8


def test_hybrid_monte_carlo_of_one_cell_against_integration():
    field, kelvin = jnp.array([0.0, 0.0, 0.03]), 600.0
    params, enthalpy = parameters(), effective.make_enthalpy((1, 1, 1), clamp="free")
    state = effective.prepare(params, effective.uniform_state((1, 1, 1), (0.1, 0.1, 0.1)))
    # So coarse that plain dynamics would be far off: only the rejections make it right.
    coarse = HybridMonteCarlo(temperature=kelvin, dt=75.0, leaps=5)
    with pytest.raises(FerrojaxError, match="time step of 15 fs"):
        run(enthalpy, params, state, coarse, 10, key=KEY)
    found = run(enthalpy, params, state, coarse.replace(leaps=16), 30_000, key=KEY, field=field, every=2)
    modes = found.records.positions[:, 0]
    for values, expected in zip((found.records.potential, np.sum(modes**2, 1), modes[:, 2]), one_cell("free", kelvin, field), strict=True):
        average = analysis.mean(values)
        assert abs(average.value - expected) < 4.5 * average.error, (average, expected)


def test_image_and_folding_are_transposes():
    rng = np.random.default_rng(0)
    fields, other = jnp.asarray(rng.normal(size=(9, 3, 2, 4))), jnp.asarray(rng.normal(size=(9, 3, 2, 12)))
    assert float(jnp.vdot(with_image(fields, 2), other)) == pytest.approx(float(jnp.vdot(fields, fold_image(other, 4))))


def samples(integrator, case, steps, every):
    enthalpy, params, state = case
    found = run(enthalpy, params, state, integrator, steps, key=KEY, every=every)
    cut = len(found.records.potential) // 5
    modes = found.records.positions[cut:].astype(float).reshape(-1, state.modes.size // 3, 3)
    cells = modes.shape[1]
    return {
        "energy": 1e3 * found.records.potential[cut:].astype(float) / cells,
        "u2": np.sum(modes**2, 2).mean(1),
        "uz2": np.mean(modes[..., 2] ** 2, 1),
        "P": np.linalg.norm(modes.mean(1), axis=1),
        "volume": np.linalg.det(found.records.cell[cut:].astype(float)) / cells,
    }


def deviation(one, other):
    """Largest difference of means, in their standard errors."""
    pairs = [(analysis.mean(one[name]), analysis.mean(other[name])) for name in one]
    return max(abs(a.value - b.value) / max(1e-12, np.hypot(a.error, b.error)) for a, b in pairs)


@pytest.mark.statistical
def test_dynamics_monte_carlo_and_hybrid_agree(claim):
    """In the rhombohedral, orthorhombic and cubic phase; twelve comparisons of five means: 4.2 standard errors have p = 0.002."""
    worst = 0.0
    for kelvin in (180.0, 240.0, 360.0):
        case = lattice((6, 6, 6), dtype=jnp.float32, clamp="free")
        dynamics = samples(Langevin(dt=2.0, temperature=kelvin, friction=0.005), case, 200_000, 20)
        monte_carlo = samples(MonteCarlo(temperature=kelvin), case, 60_000, 10)
        hybrid = samples(HybridMonteCarlo(temperature=kelvin, dt=60.0, leaps=15), case, 15_000, 2)
        worst = max(worst, deviation(dynamics, monte_carlo), deviation(dynamics, hybrid), deviation(monte_carlo, hybrid))
    claim("C-samplers", worst)
    assert worst < 4.2


@pytest.mark.statistical
def test_monte_carlo_of_a_film_agrees_with_dynamics():
    case = lattice((4, 4, 4), dtype=jnp.float32, boundary=LatticeBoundary(dead_layers=1), clamp="epitaxial")
    dynamics = samples(Langevin(dt=2.0, temperature=300.0, friction=0.005), case, 100_000, 20)
    monte_carlo = samples(MonteCarlo(temperature=300.0), case, 40_000, 10)
    assert deviation(dynamics, monte_carlo) < 4.0


@pytest.mark.statistical
def test_constant_stress_by_dynamics_of_the_cell_equals_the_eliminated_strain():
    """Mean modes and volume agree; the enthalpy differs by the kT/2 of each of six strains."""
    kelvin = 360.0
    following = samples(
        Langevin(dt=2.0, temperature=kelvin, friction=0.005), lattice((4, 4, 4), dtype=jnp.float32, clamp="free"), 150_000, 20
    )
    moving = LangevinNPT(dt=2.0, temperature=kelvin, friction=0.005, friction_cell=0.01, tau_cell=200.0)
    dynamic = samples(moving, lattice((4, 4, 4), dtype=jnp.float32), 150_000, 20)
    dynamic["energy"] = dynamic["energy"] - 1e3 * 3 * BOLTZMANN * kelvin / 64
    assert deviation(following, dynamic) < 4.0


def test_what_monte_carlo_cannot_sample_is_refused():
    enthalpy, params, state = lattice(acoustic=True, clamp="free")
    with pytest.raises(FerrojaxError, match="acoustic=None"):
        run(enthalpy, params, state, MonteCarlo(), 10, key=KEY)
    with pytest.raises(FerrojaxError, match="HybridMonteCarlo"):
        MonteCarlo().build(System(lambda *_: jnp.zeros(()), params, state))
    with pytest.raises(FerrojaxError, match="clamp must be"):
        effective.make_enthalpy(SHAPE, clamp="loose")
    with pytest.raises(FerrojaxError, match="-4.5"):
        effective.prepare(parameters("batio3-wc", -5.0), effective.uniform_state(SHAPE))


@pytest.mark.slow
def test_transforms_over_four_devices_give_the_numbers_of_one(claim):
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    worker = Path(__file__).with_name("lattice_worker.py")
    done = subprocess.run([sys.executable, str(worker)], env=environment, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == 4 and found["bulk pieces"] == found["film pieces"] == 4
    assert "4 devices must divide" in found["refusal"]
    differences = [value for name, value in found.items() if name.split()[-1] in ("energy", "forces", "parameters", "run")]
    assert len(differences) == 7
    claim("C-sharded", max(differences))
    assert max(differences) < 1e-9
