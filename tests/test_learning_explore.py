"""Generators of structures: bounds, seeds, the statistics of modes against a Hessian, walls, dynamics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from random_model import polar_perovskite
from test_response_flexo import ROCKSALT, rocksalt
from toy_model import ToyModel, rattled_triclinic

from ferrojax.dynamics import Langevin, Ramp
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.learning.explore import domain_walls, mode_displaced, molecular_dynamics, path_images, rattled, strained, without_copies
from ferrojax.learning.explore.modes import commensurate_waves, mode_displacements, supercell_matrix
from ferrojax.paths.path import Path
from ferrojax.paths.space import Conditions, Point

IDEAL = polar_perovskite(rattle=0.0)


def strain_of(atoms, reference):
    return (np.linalg.inv(reference.cell.array) @ atoms.cell.array).T - np.eye(3)


def test_strains_stay_in_their_bounds_and_repeat_with_the_seed():
    found = strained(IDEAL, 20, strain=(-0.02, 0.03), shear=(0.0, 0.01), seed=3)
    for atoms in found:
        strain = strain_of(atoms, IDEAL)
        np.testing.assert_allclose(strain, strain.T, atol=1e-12)
        assert np.diag(strain).min() >= -0.02 and np.diag(strain).max() <= 0.03
        off = strain[np.triu_indices(3, 1)]
        assert off.min() >= 0 and off.max() <= 0.01
        np.testing.assert_allclose(atoms.get_scaled_positions(), IDEAL.get_scaled_positions(), atol=1e-12)
        assert atoms.info["origin"] == "PbTiO3, strained"
    assert np.std([strain_of(a, IDEAL)[0, 0] for a in found]) > 0.005
    fewer = strained(IDEAL, 5, strain=(-0.02, 0.03), shear=(0.0, 0.01), seed=3)
    np.testing.assert_array_equal([a.cell.array for a in fewer], [a.cell.array for a in found[:5]])
    assert not np.allclose(strained(IDEAL, 1, seed=4)[0].cell.array, strained(IDEAL, 1, seed=5)[0].cell.array)


def test_rattles_have_their_width_and_no_common_displacement():
    moves = np.array([a.positions - IDEAL.positions for a in rattled(IDEAL, 200, rattle=0.05, seed=1)])
    np.testing.assert_allclose(moves.mean(1), 0, atol=1e-12)
    # Without the mean of five atoms, 4/5 of the variance is left; 2400 free numbers.
    assert moves.std() == pytest.approx(0.05 * np.sqrt(4 / 5), rel=4 / np.sqrt(2 * 2400))
    both = strained(IDEAL, 3, rattle=0.05, seed=1)
    assert all(np.abs(a.get_scaled_positions() - IDEAL.get_scaled_positions()).max() > 1e-3 for a in both)


def test_close_contacts_copies_and_bad_settings_are_refused():
    with pytest.raises(FerrojaxError, match="differ and have no atoms closer"):
        rattled(IDEAL, 5, rattle=0.05, closest=1.5)
    with pytest.raises(FerrojaxError, match="only 1 differ"):
        strained(IDEAL, 2, strain=(0.0, 0.0), shear=(0.0, 0.0))
    with pytest.raises(FerrojaxError, match="in order"):
        strained(IDEAL, 1, strain=(0.1, -0.1))
    with pytest.raises(FerrojaxError, match="above 0"):
        rattled(IDEAL, 1, rattle=0.0)
    with pytest.raises(FerrojaxError, match="at least 1"):
        strained(IDEAL, 0)
    moved = IDEAL.copy()
    moved.positions += 0.3 * moved.cell.array[0]
    swapped = IDEAL[[0, 1, 3, 2, 4]]
    assert len(without_copies([IDEAL, IDEAL.copy(), swapped, moved])) == 2  # moved as a whole counts as another


@pytest.mark.slow  # compiles phonons
def test_thermal_displacements_are_those_of_the_hessian():
    """C = Σ_k b_k b_kᵀ is k_B T times the inverse of the supercell's own second derivatives."""
    primitive, matrix = rocksalt(5.582567), supercell_matrix([[1, 0, 0], [0, 1, 0], [-1, 1, 2]])
    large = primitive.copy()
    large.set_array("site", np.arange(2))
    from ase.build import make_supercell

    large = make_supercell(large, matrix, wrap=False)
    basis = mode_displacements(ROCKSALT, ROCKSALT.params, primitive, large, matrix)
    basis = basis - np.average(basis, axis=1, weights=large.get_masses())[:, None]
    covariance = np.einsum("kix,kjy->ixjy", basis, basis).reshape(12, 12)
    state, enthalpy, zero = ROCKSALT.prepare(large), make_enthalpy(ROCKSALT), jnp.zeros((3, 3))
    energy = lambda x: enthalpy(ROCKSALT.params, state.at(x.reshape(-1, 3)), zero, jnp.zeros(3))  # noqa: E731
    hessian = np.asarray(jax.jit(jax.hessian(energy))(state.positions.ravel()))
    np.testing.assert_allclose(covariance @ hessian @ covariance, covariance, atol=1e-6 * np.abs(covariance).max())
    assert np.linalg.matrix_rank(covariance, tol=1e-8) == 9


