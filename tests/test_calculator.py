"""The ASE calculator against the enthalpy's derivatives and ASE's own finite differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.stress import full_3x3_to_voigt_6_stress
from random_model import polar_perovskite, random_model
from toy_model import ToyModel, rattled_triclinic

from ferrojax.calculator import FerrojaxCalculator, _first_derivatives
from ferrojax.electrostatics.boundary import Boundary
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.potential import save_model
from ferrojax.response.first import born_charges, chi_inf, energy_forces_stress, polarization
from ferrojax.state import to_ase

FIELD = (0.01, 0.02, -0.03)


MODEL = ToyModel()


def toy(**settings):
    return FerrojaxCalculator(MODEL, MODEL.params, **settings)


@functools.cache
def results():
    """The calculator's numbers for the random network, and the state they belong to."""
    model, params = random_model("fast")
    atoms = polar_perovskite()
    atoms.calc = FerrojaxCalculator(model, params, field=FIELD)
    names = ["energy", "forces", "stress", "dipole", "polarization", "charges", "born_effective_charges", "dielectric_tensor"]
    return {name: atoms.calc.get_property(name, atoms) for name in names}, model.prepare(atoms, np.float64)


def test_properties_are_the_derivatives_of_the_enthalpy():
    found, state = results()
    model, params = random_model("fast")
    enthalpy, field = make_enthalpy(model), jnp.array(FIELD)
    energy, forces, stress = energy_forces_stress(enthalpy, params, state, field)
    assert found["energy"] == pytest.approx(float(energy), abs=1e-10)
    np.testing.assert_allclose(found["forces"], forces, atol=1e-10)
    np.testing.assert_allclose(found["stress"], full_3x3_to_voigt_6_stress(stress), atol=1e-12)
    p = polarization(enthalpy, params, state, field)
    np.testing.assert_allclose(found["polarization"], p, atol=1e-12)
    np.testing.assert_allclose(found["dipole"], p * state.volume, atol=1e-10)
    np.testing.assert_allclose(found["born_effective_charges"], born_charges(enthalpy, params, state, field), atol=1e-10)
    np.testing.assert_allclose(found["dielectric_tensor"], np.eye(3) + chi_inf(enthalpy, params, state, field), atol=1e-10)
    np.testing.assert_allclose(found["charges"].sum(), 0.0, atol=1e-10)


def test_forces_and_stress_against_differences_by_ase():
    """ASE strains atoms at fixed Cartesian field, so the stress is compared without one."""
    atoms = rattled_triclinic()
    atoms.calc = toy(field=FIELD)
    np.testing.assert_allclose(atoms.get_forces()[[0, 5]], calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0, 5]), atol=1e-6)
    atoms.calc = toy()
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    np.testing.assert_allclose(atoms.get_stress(), numerical, atol=1e-7)


def test_field_is_a_parameter_and_changes_discard_results():
    atoms = rattled_triclinic()
    atoms.calc = toy()
    rest, dipole = atoms.get_potential_energy(), atoms.get_dipole_moment()
    atoms.calc.set(field=(0, 0, 1e-4))
    assert atoms.get_potential_energy() == pytest.approx(rest - 1e-4 * dipole[2], abs=1e-7)
    force_change = (atoms.get_forces() - rattled_forces()) / 1e-4
    born = atoms.calc.get_property("born_effective_charges", atoms)
    np.testing.assert_allclose(force_change, born[:, 2, :], atol=1e-5)
    for bad in [(0, 0), (0, 0, np.nan)]:
        with pytest.raises(FerrojaxError, match="three finite numbers"):
            atoms.calc.set(field=bad)


def rattled_forces():
    atoms = rattled_triclinic()
    atoms.calc = toy()
    return atoms.get_forces()


@pytest.mark.slow
def test_relaxation_of_the_cell_with_ase():
    """ASE's optimiser comes back to the minimum that ferrojax found, in a field."""
    found = relax(make_enthalpy(MODEL), MODEL.params, MODEL.prepare(rattled_triclinic(), skin=1.0), FIELD, force_tolerance=1e-4)
    atoms = to_ase(found.state)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + [[0.01, 0.0, 0.0], [0.004, -0.01, 0.0], [0.0, 0.0, 0.008]]), scale_atoms=True)
    atoms.rattle(0.02, seed=1)
    atoms.calc = toy(field=FIELD, skin=1.0)
    assert atoms.get_potential_energy() > found.energy + 1e-2
    assert BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=2e-3, steps=200)
    assert float(np.abs(atoms.get_stress()).max()) < 1e-4
    assert atoms.get_volume() == pytest.approx(float(found.state.volume), rel=1e-3)
    assert atoms.get_potential_energy() == pytest.approx(found.energy, abs=2e-4)


