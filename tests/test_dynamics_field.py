"""Dynamics in a field: the work of a closed loop, the branch of the dipole, imposed strain."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_model import ToyModel, rattled_triclinic

from ferrojax.dynamics import NPT, NVE, Langevin, LangevinNPT, NoseHoover, Ramp, Triangle
from ferrojax.dynamics.run import run
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.response.first import energy_forces_stress
from ferrojax.state import apply_strain

MODEL = ToyModel()
ENTHALPY = make_enthalpy(MODEL)
KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def relaxed():
    return relax(ENTHALPY, MODEL.params, MODEL.prepare(rattled_triclinic(), skin=1.0)).state


def go(state, integrator, steps, **settings):
    return run(ENTHALPY, MODEL.params, state, integrator, steps, **({"key": KEY, "temperature": 100.0} | settings))


def test_work_of_a_closed_loop_is_its_area(relaxed, claim):
    """In NVE the enthalpy gained in a closed field loop is -∮ M·dE."""
    loop = Triangle(amplitude=jnp.array([0.0, 0.05, 0.1]), period=100.0)
    records = go(relaxed, NVE(dt=0.25), 400, every=1, field=loop).records
    np.testing.assert_allclose(records.field[[99, 199, 299, 399], 2], [0.1, 0.0, -0.1, 0.0], atol=1e-12)
    field, dipole = np.vstack([records.field[-1:], records.field]), np.vstack([records.dipole[:1], records.dipole])
    area = -np.sum(0.5 * (dipole[1:] + dipole[:-1]) * np.diff(field, axis=0))
    gained = records.total[-1] - records.total[0] + records.dipole[0] @ (records.field[0] - 0.0)
    assert abs(area) > 1e-3
    claim("B-field-work", abs(gained / area - 1.0))


def test_cell_under_field_does_not_know_the_branch(relaxed, claim):
    """An atom moved by lattice vectors: another branch of the dipole, the same cell and stress."""
    shifted = relaxed.replace(positions=relaxed.positions.at[2].add(relaxed.cell[1] - 2 * relaxed.cell[0]))
    ends = [go(MODEL.prepare(s, skin=1.0), NPT(dt=1.0), 50, every=10, field=(0.0, 0.03, 0.05)) for s in (relaxed, shifted)]
    first, second = (end.records for end in ends)
    assert abs(first.dipole[0] - second.dipole[0]).max() > 5.0
    assert abs(first.cell[-1] - first.cell[0]).max() > 1e-3
    np.testing.assert_allclose(first.stress, second.stress, atol=1e-10)
    claim("B-field-branch", abs(first.cell - second.cell).max())


def test_recorded_stress_is_that_of_the_structure(relaxed):
    """Virial part as in response.first for the strained cell in the field of constant voltage, kinetic part from the momenta."""
    field = jnp.array([0.0, 0.03, 0.05])
    end = go(relaxed, NPT(dt=1.0, stress=0.003, tau_cell=300.0), 40, every=40, field=field)
    motion, state = end.progress.motion, end.state
    local = jnp.linalg.solve(state.cell, end.progress.reference @ field)  # the same drop along every lattice vector
    stress = (
        energy_forces_stress(ENTHALPY, MODEL.params, state, local)[2] - motion.momentum.T @ (motion.momentum / motion.mass) / state.volume
    )
    np.testing.assert_allclose(end.records.stress[0], np.asarray(stress)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], atol=1e-12)
    assert abs(state.cell - relaxed.cell).max() > 1e-3


@pytest.mark.parametrize(
    "integrator",
    [
        NVE(dt=0.5),
        *(pytest.param(i, marks=pytest.mark.slow) for i in (Langevin(dt=0.5, temperature=100.0), NoseHoover(dt=0.5, temperature=100.0))),
    ],
    ids=lambda i: type(i).__name__,
)
def test_strain_protocol_strains_the_cell(relaxed, integrator):
    end_strain = jnp.array([[0.01, 0.004, 0.0], [0.004, -0.006, 0.0], [0.0, 0.0, 0.002]])
    end = go(relaxed, integrator, 60, every=30, strain=Ramp(jnp.zeros((3, 3)), end_strain, duration=15.0))
    expected = apply_strain(relaxed, end_strain).cell
    np.testing.assert_allclose(end.state.cell, expected, atol=1e-9)
    np.testing.assert_allclose(end.records.cell, np.stack([expected] * 2), atol=1e-9)
    # Atoms are carried along: their fractional coordinates stay near those of the start.
    before, after = (np.linalg.solve(np.asarray(s.cell).T, np.asarray(s.positions).T).T for s in (relaxed, end.state))
    assert abs(before - after).max() < 0.06


def test_work_of_straining_is_the_stress(relaxed):
    """dF/dε: in NVE the energy gained along a strain ramp is ∫ V σ:dε."""
    rate = jnp.diag(jnp.array([0.0, 0.0, 0.04]))
    records = go(relaxed, NVE(dt=0.25), 200, every=1, strain=Ramp(jnp.zeros((3, 3)), rate, duration=50.0)).records
    strain = records.cell[:, 2, 2] / np.asarray(relaxed.cell)[2, 2] - 1.0
    power = records.volume * records.stress[:, 2] / (1.0 + strain)
    work = np.sum(0.5 * (power[1:] + power[:-1]) * np.diff(strain))
    assert records.total[-1] - records.total[0] == pytest.approx(work, rel=5e-3)
    assert abs(work) > 1e-3


def test_a_strain_protocol_cannot_join_later(relaxed):
    first = go(relaxed, NVE(dt=0.5), 5, every=5)
    with pytest.raises(FerrojaxError, match="from the first step"):
        go(first.state, NVE(dt=0.5), 5, every=5, progress=first.progress, strain=Ramp(jnp.zeros((3, 3)), jnp.eye(3) * 0.01, duration=5.0))


@pytest.mark.parametrize(
    "integrator",
    [NPT(dt=1.0), *(pytest.param(i, marks=pytest.mark.slow) for i in (LangevinNPT(dt=1.0), NoseHoover(dt=1.0)))],
    ids=lambda i: type(i).__name__,
)
def test_single_precision_stays_single(integrator):
    state = MODEL.prepare(rattled_triclinic(), dtype=np.float32, skin=1.0, k_tolerance=1e-6)
    end = go(state, integrator, 2, every=2)
    assert {x.dtype for x in jax.tree.leaves(end.progress.motion) if jnp.issubdtype(x.dtype, jnp.floating)} == {jnp.dtype("float32")}
