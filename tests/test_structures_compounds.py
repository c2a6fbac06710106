"""Fluorites, stacks, solid solutions and defects: symmetry by spglib, bonds, counts, order."""

import numpy as np
import pytest
import spglib
from ase.neighborlist import neighbor_list
from crystals import A0, TITANATE, bonds, shortest, symmetry

from ferrojax.ferroelectrics import structures as st
from ferrojax.ferroelectrics.structures.fluorite import POLYMORPHS
from ferrojax.state import from_ase

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
