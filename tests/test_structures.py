"""Perovskites, tilts, fluorites, stacks, solid solutions and defects: symmetry by spglib, angles, counts, distances, bad input."""

import numpy as np
import pytest
import spglib
from ase.io import read, write
from ase.neighborlist import neighbor_list

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics import structures as st
from ferrojax.ferroelectrics.structures.fluorite import POLYMORPHS
from ferrojax.state import from_ase

A0 = 3.95
TITANATE = st.perovskite("PbTiO3", A0, (2, 2, 2))


def symmetry(atoms, symprec=1e-4):
    return spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec)


def shortest(atoms):
    return neighbor_list("d", atoms, 3.5).min()


def bonds(atoms, centre, ligand="O", cutoff=2.6):
    """Vectors from every centre to its ligands."""
    i, j, vectors = neighbor_list("ijD", atoms, cutoff)
    keep = (atoms.symbols[i] == centre) & (atoms.symbols[j] == ligand)
    return i[keep], vectors[keep]


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


# Fluorites

GROUPS = {"cubic": 225, "tetragonal": 137, "monoclinic": 14, "polar": 29, "antipolar": 61}


@pytest.mark.parametrize("formula", ["HfO2", "ZrO2"])
@pytest.mark.parametrize("phase", GROUPS)
def test_polymorphs_have_their_space_group_and_sound_bonds(formula, phase):
    atoms = st.fluorite(formula, phase)
    found = symmetry(atoms)
    assert found.number == GROUPS[phase] == POLYMORPHS[phase].group
    assert len(atoms) == (24 if phase == "antipolar" else 12) and atoms.get_chemical_formula(empirical=True) == formula.replace(
        "ZrO2", "O2Zr"
    )
    i, vectors = bonds(atoms, formula[:2], cutoff=2.55)
    lengths = np.linalg.norm(vectors, axis=1)
    neighbours = {"cubic": 8, "tetragonal": 8}.get(phase, 7)
    assert (np.bincount(i)[np.unique(i)] == neighbours).all()
    assert 2.0 < lengths.min() and lengths.max() < (2.5 if phase == "tetragonal" else 2.3)
    assert shortest(atoms[atoms.numbers == 8]) > 2.4


def test_polar_hafnia_is_polar_along_z_and_the_antipolar_one_has_a_centre():
    rotations = spglib.get_symmetry(tuple_of(st.fluorite("HfO2", "polar")))["rotations"]
    assert (rotations[:, 2, 2] == 1).all() and {-1, 1} == set(rotations[:, 0, 0]) == set(rotations[:, 1, 1])
    for phase in ("monoclinic", "antipolar"):
        assert (spglib.get_symmetry(tuple_of(st.fluorite("HfO2", phase)))["rotations"] == -np.eye(3)).all(axis=(1, 2)).any()


def tuple_of(atoms):
    return atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers


def test_volumes_of_hafnia_and_zirconia():
    """Densest first: the orthorhombic phases, then the monoclinic; HfO2 is 1.8 % denser than ZrO2."""
    volume = {phase: st.fluorite("ZrO2", phase).get_volume() / (24 if phase == "antipolar" else 12) for phase in GROUPS}
    assert volume["antipolar"] < volume["polar"] < volume["monoclinic"]
    assert st.fluorite("HfO2", "polar").get_volume() / st.fluorite("ZrO2", "polar").get_volume() == pytest.approx(138.32 / 140.88)
    np.testing.assert_allclose(st.fluorite("HfO2", "polar", (5.2, 5.0, 5.1)).cell.lengths(), (5.2, 5.0, 5.1))


# Superlattices and slabs


def test_superlattice_has_its_layers_in_order():
    atoms = st.superlattice([("PbTiO3", 2, 4.1), ("SrTiO3", 3)], 3.9, (2, 1))
    assert atoms.get_chemical_formula() == "O30Pb4Sr6Ti10"
    np.testing.assert_allclose(atoms.cell.lengths(), (7.8, 3.9, 2 * 4.1 + 3 * 3.9))
    heights = atoms.positions[:, 2]
    np.testing.assert_allclose(np.unique(heights[atoms.symbols == "Pb"].round(9)), (0, 4.1))
    np.testing.assert_allclose(np.unique(heights[atoms.symbols == "Sr"].round(9)), (8.2, 12.1, 16.0))
    np.testing.assert_allclose(np.unique(heights[atoms.symbols == "Ti"].round(9)), (2.05, 6.15, 10.15, 14.05, 17.95))
    assert symmetry(st.superlattice([("PbTiO3", 1), ("SrTiO3", 1)], 3.9)).number == 123


