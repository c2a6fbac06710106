"""Relaxation in a field: stationarity, stability, response to the field, loud failure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from lead_titanate import MODEL as TRAINED
from toy_model import ToyModel, rattled_triclinic

from ferrojax.calculator import FerrojaxCalculator
from ferrojax.electrostatics.boundary import Boundary
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium import relax, relax_many, space_group
from ferrojax.equilibrium.relax import _conditions
from ferrojax.equilibrium.steps import each, newton, residual
from ferrojax.equilibrium.symmetry import symmetrized
from ferrojax.errors import FerrojaxError
from ferrojax.potential import load
from ferrojax.response.first import born_charges, energy_forces_stress
from ferrojax.topology import is_valid
from ferrojax.units import GPA

MODEL = ToyModel()
ENTHALPY = make_enthalpy(MODEL)


def begin(skin=1.0):
    # Room for the cell to grow, so that nothing is compiled twice.
    return MODEL.prepare(rattled_triclinic(), skin=skin, slots=80, kgrid=(6, 6, 6))


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


STRESS = np.array([[0.003, 0.0005, 0.0], [0.0005, -0.002, 0.0004], [0.0, 0.0004, 0.001]])  # eV/Å³
FIELD = np.array([0.02, -0.01, 0.03])


@pytest.mark.slow
def test_under_stress_and_field_the_true_stress_is_the_outer_one():
    found = relax(ENTHALPY, MODEL.params, begin(), FIELD, force_tolerance=1e-9, stress_tolerance=1e-10, stress=STRESS)
    _, forces, stress = energy_forces_stress(ENTHALPY, MODEL.params, found.state, jnp.asarray(FIELD))
    np.testing.assert_allclose(stress, STRESS, atol=1e-10)
    assert np.abs(forces).max() <= 1e-9


@pytest.mark.slow
def test_pressure_against_ase():
    """ASE's BFGS on its own cell filter reaches the same enthalpy E + pV, volume and distances."""
    pressure = 5 * GPA
    ours = relax(ENTHALPY, MODEL.params, begin(), force_tolerance=1e-7, stress_tolerance=1e-8, stress=-pressure)
    atoms = ours.state.to_ase()
    atoms.rattle(0.02, seed=1)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + np.diag([0.01, -0.01, 0.005])), scale_atoms=True)
    atoms.calc = FerrojaxCalculator(MODEL, MODEL.params, dtype=np.float64)
    assert BFGS(FrechetCellFilter(atoms, scalar_pressure=pressure), logfile=None).run(fmax=1e-5, steps=500)
    volume = float(ours.state.volume)
    assert atoms.get_volume() == pytest.approx(volume, rel=1e-5)
    assert atoms.get_potential_energy() + pressure * atoms.get_volume() == pytest.approx(ours.energy + pressure * volume, abs=1e-7)
    np.testing.assert_allclose(atoms.get_all_distances(mic=True), ours.state.to_ase().get_all_distances(mic=True), atol=1e-3)


@pytest.mark.slow
def test_many_structures_relax_as_each_alone():
    """Different atoms, sizes and fields, padded to one shape; one that cannot converge is named and the others are kept."""
    pair = Atoms("MgF", scaled_positions=[[0, 0, 0], [0.45, 0.5, 0.55]], cell=[[0, 2.4, 2.5], [2.5, 0, 2.4], [2.3, 2.5, 0]], pbc=True)
    states = [begin(), MODEL.prepare(rattled_triclinic(seed=1), skin=1.0), MODEL.prepare(pair, skin=1.0)]
    fields = np.array([[0, 0, 0.02], [0.01, 0, 0], [0, 0, 0]])
    settings = {"cell": False, "force_tolerance": 1e-7}
    together = relax_many(ENTHALPY, MODEL.params, states, fields, **settings)
    for state, field, found in zip(states, fields, together):
        alone = relax(ENTHALPY, MODEL.params, state, field, **settings)
        assert found.converged and found.state.positions.shape == state.positions.shape
        np.testing.assert_allclose(found.state.positions, alone.state.positions, atol=1e-5)
        assert found.energy == pytest.approx(alone.energy, abs=1e-10)
    # The first two are at rest already; the third has not steps enough.
    again = [together[0].state, together[1].state, states[2]]
    with pytest.raises(FerrojaxError, match=r"1 of 3 structures have not converged, \[2\]; structure 2: not converged after 2 steps"):
        relax_many(ENTHALPY, MODEL.params, again, fields, max_steps=2, **settings)
    kept = relax_many(ENTHALPY, MODEL.params, again, fields, max_steps=2, strict=False, **settings)
    assert [r.converged for r in kept] == [True, True, False]


