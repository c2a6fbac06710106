"""Perovskites, polar displacements and tilts: symmetry by spglib, angles, distances; bad input of all structures."""

import numpy as np
import pytest
from ase.io import read, write
from ase.neighborlist import neighbor_list
from crystals import A0, TITANATE, bonds, symmetry

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics import structures as st

# Perovskites and polar displacements


@pytest.mark.parametrize("cell, sides", [(4.0, (4, 4, 4)), ((3.9, 3.9, 4.2), (3.9, 3.9, 4.2)), (np.diag((3.9, 4.0, 4.1)), (3.9, 4.0, 4.1))])
def test_perovskite_repeats_its_cell(cell, sides):
    atoms = st.perovskite("BaTiO3", cell, (2, 1, 3))
    assert atoms.get_chemical_formula() == "Ba6O18Ti6" and atoms.pbc.all()
    np.testing.assert_allclose(atoms.cell.lengths(), np.array(sides) * (2, 1, 3))
    np.testing.assert_allclose(np.sort(np.unique(bonds(atoms, "Ti")[1][:, 2].round(6))), (-sides[2] / 2, 0, sides[2] / 2))
    repeated = st.perovskite("BaTiO3", cell).repeat((2, 1, 3))
    np.testing.assert_allclose(repeated.positions, atoms.positions, atol=1e-12)


def test_cells_stand_as_in_the_effective_hamiltonian():
    b = st.perovskite("KNbO3", 4.0, (2, 3, 4))
    centres = b.positions[b.symbols == "Nb"].reshape(2, 3, 4, 3)
    np.testing.assert_allclose(centres[1, 2, 3], (6, 10, 14))


def test_sites_survive_a_file(tmp_path):
    write(tmp_path / "p.extxyz", TITANATE)
    again = read(tmp_path / "p.extxyz")
    np.testing.assert_allclose(st.tilt(again, "a0a0c-", {"c": 5}).positions, st.tilt(TITANATE, "a0a0c-", {"c": 5}).positions, atol=1e-7)


@pytest.mark.parametrize("direction, group", [((0, 0, 1), 99), ((0, 1, 1), 38), ((1, 1, 1), 160), ((0.2, 0.5, 0), 6), ((0, 0, 0), 221)])
@pytest.mark.parametrize("pattern", [st.SLATER, st.LAST, st.AXE, st.BATIO3_SOFT])
def test_polar_displacements_have_their_space_group_and_sign(direction, group, pattern):
    ideal = st.perovskite("BaTiO3", 4.0)
    u = 0.15 * np.array(direction, float)
    polar = st.polarize(ideal, u, pattern)
    assert symmetry(polar).number == group
    born = np.array([2.74, 7.49, 0, 0, 0])  # cubic BaTiO3; oxygen -5.93 along its bond, -2.15 across
    oxygen = np.where(np.eye(3, dtype=bool), -5.93, -2.15)
    moved = polar.positions - ideal.positions
    dipole = born @ moved + (oxygen * moved[2:]).sum(axis=0)
    assert dipole @ u >= 0 and np.allclose(np.cross(dipole, u), 0, atol=1e-12)
    assert (dipole @ u > 0) == (group != 221)


def test_patterns_have_length_one():
    u = np.array([0.1, -0.2, 0.3])
    ideal = st.perovskite("BaTiO3", 4.0)
    for pattern in (st.SLATER, st.LAST, st.AXE):
        moved = st.polarize(ideal, u, pattern).positions - ideal.positions
        assert (moved**2).sum() == pytest.approx(u @ u) and np.allclose(moved.sum(axis=0), 0, atol=1e-14)


@pytest.mark.parametrize("u", [(0, 0, 0.3), (0, -0.2, 0), (0.1, 0.1, 0.1), (0, 0.1, -0.1)])
def test_the_mode_of_a_crystal_is_found_again(u):
    ideal, strained = st.perovskite("BaTiO3", 4.0), st.perovskite("BaTiO3", (3.95, 4.0, 4.05))
    polar = st.polarize(strained, u, st.LAST)
    polar.translate((0.7, 0.1, 2.2))
    polar.wrap()
    pattern, mode = st.mode_of(polar, ideal)
    np.testing.assert_allclose(mode, u, atol=1e-12)
    assert pattern.a == pytest.approx(st.LAST.a) and pattern.parallel == pytest.approx(st.LAST.parallel)


