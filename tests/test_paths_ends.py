"""Endpoints: order of atoms, nearest images, cells; the branch of the dipole along a path."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from random_model import polar_perovskite

from ferrojax.errors import FerrojaxError
from ferrojax.paths import Point, conditions_of, match_atoms
from ferrojax.paths.branch import dipoles_on_one_branch
from ferrojax.paths.endpoints import ends_of_path
from ferrojax.paths.images import first_images
from ferrojax.paths.space import pack, polarization_of, relist, unpack
from ferrojax.state import from_ase
from ferrojax.topology import with_topology

NO_FIELD, ALL = jnp.zeros(3), (0, 1, 2, 3, 4, 5)


def state_of(atoms):
    return with_topology(from_ase(atoms), cutoff=3.0, skin=1.0)


def moved(atoms, seed=0, size=0.1):
    other = atoms.copy()
    other.positions += np.random.default_rng(seed).normal(0, size, other.positions.shape)
    return other


def test_another_order_is_refused_with_the_right_one():
    atoms = polar_perovskite((2, 1, 1))
    order = np.random.default_rng(3).permutation(len(atoms))
    first, shuffled = state_of(atoms), state_of(moved(atoms)[order])
    found = match_atoms(first, shuffled)
    np.testing.assert_array_equal(order[found], np.arange(len(atoms)))
    with pytest.raises(FerrojaxError, match=r"atom \d is .. at the start and .{1,2} at the end; to match them take final\[\["):
        ends_of_path(first, shuffled, (), NO_FIELD)
    matched = state_of(moved(atoms)[order][found])
    np.testing.assert_allclose(ends_of_path(first, matched, (), NO_FIELD)[1].state.positions, matched.positions, atol=0.2)


def test_like_atoms_that_trade_places_are_warned_of():
    atoms = polar_perovskite((2, 1, 1))
    traded = atoms.copy()
    lead = [k for k, symbol in enumerate(atoms.symbols) if symbol == "Pb"]
    traded.positions[lead] = traded.positions[lead[::-1]]
    with pytest.warns(UserWarning, match=r"atoms move by 1.\d+ Å .* in another by 0.00 Å"):
        ends_of_path(state_of(atoms), state_of(traded), (), NO_FIELD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends_of_path(state_of(atoms), state_of(moved(atoms)), (), NO_FIELD)


def test_other_atoms_are_refused():
    atoms = polar_perovskite()
    other = atoms.copy()
    other.symbols[1] = "Zr"
    with pytest.raises(FerrojaxError, match=r"different atoms, PbTiO3 and PbZrO3"):
        ends_of_path(state_of(atoms), state_of(other), (), NO_FIELD)
    with pytest.raises(FerrojaxError, match="5 and 10 rows"):
        ends_of_path(state_of(atoms), state_of(atoms.repeat((2, 1, 1))), (), NO_FIELD)
    with pytest.raises(FerrojaxError, match="no topology"):
        ends_of_path(from_ase(atoms), state_of(atoms), (), NO_FIELD)


def test_images_are_the_nearest_and_common_displacements_are_left_out():
    atoms = polar_perovskite()
    final = moved(atoms)
    hops = np.array([[1, 0, 0], [0, -1, 2], [0, 0, 0], [3, 0, 0], [0, 1, 0]])
    shifted = final.copy()
    shifted.positions += hops @ np.asarray(atoms.cell) + [0.7, -1.9, 2.2]
    first, last = ends_of_path(state_of(atoms), state_of(shifted), (), NO_FIELD)
    expected = final.positions - atoms.positions
    found = np.asarray(last.state.positions - first.state.positions)
    np.testing.assert_allclose(found, expected - expected.mean(0), atol=1e-10)


def test_a_strained_and_turned_cell_becomes_a_strain():
    """The second structure, rotated, is the first one under a known strain; in a field a rotation is refused."""
    atoms = polar_perovskite()
    strain = np.array([[0.02, 0.01, 0.0], [0.01, -0.03, 0.005], [0.0, 0.005, 0.01]])
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    other = moved(atoms, size=0.03)
    whole = (np.eye(3) + strain) @ turn.T
    strained = other.copy()
    strained.set_cell(np.asarray(atoms.cell) @ whole, scale_atoms=True)
    first, last = ends_of_path(state_of(atoms), state_of(strained), ALL, NO_FIELD)
    np.testing.assert_allclose(last.strain, strain, atol=1e-12)
    distances = [np.asarray(s.get_all_distances(mic=True)) for s in (last.geometry().to_ase(), strained)]
    np.testing.assert_allclose(*distances, atol=1e-10)
    x = pack(last, ALL)
    np.testing.assert_allclose(unpack(x, first, ALL).strain, strain, atol=1e-12)
    # The length of the strain part is J times the norm of the tensor.
    scale = (np.linalg.det(atoms.cell) / 5) ** (1 / 3) * 5**0.5
    assert np.linalg.norm(x[15:]) == pytest.approx(scale * np.linalg.norm(strain), rel=1e-12)
    with pytest.raises(FerrojaxError, match="turned by .* rad .* which a field does not allow"):
        ends_of_path(state_of(atoms), state_of(strained), ALL, jnp.array([0.0, 0.0, 0.01]))
    with pytest.raises(FerrojaxError, match="strain of 0.03 in Voigt component 1, which is held"):
        ends_of_path(state_of(atoms), state_of(strained), (0, 2, 3, 4, 5), NO_FIELD)


def test_dipoles_are_put_on_one_branch():
    """A large true change, as in a supercell, stays; jumps by quanta go; a change the charges do not explain is refused."""
    cell = np.array([[4.0, 0, 0], [0.5, 5.0, 0], [0, 0, 6.0]])
    true = np.outer(np.linspace(0, 1, 7), [3.0, -30.0, 20.0]) + 0.3 * np.sin(np.arange(7))[:, None]
    expected = np.diff(true, axis=0) + 0.2
    jumps = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, -2, 0], [0, 0, 3], [0, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(dipoles_on_one_branch(true + jumps @ cell, expected, cell), true, atol=1e-12)
    torn = true.copy()
    torn[4:] += 0.45 * cell[2]
    with pytest.raises(FerrojaxError, match=r"between images 3 and 4 by 0.4\d quanta .* give more images"):
        dipoles_on_one_branch(torn, expected, cell)


def test_polarization_of_a_strained_point():
    """M of the reference cell is carried along: r' = (I + ε) r, so P' = (I + ε) M / V'."""
    atoms = polar_perovskite()
    strain = jnp.diag(jnp.array([0.1, 0.0, -0.05]))
    first, _ = ends_of_path(state_of(atoms), state_of(atoms), ALL, NO_FIELD)
    point = relist(first.replace(strain=strain))
    charges = np.array([2.0, 4.0, -2.0, -2.0, -2.0])
    strained = point.geometry()
    direct = charges @ np.asarray(strained.positions) / float(strained.volume)
    np.testing.assert_allclose(polarization_of(charges @ atoms.positions, point), direct, atol=1e-12)