def test_waves_of_a_supercell():
    np.testing.assert_array_equal(commensurate_waves(supercell_matrix((1, 1, 2))), [[0, 0, 0], [0, 0, 0.5]])
    root_two = supercell_matrix([[1, 1, 0], [-1, 1, 0], [0, 0, 2]])
    np.testing.assert_array_equal(commensurate_waves(root_two), [[0, 0, 0], [0, 0, 0.5], [0.5, 0.5, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(FerrojaxError, match="right-handed"):
        supercell_matrix((1, 1, -1))
    with pytest.raises(FerrojaxError, match="must be above 0"):
        mode_displaced(ROCKSALT, ROCKSALT.params, rocksalt(5.582567), 1, temperature=0.0)


@pytest.mark.slow  # compiles phonons
def test_displacements_scaled_to_a_maximum():
    found = mode_displaced(ROCKSALT, ROCKSALT.params, rocksalt(5.582567), 6, (1, 1, 2), temperature=100.0, maximum=0.2, seed=1)
    assert [len(atoms) for atoms in found] == [4] * 6 and found[0].info["origin"] == "NaCl, displaced along modes"
    ideal = rocksalt(5.582567).repeat((1, 1, 2)).positions
    for atoms in found:
        largest = np.linalg.norm(atoms.positions - ideal - (atoms.positions - ideal).mean(0), axis=1).max()
        assert 0 < largest <= 0.2


def test_walls_reverse_half_of_the_cells():
    tetragonal = IDEAL.copy()
    tetragonal.set_cell([3.9, 3.9, 4.2], scale_atoms=True)
    (wall,) = domain_walls(tetragonal, cells=4)
    assert len(wall) == 20 and wall.info["origin"] == "PbTiO3, 180° walls"
    np.testing.assert_allclose(wall.cell.lengths(), [15.6, 3.9, 4.2])
    heights = wall.get_scaled_positions(wrap=False)[:, 2].reshape(4, 5)
    heights -= heights[:, :1]
    np.testing.assert_allclose(heights[:2], heights[0] + np.zeros((2, 1)), atol=1e-12)
    # Each atom of the other domain is the mirror image, modulo the cell, and so the dipoles cancel.
    total = heights[2:] + heights[:2]
    np.testing.assert_allclose(total, np.round(total), atol=1e-12)
    across = wall.get_scaled_positions(wrap=False)[:, 0].reshape(4, 5) - np.arange(4)[:, None] / 4
    np.testing.assert_allclose(across, across[0] + np.zeros((4, 1)), atol=1e-12)
    assert len(domain_walls(tetragonal, cells=2, normal=1, count=3, rattle=0.03)) == 3
    cubic = Atoms("PbTiO3", scaled_positions=np.round(2 * IDEAL.get_scaled_positions()) / 2 % 1, cell=[4.0] * 3, pbc=True)
    for options, complaint in (({"cells": 3}, "even number"), ({"normal": 2}, "two different"), ({"count": 2}, "without rattle")):
        with pytest.raises(FerrojaxError, match=complaint):
            domain_walls(tetragonal, **options)
    with pytest.raises(FerrojaxError, match="polar one"):
        domain_walls(cubic)


def test_images_of_a_path_carry_their_strain():
    model = ToyModel()
    state = model.prepare(rattled_triclinic(), np.float64)
    strains = [jnp.zeros((3, 3)), 0.01 * jnp.eye(3), 0.01 * jnp.eye(3)]
    conditions = Conditions(model.params, jnp.zeros(3), jnp.zeros((3, 3)), ())
    flat = np.zeros((3, 3))
    path = Path([Point(state, s) for s in strains], conditions, np.zeros(3), np.zeros((3, 8, 3)), flat, flat, np.arange(3.0), 0.0, 1)
    found = path_images(path)
    assert len(found) == 2  # the last repeats the one before
    np.testing.assert_allclose(found[1].cell.array, 1.01 * found[0].cell.array, rtol=1e-12)
    assert found[1].info == {"origin": "switching path", "distance": 1.0} and found[1].calc is None


@pytest.mark.slow  # compiles dynamics
def test_frames_of_dynamics():
    model = ToyModel()
    ramps = [Langevin(dt=1.0, temperature=Ramp(20.0, high, duration=30.0), friction=0.05) for high in (40.0, 80.0)]
    start = rattled_triclinic()
    start.rattle(0.01, seed=1)
    options = {"steps": 30, "every": 5, "skip": 10, "seed": 2, "dtype": np.float64, "closest": 0.3}
    found = molecular_dynamics(model, model.params, start, ramps, **options)
    assert [(a.info["run"], a.info["time"]) for a in found] == [(k, t) for k in (0, 1) for t in (15.0, 20.0, 25.0, 30.0)]
    assert found[-1].info["temperature"] == pytest.approx(80.0) and found[0].info["temperature"] == pytest.approx(30.0)
    again = molecular_dynamics(model, model.params, start, ramps, **options)
    np.testing.assert_array_equal([a.positions for a in again], [a.positions for a in found])
    scaled = found[0].get_scaled_positions(wrap=False)
    assert scaled.min() >= 0 and scaled.max() <= 1 and found[0].pbc.all()
