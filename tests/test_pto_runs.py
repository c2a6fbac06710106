"""One run of the PTO-test at one temperature by ASE: the inertia of its cell, stopping and going on, melting."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from ase import units
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from pto_crystal import REPEAT, Crystal, plan, start

from ferrojax.dynamics.barostat import cell_mass
from ferrojax.errors import FerrojaxError
from ferrojax.pto_test import PtoTestConfig, jax_potential
from ferrojax.pto_test.ase_run import AseRun, integrator
from ferrojax.pto_test.jax_potential import cell_period
from ferrojax.pto_test.models import ModelFailure
from ferrojax.pto_test.series import COLUMNS
from ferrojax.units import BOLTZMANN, FEMTOSECOND


def test_the_calculator_of_these_tests_is_what_it_says():
    """Forces and stress against differences of the energy."""
    atoms = start().repeat((2, 1, 1))
    atoms.set_cell(atoms.cell.array @ np.diag([1.01, 0.99, 1.02]), scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = Crystal()
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, 1e-4), atol=1e-6)
    np.testing.assert_allclose(atoms.get_stress()[:3], calculate_numerical_stress(atoms, 1e-5)[:3], atol=1e-6)
    assert Crystal.calls > 0


def test_the_cell_of_both_integrators_has_one_inertia():
    """dv/dt = V σ/W: in ASE 1/W = pfact, here W = (N_f + 3) kT τ²/3."""
    atoms, ensemble = start().repeat(REPEAT), PtoTestConfig().npt
    atoms.calc = Crystal()
    motion = integrator(atoms, plan(ensemble, kelvin=700.0), np.random.default_rng(0))
    tau = cell_period(atoms, 700.0, ensemble.pfactor_fs) * FEMTOSECOND
    assert float(cell_mass(jnp.asarray(BOLTZMANN * 700), 3 * len(atoms) - 3, tau)) == pytest.approx(1 / motion.pfact, rel=1e-7)
    assert FEMTOSECOND == pytest.approx(units.fs, rel=1e-7)


@pytest.mark.parametrize("kind", ["npt", "nvt"])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(kind, tmp_path):
    atoms, task = start().repeat(REPEAT), plan(getattr(PtoTestConfig(), kind), reference=np.full(3, -4.0))
    whole = AseRun(atoms, Crystal(), task).go()
    assert whole.shape == (30, len(COLUMNS)) and np.isfinite(whole).all()
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(SystemExit) as caught:
        AseRun(atoms, Crystal(stop_at=Crystal.calls + 33), task, path).go()
    assert caught.value.code == 143
    begun = AseRun(atoms, Crystal(), task, path)
    assert 0 < begun.step < 60
    np.testing.assert_allclose(begun.go(), whole, rtol=1e-9, atol=1e-9)
    calls = Crystal.calls
    np.testing.assert_array_equal(AseRun(atoms, Crystal(), task, path).go(), begun.rows)
    assert Crystal.calls == calls  # a run at its end takes no step
    path.write_bytes(b"PK cut short")
    with pytest.raises(FerrojaxError, match=r"checkpoint.npz: cannot be read .* remove it"):
        AseRun(atoms, Crystal(), task, path)


def test_a_soft_crystal_melts(tmp_path):
    """Springs of 0.02 eV/Å² let an atom at 300 K go 2 Å."""
    with pytest.raises(ModelFailure, match="melted by .* ps: the Lindemann ratio is 0.3") as caught:
        AseRun(start().repeat(REPEAT), Crystal(stiffness=0.02), plan(PtoTestConfig().nvt, steps=2000), tmp_path / "checkpoint.npz").go()
    assert 10 <= len(caught.value.rows) < 1000


def test_a_step_is_timed_in_a_run_that_compiles_nothing(monkeypatch):
    """Runs of 60, 40, 1 and 1 s of which the first two compile: the first always does, the second as its lists grew."""
    clock, sizes, calls = iter([0, 60, 60, 100, 100, 101, 101, 102]), iter([4, 6, 6, 6]), []

    def fake(*system, progress, **_):
        calls.append(progress)
        return SimpleNamespace(state=jnp.zeros(next(sizes)), progress=len(calls))

    monkeypatch.setattr(jax_potential, "run", fake)
    monkeypatch.setattr(jax_potential, "time", SimpleNamespace(perf_counter=lambda: next(clock)))  # JAX has its own
    monkeypatch.setattr(jax_potential.JaxPotential, "__init__", lambda self: None)
    monkeypatch.setattr(jax_potential.JaxPotential, "_prepared", lambda self, atoms: jnp.zeros(4))
    ours = jax_potential.JaxPotential()
    ours.enthalpy, ours.params, ours.precision = None, None, "float32"
    task = plan(PtoTestConfig().npt)
    assert ours.seconds_per_step(start(), task) == pytest.approx(1 / task.steps)
    assert calls == [None, 1, 2]