@pytest.mark.slow
def test_newton_converges_quadratically():
    """From 1e-3 eV/Å, in atoms and cell: each step squares the error, to what rounding leaves."""
    rest = relax(ENTHALPY, MODEL.params, begin(), force_tolerance=1e-4, stress_tolerance=1e-5).state
    conditions, forces = _conditions(rest, (0, 0, 0), True, None), []
    state = rest.replace(positions=rest.positions + 1e-3 * jnp.sin(jnp.arange(24.0)).reshape(8, 3))
    for _ in range(4):
        ((state, stiffness),) = each(newton, ENTHALPY, MODEL.params, [state], [conditions])
        ((_, force, stress),) = each(residual, ENTHALPY, MODEL.params, [state], [conditions])
        forces.append(float(force))
    assert stiffness > 0 and forces[-1] < 1e-12 and float(stress) < 1e-12
    assert forces[1] < 1e-2 * forces[0]


@pytest.mark.slow
def test_open_circuit():
    """At D = 0 along z the structure found is stationary for that enthalpy, and lower in it than the short-circuited one."""
    start = begin()
    moment = tuple(map(float, np.asarray(MODEL.formal_charges(start) @ start.positions)))
    enthalpy = make_enthalpy(MODEL, Boundary(kinds=("E", "E", "D"), reference_dipole=moment))
    found = relax(enthalpy, MODEL.params, start, cell=False, force_tolerance=1e-8)
    short = relax(ENTHALPY, MODEL.params, start, cell=False, force_tolerance=1e-8)
    value = jax.jit(lambda x: enthalpy(MODEL.params, found.state.replace(positions=x), jnp.zeros((3, 3)), jnp.zeros(3)))
    unit = np.random.default_rng(0).normal(size=(8, 3))
    near, far = (float(value(found.state.positions + h * unit) - value(found.state.positions - h * unit)) for h in (1e-3, 2e-3))
    assert abs(8 * near - far) / 12e-3 < 1e-7  # of fourth order: eV/Å, along |unit| = 5
    assert found.energy < float(value(short.state.positions)) - 1e-4


PEROVSKITE = np.array([(0, 0, 0.094), (0.5, 0.5, 0.556), (0.5, 0.5, 0.978), (0.5, 0, 0.473), (0, 0.5, 0.473)])


def nearly_tetragonal(noise=2e-4):
    """PbTiO3 that is P4mm but for noise, as a state of the toy model's topology."""
    atoms = Atoms("PbTiO3", scaled_positions=PEROVSKITE, cell=[3.874, 3.8741, 4.2], pbc=True)
    atoms.positions += np.random.default_rng(0).normal(0, noise, (5, 3))
    return ToyModel().prepare(atoms, skin=1.0)