def test_calculators_of_one_model_share_compiled_code():
    atoms = rattled_triclinic()
    atoms.calc = toy()
    atoms.get_forces()
    compiled = _first_derivatives._cache_size()
    for settings in ({"field": FIELD}, {"boundary": Boundary()}):
        atoms.calc = toy(**settings)
        atoms.get_forces()
    assert _first_derivatives._cache_size() == compiled


def test_moves_do_not_recompile_and_wrapping_is_followed():
    atoms, rng = rattled_triclinic(), np.random.default_rng(0)
    atoms.calc = toy(field=FIELD)
    atoms.get_potential_energy()
    compiled = _first_derivatives._cache_size()
    for _ in range(6):
        atoms.positions += rng.normal(0, 0.06, (8, 3))
        atoms.get_forces()
    unwrapped, dipole = atoms.get_potential_energy(), atoms.get_dipole_moment()
    places = atoms.get_scaled_positions(wrap=False)
    atoms.set_scaled_positions(places % 1)
    formal = np.where(atoms.numbers % 2 == 0, 1, -1)
    shift = formal @ (np.floor(places) @ atoms.cell.array)
    assert atoms.get_potential_energy() == pytest.approx(unwrapped + np.dot(FIELD, shift), abs=1e-9)
    np.testing.assert_allclose(atoms.get_dipole_moment(), dipole - shift, atol=1e-9)
    assert _first_derivatives._cache_size() == compiled


def test_another_structure_with_the_same_calculator():
    calculator = toy()
    small, large = rattled_triclinic(), rattled_triclinic(seed=3, repeat=(2, 1, 1))
    for atoms in (small, large, small):
        atoms.calc = calculator
        fresh = atoms.copy()
        fresh.calc = toy()
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-9)


def test_reference_energies():
    info = {"reference_energies": {"pbesol": {"Mg": -3.5, "F": 1.25}, "pbe": {"Mg": 7.0}}}
    atoms = rattled_triclinic()
    atoms.calc = toy(info=info, dataset="")
    bare = atoms.get_potential_energy()
    atoms.calc = toy(info=info, dataset="pbesol")
    assert atoms.get_potential_energy() == pytest.approx(bare + 4 * (1.25 - 3.5), abs=1e-12)
    with pytest.raises(FerrojaxError, match="choose one with dataset"):
        toy(info=info)
    with pytest.raises(FerrojaxError, match="'scan'.*'pbe', 'pbesol'"):
        toy(info=info, dataset="scan")
    atoms.calc = toy(info=info, dataset="pbe")
    with pytest.raises(FerrojaxError, match=r"no reference energy for \['F'\]"):
        atoms.get_potential_energy()


def test_from_path_and_unknown_element(tmp_path):
    model, params = random_model("fast")
    save_model(tmp_path / "model", model, params, {"reference_energies": {"ours": {"Pb": 1.0, "Ti": 2.0, "O": 3.0}}})
    calculator = FerrojaxCalculator.from_path(tmp_path / "model", field=FIELD)
    atoms = polar_perovskite()
    atoms.calc = calculator
    assert atoms.get_potential_energy() == pytest.approx(results()[0]["energy"] + 12.0, abs=1e-9)
    stranger = Atoms("PbTiO2Xe", positions=atoms.positions, cell=atoms.cell, pbc=True)
    stranger.calc = FerrojaxCalculator(model, params, source="POSCAR")
    with pytest.raises(FerrojaxError, match=r"POSCAR.*Xe"):
        stranger.get_potential_energy()


def test_single_precision_agrees():
    double, single = rattled_triclinic(), rattled_triclinic()
    double.calc, single.calc = toy(), toy(dtype=np.float32)
    assert single.calc.get_property("forces", single).dtype == np.float64
    assert jax.tree.leaves(single.calc.state)[0].dtype == np.float32
    np.testing.assert_allclose(single.get_forces(), double.get_forces(), atol=2e-4)
