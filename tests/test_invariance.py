"""What must not change when the description of a structure changes, to 1e-8 eV, in a field."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_model import PRESETS, polar_perovskite, random_model
from scipy.spatial.transform import Rotation

from ferrojax.enthalpy import make_enthalpy

FIELD = np.array([0.02, -0.03, 0.05])
TOLERANCE = 1e-8
SLOTS = 40  # one shape, hence one compilation, for all five-atom cells


@functools.cache
def compiled(preset):
    model, params = random_model(preset)
    enthalpy = make_enthalpy(model)

    def value(state, positions, strain, field):
        return enthalpy(params, state.replace(positions=positions), strain, field)

    return jax.jit(lambda state, field: jax.value_and_grad(value, (1, 2, 3))(state, state.positions, jnp.zeros((3, 3)), field))


def observe(preset, atoms, field=FIELD):
    """Enthalpy, forces, stress and dipole."""
    model, _ = random_model(preset)
    state = model.prepare(atoms, np.float64, k_tolerance=1e-14, slots=SLOTS)
    assert not bool(state.topology.overflow)
    energy, (slope, torsion, moment) = compiled(preset)(state, jnp.asarray(field))
    return {
        "energy": float(energy),
        "forces": -np.array(slope),
        "stress": np.array(torsion) / float(state.volume),
        "dipole": -np.array(moment),
    }


def worst(ours, theirs):
    """Largest difference of any of the observables that both have."""
    return max(np.abs(ours[name] - theirs[name]).max() for name in theirs)


def check(ours, theirs, claim, name):
    change = worst(ours, theirs)
    assert change < TOLERANCE
    claim(f"A-invariance-{name}", change)


@functools.cache
def reference(preset):
    return observe(preset, polar_perovskite())


@pytest.mark.parametrize("preset", PRESETS)
def test_rotation(preset, claim):
    atoms, here = polar_perovskite(), reference(preset)
    turn = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()
    atoms.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    there = observe(preset, atoms, FIELD @ turn.T)
    back = {"energy": there["energy"], "forces": there["forces"] @ turn, "stress": turn.T @ there["stress"] @ turn}
    check(back | {"dipole": there["dipole"] @ turn}, here, claim, "rotation")
    np.testing.assert_allclose(here["stress"], here["stress"].T, atol=TOLERANCE)


@pytest.mark.parametrize("preset", PRESETS)
def test_permutation(preset, claim):
    atoms, here = polar_perovskite(), reference(preset)
    order = np.array([3, 0, 4, 2, 1])
    there = observe(preset, atoms[order])
    check(there, here | {"forces": here["forces"][order]}, claim, "permutation")


@pytest.mark.parametrize("preset", PRESETS)
def test_translation(preset, claim):
    atoms, here = polar_perovskite(), reference(preset)
    atoms.positions += [1.234, -5.4, 0.77]
    check(observe(preset, atoms), here, claim, "translation")
    np.testing.assert_allclose(here["forces"].sum(0), 0.0, atol=TOLERANCE)  # Σ Z_i = 0: no net force in a field


@pytest.mark.parametrize("preset", PRESETS)
def test_wrapping_any_atom_shifts_the_dipole_by_a_quantum_and_nothing_else(preset, claim):
    model, _ = random_model(preset)
    for atom, image in enumerate([(1, 0, 0), (0, -1, 0), (0, 0, 2), (1, -1, 0), (-3, 2, 1)]):
        atoms, here = polar_perovskite(), reference(preset)
        shift = np.array(image) @ atoms.cell.array
        atoms.positions[atom] += shift
        formal = model.config.formal_charges[model.config.elements.index(atoms.symbols[atom])]
        expected = here | {"energy": here["energy"] - FIELD @ shift * formal, "dipole": here["dipole"] + formal * shift}
        check(observe(preset, atoms), expected, claim, "wrapping")
        at_rest = {"energy": observe(preset, polar_perovskite(), np.zeros(3))["energy"]}
        check(observe(preset, atoms, np.zeros(3)), at_rest, claim, "wrapping")


@pytest.mark.parametrize("preset", PRESETS)
def test_supercell(preset, claim):
    here = reference(preset)
    there = observe(preset, polar_perovskite().repeat((2, 1, 1)))
    # The formal charges of the second cell sit one lattice vector away; a neutral cell does not notice.
    halves = {"energy": there["energy"] / 2, "dipole": there["dipole"] / 2, "stress": there["stress"], "forces": there["forces"][:5]}
    check(halves, here, claim, "supercell")
    np.testing.assert_allclose(there["forces"][5:], here["forces"], atol=TOLERANCE)


@pytest.mark.parametrize("preset", PRESETS)
def test_equivalent_sheared_cell(preset, claim):
    atoms = polar_perovskite()
    atoms.set_cell(np.array([[1, 0, 0], [1, 1, 0], [-1, 1, 1]]) @ atoms.cell.array)
    check(observe(preset, atoms), reference(preset), claim, "sheared-cell")
