"""Relaxation in a field: stationarity, stability, response to the field, loud failure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_model import ToyModel, rattled_triclinic

from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.response.first import born_charges, energy_forces_stress
from ferrojax.topology import is_valid

MODEL = ToyModel()
ENTHALPY = make_enthalpy(MODEL)


def begin(skin=1.0):
    return MODEL.prepare(rattled_triclinic(), skin=skin)


def test_cell_and_positions_reach_a_minimum():
    """Stationary, and higher in energy in every direction tried."""
    found = relax(ENTHALPY, MODEL.params, begin(), force_tolerance=1e-5, stress_tolerance=1e-6)
    energy, forces, stress = energy_forces_stress(ENTHALPY, MODEL.params, found.state, jnp.zeros(3))
    assert float(energy) == pytest.approx(found.energy, abs=1e-12)
    assert np.linalg.norm(forces, axis=1).max() <= 1e-5 and np.abs(stress).max() <= 1e-6
    assert is_valid(found.state) and found.steps > 10
    value = jax.jit(
        lambda u, strain: ENTHALPY(MODEL.params, found.state.replace(positions=found.state.positions + u), strain, jnp.zeros(3))
    )
    rng = np.random.default_rng(0)
    for _ in range(10):
        strain = rng.normal(0, 0.003, (3, 3))
        assert value(rng.normal(0, 0.02, (8, 3)), strain + strain.T) > energy


def test_a_field_displaces_the_atoms_by_their_born_charges():
    """K u = Z*ᵀ E to first order: the relaxed forces without field are minus those of the field."""
    rest = relax(ENTHALPY, MODEL.params, begin(), cell=False, force_tolerance=1e-8)
    field = jnp.array([0.0, 0.0, 1e-4])
    moved = relax(ENTHALPY, MODEL.params, rest.state, field, cell=False, force_tolerance=1e-8)
    np.testing.assert_array_equal(moved.state.cell, rest.state.cell)
    restoring = energy_forces_stress(ENTHALPY, MODEL.params, moved.state, jnp.zeros(3))[1]
    born = born_charges(ENTHALPY, MODEL.params, rest.state, jnp.zeros(3))
    np.testing.assert_allclose(restoring, -jnp.einsum("a,iab->ib", field, born), atol=1e-3 * 1e-4)


@pytest.mark.slow
def test_masked_strain():
    only_z = np.zeros((3, 3))
    only_z[2, 2] = 1.0
    before = begin()
    found = relax(ENTHALPY, MODEL.params, before, cell=only_z)
    np.testing.assert_allclose(found.state.cell[:, :2], before.cell[:, :2], atol=1e-12)
    assert abs(float(found.state.cell[2, 2] - before.cell[2, 2])) > 1e-3
    stress = energy_forces_stress(ENTHALPY, MODEL.params, found.state, jnp.zeros(3))[2]
    assert abs(stress[2, 2]) <= 0.01 / 160.2 < abs(stress[0, 0])
    with pytest.raises(FerrojaxError, match="symmetric"):
        relax(ENTHALPY, MODEL.params, before, cell=np.triu(np.ones((3, 3))))


def test_too_few_steps_fail_loudly():
    with pytest.raises(FerrojaxError, match="not converged after 3 steps: largest force"):
        relax(ENTHALPY, MODEL.params, begin(), max_steps=3)