def test_displacements_know_no_shift_no_wrapping_no_supercell():
    rng = np.random.default_rng(1)
    moved = TITANATE.copy()
    moved.positions += 0.1 * rng.normal(size=moved.positions.shape)
    expected = moved.positions - TITANATE.positions
    expected -= expected.mean(axis=0)
    twice, larger = moved.repeat((2, 1, 1)), TITANATE.repeat((2, 1, 1))
    for atoms in (moved, twice):
        atoms.positions += np.array((A0, 0.3 * A0, 1.9))
        atoms.wrap()
    np.testing.assert_allclose(st.displacements(moved, TITANATE), expected, atol=1e-12)
    np.testing.assert_allclose(st.displacements(twice, larger), np.tile(expected, (2, 1)), atol=1e-12)


def test_a_crystal_from_elsewhere_is_put_in_order():
    rng = np.random.default_rng(3)
    polar = st.polarize(st.perovskite("PbTiO3", (3.87, 3.87, 4.2)), (0, 0, 0.3), st.LAST)
    strange = polar[rng.permutation(5)]
    strange.translate((1.1, 2.2, 3.3))
    strange.wrap()
    ordered = st.in_order(strange, st.perovskite("PbTiO3", A0))
    assert (ordered.symbols == polar.symbols).all()
    away = ordered.positions - polar.positions
    np.testing.assert_allclose(away - away[0], 0, atol=1e-12)


# Tilts: Howard and Stokes, Acta Cryst. B 54, 782 (1998), table 1

SYSTEMS = {
    "a0a0a0": 221, "a0a0c+": 127, "a0b+b+": 139, "a+a+a+": 204, "a+b+c+": 71, "a0a0c-": 140, "a0b-b-": 74, "a-a-a-": 167,
    "a0b-c-": 12, "a-b-b-": 15, "a-b-c-": 2, "a0b+c-": 63, "a+b-b-": 62, "a+b-c-": 11, "a+a+c-": 137, "a-a-c+": 62,
}  # fmt: skip
ANGLES = {"a": 4.0, "b": 6.0, "c": 9.0}


def tilted(system, scale=1.0, size=None):
    letters = {letter for letter, sign in zip(system[::2], system[1::2]) if sign != "0"}
    start = st.perovskite("SrTiO3", A0, size or st.tilt_size(system))
    return start, st.tilt(start, system, {letter: scale * ANGLES[letter] for letter in letters})


def test_glazer_systems_have_the_space_groups_of_howard_and_stokes(claim):
    wrong = [system for system, group in SYSTEMS.items() if symmetry(tilted(system)[1]).number != group]
    assert not wrong
    claim("F-tilt-groups", len(wrong))


@pytest.mark.parametrize("system, group", SYSTEMS.items())
def test_a_larger_cell_of_tilts_is_the_same_crystal(system, group):
    assert symmetry(tilted(system, size=(4, 2, 2))[1]).number == group


@pytest.mark.parametrize("system, size", [("a0a0a0", (1, 1, 1)), ("a0a0c+", (2, 2, 1)), ("a+b0c0", (1, 2, 2)), ("a0a0c-", (2, 2, 2))])
def test_smallest_cell_of_tilts(system, size):
    assert st.tilt_size(system) == size


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", ["+", "-"])
def test_one_tilt_turns_the_bonds_by_its_angle(axis, sign):
    system = "".join(f"a{sign}" if i == axis else f"{'bc'[i % 2]}0" for i in range(3))
    _, turned = tilted(system)
    vectors = bonds(turned, "Ti")[1]
    inside = vectors[np.abs(vectors[:, axis]) < 0.1]
    plane = np.abs(np.delete(inside, axis, axis=1))
    angles = np.degrees(np.arctan2(plane.min(axis=1), plane.max(axis=1)))
    np.testing.assert_allclose(angles, ANGLES["a"], atol=1e-10)


@pytest.mark.parametrize("system", ["a-a-c+", "a-a-a-", "a+b-c-"])
def test_octahedra_are_rigid_to_first_order(system):
    """Lengths of B-O bonds and O-O edges change with the square of the angle."""

    def change(scale):
        _, atoms = tilted(system, scale)
        i, j, d = neighbor_list("ijd", atoms, 3.2)
        edge = (atoms.numbers[i] == 8) & (atoms.numbers[j] == 8)
        bond = np.linalg.norm(bonds(atoms, "Ti", cutoff=2.3)[1], axis=1)
        shared = d[edge & (d < 3.2)]
        return np.abs(bond - A0 / 2).max(), np.abs(shared - A0 / np.sqrt(2)).max()

    small, half = change(0.2), change(0.1)
    np.testing.assert_allclose(np.divide(small, half), 4.0, rtol=0.05)