@pytest.mark.parametrize(
    "termination, formula",
    [(("AO", "BO2"), "O9Sr3Ti3"), ("AO", "O10Sr4Ti3"), ("BO2", "O8Sr2Ti3"), (("BO2", "AO"), "O9Sr3Ti3")],
)
def test_slabs_have_their_faces_and_vacuum(termination, formula):
    atoms = st.slab(st.perovskite("SrTiO3", 3.9, (1, 1, 3)), termination, vacuum=12.0)
    assert atoms.get_chemical_formula() == formula
    z = atoms.positions[:, 2]
    assert atoms.cell[2, 2] - np.ptp(z) == pytest.approx(12.0) and z.min() == pytest.approx(6.0)
    faces = (termination, termination) if isinstance(termination, str) else termination
    for face, edge in zip(faces, (z.min(), z.max())):
        assert set(atoms.symbols[np.isclose(z, edge)]) == ({"Sr", "O"} if face == "AO" else {"Ti", "O"})
    assert from_ase(atoms).positions.shape == (len(atoms), 3)  # periodic with vacuum: ferrojax takes it
    assert shortest(atoms) == pytest.approx(1.95)


# Solid solutions


def test_random_alloys_are_exact_seeded_and_unbiased():
    start = st.perovskite("BaTiO3", 4.0, (5, 5, 4))
    mixed = st.random_alloy(start, "A", {"Ba": 0.7, "Sr": 0.3}, seed=4)
    assert mixed.get_chemical_formula() == "Ba70O300Sr30Ti100"
    assert (mixed.numbers == st.random_alloy(start, "A", {"Ba": 0.7, "Sr": 0.3}, seed=4).numbers).all()
    assert (mixed.numbers != st.random_alloy(start, "A", {"Ba": 0.7, "Sr": 0.3}, seed=5).numbers).any()
    often = np.mean([st.random_alloy(start, "A", {"Ba": 0.7, "Sr": 0.3}, seed).symbols[::5] == "Sr" for seed in range(300)], axis=0)
    assert abs(often - 0.3).max() < 5 * np.sqrt(0.21 / 300)
    thirds = st.random_alloy(start, "B", {"Zr": 1 / 3, "Ti": 1 / 3, "Nb": 1 / 3}, seed=0)
    assert sorted(thirds.symbols.count(x) for x in ("Zr", "Ti", "Nb")) == [33, 33, 34]


@pytest.mark.parametrize("order, group", [("rocksalt", 225), ("columnar", 123), ("layered", 123)])
def test_ordered_alloys(order, group):
    atoms = st.ordered_alloy(st.perovskite("PbScO3", 4.1, (2, 2, 2)), "B", ("Sc", "Ta"), order)
    assert atoms.get_chemical_formula() == "O24Pb8Sc4Ta4" and symmetry(atoms).number == group


def warren_cowley(atoms, kept, radius):
    """1 - P(other | neighbour within a shell)/share, by brute force over the atoms on a site."""
    sublattice = atoms[kept]
    i, j, d = neighbor_list("ijd", sublattice, radius + 0.1)
    shell = np.abs(d - radius) < 0.1
    unlike = sublattice.numbers[i] != sublattice.numbers[j]
    shares = np.unique(sublattice.numbers, return_counts=True)[1] / len(sublattice)
    return 1 - unlike[shell].mean() / (2 * shares.prod())


def test_sqs_is_more_random_than_chance():
    start = st.perovskite("BaTiO3", 4.0, (3, 3, 4))
    site = np.arange(0, len(start), 5)
    composition = {"Ba": 2 / 3, "Sr": 1 / 3}

    def order(atoms):
        return sum(abs(warren_cowley(atoms, site, 4.0 * np.sqrt(shell))) / shell for shell in (1, 2, 3))

    found = st.sqs(start, "A", composition, seed=1, trials=5000)
    assert found.get_chemical_formula() == "Ba24O108Sr12Ti36"
    assert order(found) <= min(order(st.random_alloy(start, "A", composition, seed)) for seed in range(40)) and order(found) < 0.1
    assert (st.sqs(start, "A", composition, seed=1, trials=5000).numbers == found.numbers).all()


# Defects


def test_vacancies_and_defect_dipoles():
    fewer = st.vacancies(TITANATE, "O", 3, seed=2)
    assert fewer.get_chemical_formula() == "O21Pb8Ti8"
    fewer = st.vacancies(fewer, "Oz", 2, seed=2)
    assert fewer.get_chemical_formula() == "O19Pb8Ti8"
    for direction in ((0, 0, 1), (0, -1, 0)):
        doped = st.defect_dipole(TITANATE, (0, 0, 0), direction, acceptor="Fe")
        assert doped.get_chemical_formula() == "FeO23Pb8Ti7"
        gone = missing(TITANATE, doped, "O")
        np.testing.assert_allclose(gone - doped.positions[doped.symbols == "Fe"][0], A0 / 2 * np.array(direction), atol=1e-12)
    pair = st.defect_dipole(TITANATE, (1, 1, 1), (0, 1, -1))
    assert pair.get_chemical_formula() == "O23Pb7Ti8"
    away = missing(TITANATE, pair, "O") - missing(TITANATE, pair, "Pb")
    np.testing.assert_allclose(away - 2 * A0 * np.round(away / 2 / A0), A0 / 2 * np.array((0, 1, -1)), atol=1e-12)


def missing(before, after, element):
    places = {tuple(p.round(6)) for p in before.positions[before.symbols == element]}
    (left,) = places - {tuple(p.round(6)) for p in after.positions[after.symbols == element]}
    return np.array(left)


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
        (lambda: st.in_order(st.perovskite("BaTiO3", 4.0), st.perovskite("PbTiO3", 4.0)), "not one formula unit"),
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