def test_a_structure_is_moved_onto_its_space_group():
    """Within 1e-3 Å; afterwards spglib finds the group at 1e-9 Å, and forces that obey it are left alone."""
    start = nearly_tetragonal()
    assert space_group(start) == "P4mm (99)" and space_group(start, symprec=1e-6) != "P4mm (99)"
    state, symmetry = symmetrized(start)
    assert space_group(state, symprec=1e-9) == symmetry.name == "P4mm (99)" and len(symmetry.rotations) == 8
    assert np.abs(state.positions - start.positions).max() < 1e-3
    np.testing.assert_allclose(np.abs(np.linalg.det(symmetry.rotations)), 1, atol=1e-12)
    _, forces, stress = energy_forces_stress(ENTHALPY, MODEL.params, state, jnp.zeros(3))
    np.testing.assert_allclose(symmetry.vectors(forces), forces, atol=1e-12 * np.abs(forces).max())
    np.testing.assert_allclose(symmetry.tensor(stress), stress, atol=1e-12 * np.abs(stress).max())
    noise = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(symmetry.vectors(jnp.asarray(noise))[:, :2], 0, atol=1e-12)
    # A field or stress takes away what does not leave it alone: along z nothing, along x all but a mirror.
    assert len(symmetrized(start, (0, 0, 0.1))[1].rotations) == 8
    assert len(symmetrized(start, (0.1, 0, 0))[1].rotations) == 2
    assert len(symmetrized(start, stress=np.diag([1.0, 0, 0]))[1].rotations) == 4
    assert len(symmetrized(start, stress=np.diag([1.0, 1.0, 0]))[1].rotations) == 8


@pytest.mark.slow
def test_the_cubic_saddle_keeps_its_symmetry_and_its_soft_mode_leads_down():
    """Trained potential: cubic PbTiO3 stays Pm-3m with a threefold imaginary mode; along it, the tetragonal phase."""
    model, params, _ = load(TRAINED)
    enthalpy = make_enthalpy(model)
    ideal = Atoms("PbTiO3", scaled_positions=np.round(2 * PEROVSKITE) / 2 % 1, cell=np.eye(3) * 3.93, pbc=True)
    ideal.rattle(1e-4, seed=0)
    start = model.prepare(ideal, np.float64, skin=1.0)
    cubic = relax(enthalpy, params, start, force_tolerance=1e-7, stress_tolerance=1e-8, symmetric=True, stability=True)
    assert cubic.groups == ("Pm-3m (221)", "Pm-3m (221)")
    assert cubic.softest.stiffness < -0.1 and cubic.softest.frequency < -1 and "i THz" in str(cubic.softest)
    pushed = cubic.state.at(cubic.state.positions + 0.2 * jnp.asarray(cubic.softest.displacement))
    polar = relax(enthalpy, params, pushed, force_tolerance=1e-5, stress_tolerance=1e-6)
    assert polar.energy < cubic.energy - 0.02
    with pytest.raises(FerrojaxError, match=r"cell mask .* breaks the symmetry Pm-3m"):
        relax(enthalpy, params, start, cell=np.diag([0, 0, 1]), symmetric=True)


def test_bad_input_is_refused():
    state = begin()
    for settings, words in (
        ({"field": (0, 1)}, r"field has shape \(2,\); give 3 numbers in V/Å"),
        ({"field": (0, np.nan, 0)}, "field must be finite"),
        ({"stress": np.arange(9.0).reshape(3, 3)}, "symmetric tensor"),
        ({"stress": np.zeros(6)}, r"stress has shape \(6,\)"),
        ({"cell": np.full((3, 3), 0.5)}, "zeros and ones"),
    ):
        with pytest.raises(FerrojaxError, match=words):
            relax(ENTHALPY, MODEL.params, state, **settings)
    with pytest.raises(FerrojaxError, match="coordinate 3 is not finite"):
        relax(ENTHALPY, MODEL.params, state.replace(positions=state.positions.at[3, 1].set(jnp.nan)))
    with pytest.raises(FerrojaxError, match="left-handed"):
        relax(ENTHALPY, MODEL.params, state.replace(cell=state.cell[jnp.array([1, 0, 2])]))
    with pytest.raises(FerrojaxError, match="structure 1: coordinate 0 is not finite"):
        relax_many(ENTHALPY, MODEL.params, [state, state.replace(positions=state.positions * jnp.nan)])
    with pytest.raises(FerrojaxError, match="2 structures, 3 fields"):
        relax_many(ENTHALPY, MODEL.params, [state, state], np.zeros((3, 3)))