def test_tilts_and_polarization_together():
    """BiFeO3: antiphase tilts about [111] and P along it make R3c; PbTiO3-like P with a0a0c- makes I4cm."""
    start = st.perovskite("BiFeO3", A0, (2, 2, 2))
    assert symmetry(st.tilt(st.polarize(start, (0.2, 0.2, 0.2), st.LAST), "a-a-a-", {"a": 8})).number == 161
    assert symmetry(st.polarize(st.tilt(start, "a0a0c-", {"c": 5}), (0, 0, 0.2), st.LAST)).number == 108


# Bad input

SLAB = st.slab(TITANATE, "AO")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: st.perovskite("PbTiO2", 4.0), "ABX3"),
        (lambda: st.perovskite("Pb!", 4.0), "ABX3"),
        (lambda: st.perovskite("PbTiO3", -4.0), "length above 0"),
        (lambda: st.perovskite("PbTiO3", [[0, 1, 0], [1, 0, 0], [0, 0, 1]]), "right-handed"),
        (lambda: st.perovskite("PbTiO3", 4.0, (1, 0, 1)), "whole numbers"),
        (lambda: st.polarize(TITANATE, (0, np.nan, 0)), "three finite numbers"),
        (lambda: st.polarize(TITANATE, lambda r: r[:, 0]), "shape"),
        (lambda: st.polarize(st.fluorite("HfO2", "polar"), (0, 0, 1)), "which atom sits where"),
        (lambda: st.displacements(TITANATE, TITANATE[::-1]), "same order"),
        (lambda: st.mode_of(st.perovskite("PbTiO3", 4.0), st.perovskite("PbTiO3", 4.0)), "not polar"),
        (lambda: st.mode_of(TITANATE, TITANATE), "five atoms"),
        (lambda: st.in_order(st.perovskite("BaTiO3", 4.0), st.perovskite("PbTiO3", 4.0)), "must hold the same elements"),
        (lambda: st.tilt(TITANATE, "a-a-c", {"a": 1}), "a-a-c\\+"),
        (lambda: st.tilt(TITANATE, "a0a0c+", {}), r"\['c'\]; got \[\]"),
        (lambda: st.tilt(TITANATE, "a0a0c+", {"c": 50}), "below 45"),
        (lambda: st.tilt(st.perovskite("PbTiO3", 4.0), "a0a0c+", {"c": 5}), "multiples of"),
        (lambda: st.tilt(st.perovskite("PbTiO3", 4.0).repeat(2), "a0a0c+", {"c": 5}), "instead of repeating"),
        (lambda: st.fluorite("HfO2", "rutile"), "monoclinic"),
        (lambda: st.fluorite("CeO2", "cubic"), "HfO2 and ZrO2"),
        (lambda: st.superlattice([], 4.0), "needs cells"),
        (lambda: st.superlattice([("PbTiO3", 0)], 4.0), "at least one cell"),
        (lambda: st.slab(TITANATE, "TiO2"), "AO or BO2"),
        (lambda: st.slab(TITANATE, "AO", vacuum=0.0), "above 0"),
        (lambda: st.slab(st.perovskite("PbTiO3", [[4, 0, 0], [0, 4, 0], [0, 1, 4]])), "along z"),
        (lambda: st.random_alloy(TITANATE, "A", {"Pb": 0.5, "Sr": 0.6}, 0), "add up to 1"),
        (lambda: st.random_alloy(TITANATE, "A", {"Pb": 0.5, "Xx": 0.5}, 0), "no element"),
        (lambda: st.random_alloy(TITANATE, "C", {"Pb": 1.0}, 0), "site must be"),
        (lambda: st.ordered_alloy(st.perovskite("PbTiO3", 4.0, (1, 2, 2)), "B", ("Ti", "Zr"), "rocksalt"), "even"),
        (lambda: st.ordered_alloy(TITANATE, "B", ("Ti", "Zr"), "chess"), "columnar"),
        (lambda: st.sqs(TITANATE, "A", {"Pb": 0.99, "Sr": 0.01}, 0), "larger supercell"),
        (lambda: st.vacancies(TITANATE, "A", 9, 0), "8 on site A"),
        (lambda: st.defect_dipole(TITANATE, (0, 0, 0), (1, 1, 0), "Fe"), "beside an acceptor"),
        (lambda: st.defect_dipole(TITANATE, (0, 0, 0), (0, 0, 1)), "beside an A vacancy"),
        (lambda: st.defect_dipole(st.defect_dipole(TITANATE, (0, 0, 0), (0, 1, 1)), (0, 0, 0), (0, 1, 1)), "was it removed"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, words):
    with pytest.raises(FerrojaxError, match=words):
        call()