def test_atoms_that_meet_on_the_way_are_named():
    """Two oxygens that trade places along a straight line."""
    atoms = Atoms("O2", positions=[[0, 0, 0], [0, 0, 2.0]], cell=[8.0] * 3, pbc=True)
    ends = [Point(state_of(a), jnp.zeros((3, 3))) for a in (atoms, atoms[[1, 0]])]
    with pytest.raises(FerrojaxError, match=r"image 1 of the first path: atoms \d and \d are at the same place; .*start='idpp'"):
        first_images(conditions_of(None, ends[0]), *ends, images=3)


def test_pair_distances_lead_atoms_around_one_another():
    """A pair turned by 160°: straight lines press it to a sixth; by pair distances it turns, in the same atoms' cell all the way."""
    turn = np.deg2rad(160.0)
    bond = [np.array([np.sin(t), 0.0, np.cos(t)]) for t in (0.0, turn)]
    ends = [Atoms("CO", positions=[-b, b] + np.array([7.9, 4.0, 0.1]), cell=[8.0] * 3, pbc=True) for b in bond]  # across the cell's faces
    first, last = (Point(state_of(a), jnp.zeros((3, 3))) for a in ends)
    lengths = {}
    for start in ("linear", "idpp"):
        path = first_images(conditions_of(None, first), first, last, images=7, start=start)
        positions = np.stack([point.state.positions for point in path])
        lengths[start] = np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)
        np.testing.assert_allclose(positions[[0, -1]], [a.positions for a in ends], atol=1e-12)
        assert np.abs(np.diff(positions, axis=0)).max() < 1.0  # no atom jumps to another image
    assert lengths["linear"].min() == pytest.approx(2.0 * np.cos(turn / 2), rel=1e-6)
    assert lengths["idpp"].min() > 1.8
