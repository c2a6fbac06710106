"""Cells, local polarization, off-centring and tilts against known crystals and a brute-force second map."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import make_supercell
from perovskites import BORN, EXPERIMENT, SITES, crystal, rattled, shuffled, trajectory
from random_model import random_model

from ferrojax import ferroelectrics as fe
from ferrojax.enthalpy import dipole
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.maps import born_moments, map_atoms
from ferrojax.units import E_PER_A2


def polarization(atoms: Atoms, cells=None, centre="B"):
    """Map of a structure whose charges are BORN."""
    cells = fe.find_cells(atoms, "Pb", "Ti") if cells is None else cells
    charges = fe.born_tensors(cells, atoms, BORN)
    u = cells.displacements(atoms.positions, atoms.cell.array)
    return cells, fe.local_polarization(cells, charges, u, atoms.get_volume(), centre)


def brute_force(atoms: Atoms):
    """(B atom, polarization) of each cell from minimum images in this frame alone: no reference, no table, no ideal lattice.

    Wigner-Seitz weights of the 8 nearest A and 6 nearest O; charges sum to zero in a cell, so vectors may start at the B atom.
    """
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3) @ atoms.cell.array
    wrapped = atoms.get_positions(wrap=True)
    result = {}
    for i in np.flatnonzero(atoms.symbols == "Ti"):
        total = np.zeros(3)
        for symbol, number, share in (("Pb", 8, 1 / 8), ("O", 6, 1 / 2)):
            vectors = (wrapped[atoms.symbols == symbol][:, None] + shifts - wrapped[i]).reshape(-1, 3)
            vectors = vectors[np.argsort(np.linalg.norm(vectors, axis=1))[:number]]
            if symbol == "Pb":
                total += share * BORN["Pb"] * vectors.sum(0)
                continue
            for v in vectors:
                along = np.abs(v).argmax()
                charge = np.full(3, BORN["O"][1])
                charge[along] = BORN["O"][0]
                total += share * charge * v
        result[i] = total * sum(atoms.symbols == "Ti") / atoms.get_volume() * E_PER_A2
    return result


def test_maps_agree_with_brute_force_along_a_trajectory(claim):
    made, worst = trajectory(4), 0.0
    cells = fe.find_cells(made[0], "Pb", "Ti")
    charges = fe.born_tensors(cells, made[0], BORN)
    for atoms in made:
        u = cells.displacements(atoms.positions, atoms.cell.array)
        ours = fe.local_polarization(cells, charges, u, atoms.get_volume())
        theirs = brute_force(atoms)
        worst = max(worst, np.abs(ours - [theirs[b] for b in cells.b]).max())
    claim("F-second-map", worst)


@pytest.mark.parametrize("centre", ["B", "A"])
def test_cells_sum_to_the_polarization_of_the_crystal(centre, claim):
    atoms = rattled(shuffled(crystal((3, 2, 4), sites=EXPERIMENT)), 0.15)
    cells, found = polarization(atoms, centre=centre)
    charges, u = fe.born_tensors(cells, atoms, BORN), cells.displacements(atoms.positions, atoms.cell.array)
    total = np.einsum("iab,ib->a", charges, u) / atoms.get_volume() * E_PER_A2
    claim("F-local-sum", np.abs(found.mean(0) - total).max() / np.abs(total).max())


def test_lead_titanate_has_its_polarization():
    """Structure at 295 K with the Born charges of cubic PbTiO3: 0.75 C/m² was measured (0.57 to 0.9); up along +z."""
    atoms = crystal((2, 2, 2), a=(3.904, 3.904, 4.152), sites=EXPERIMENT)
    cells, found = polarization(atoms)
    # Ti and the oxygens move against Pb at the origin: by hand, from fractions of c.
    shift = 4.152 * (7.06 * 0.0377 - 5.84 * 0.1118 - 2 * 2.56 * 0.1174) / (3.904**2 * 4.152) * E_PER_A2
    np.testing.assert_allclose(found, np.tile([0, 0, shift], (8, 1)), atol=1e-12)
    assert shift < 0 and 0.57 < abs(shift) < 1.1  # here oxygen moves up: P points down
    atoms.positions[:, 2] *= -1
    np.testing.assert_allclose(polarization(atoms)[1].mean(0), [0, 0, -shift], atol=1e-12)


def test_drift_wrapping_and_order_do_not_matter():
    atoms = rattled(crystal((3, 2, 2), sites=EXPERIMENT))
    cells, expected = polarization(atoms)
    other = shuffled(atoms, 3)
    renamed, found = polarization(other)
    assert renamed.shape == cells.shape == (3, 2, 2)
    # The cells are the same up to where the grid begins.
    turned = [np.roll(renamed.grid(found), (i, j, k), (0, 1, 2)) for i in range(3) for j in range(2) for k in range(2)]
    assert min(np.abs(x - cells.grid(expected)).max() for x in turned) < 1e-12


def snapshot(atoms):
    """The structure as a frame."""
    return fe.Snapshot(atoms.positions, atoms.cell.array, atoms.numbers, 0)


def test_a_rotated_crystal_has_the_rotated_map():
    atoms = rattled(crystal((2, 2, 3), sites=EXPERIMENT))
    cells, expected = polarization(atoms)
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(0.3), np.sin(0.3)], [0, -np.sin(0.3), np.cos(0.3)]])
    rotated = Atoms(atoms.numbers, positions=atoms.positions @ turn, cell=atoms.cell.array @ turn, pbc=True)
    found, vectors = polarization(rotated)
    np.testing.assert_array_equal(found.b, cells.b)
    np.testing.assert_allclose(vectors, expected @ turn, atol=1e-12)
    maps = [map_atoms(c, snapshot(a), born_moments(fe.born_tensors(c, a, BORN))) for c, a in ((found, rotated), (cells, atoms))]
    np.testing.assert_allclose(maps[0].grid, maps[1].grid, atol=1e-12)  # along the pseudo-cubic axes
    np.testing.assert_allclose(maps[1].polarization, expected, atol=1e-12)
    np.testing.assert_allclose(maps[0].plus, maps[1].plus, atol=1e-10)
    tilted, plain = (fe.tilts(c, c.displacements(a.positions, a.cell.array), a.cell.array) for c, a in ((found, rotated), (cells, atoms)))
    np.testing.assert_allclose(tilted, plain @ turn, atol=1e-10)


@pytest.mark.parametrize(
    "matrix, shape",
    [
        ([[2, 0, 0], [2, 2, 0], [0, -2, 2]], (2, 2, 2)),  # another cell of the same supercell
        ([[0, 0, 2], [3, 0, 0], [0, 1, 0]], (3, 1, 2)),  # lattice vectors in another order
        ([[1, 1, 0], [-1, 1, 0], [0, 0, 2]], None),  # √2 x √2 x 2
        ([[1, 1, 0], [1, -1, 1], [0, 1, 2]], None),
    ],
)
def test_any_supercell(matrix, shape):
    primitive = crystal((1, 1, 1), sites=EXPERIMENT)
    if np.linalg.det(matrix) < 0:
        matrix = -np.array(matrix)
    atoms = shuffled(make_supercell(primitive, matrix), 1)
    cells, found = polarization(atoms)
    assert cells.shape == shape and len(cells) == round(np.linalg.det(matrix))
    np.testing.assert_allclose(found, np.tile(polarization(primitive)[1], (len(cells), 1)), atol=1e-10)
    np.testing.assert_allclose(cells.axes(atoms.cell.array), np.diag([3.9, 3.9, 4.15]), atol=1e-10)
    np.testing.assert_allclose(cells.supercell, matrix, atol=1e-10)
    noisy = rattled(atoms)
    here, theirs = polarization(noisy, cells)[1], brute_force(noisy.repeat(2))  # wide enough for minimum images
    np.testing.assert_allclose(here, [theirs[b] for b in cells.b], atol=1e-10)
    if shape is None:
        with pytest.raises(FerrojaxError, match="no layers or walls"):
            cells.grid(found)


def test_one_moved_atom_shows_where_it_belongs():
    atoms = crystal((3, 3, 3))
    cells, _ = polarization(atoms)
    moved = atoms.copy()
    moved.positions[cells.b[5], 0] += 0.1
    found = polarization(moved, cells)[1]
    uniform = found - np.delete(found, 5, 0).mean(0)
    assert np.argmax(np.abs(uniform).sum(1)) == 5
    np.testing.assert_allclose(uniform[5, 0], 7.06 * 0.1 * 27 / atoms.get_volume() * E_PER_A2, rtol=1e-10)
    off_a, off_b = fe.off_centring(cells, cells.displacements(moved.positions, moved.cell.array))
    np.testing.assert_allclose(off_b[:, 0], 0.1 * np.eye(27)[5], atol=1e-12)
    moved.positions[cells.a[7], 2] += 0.2
    off_a, _ = fe.off_centring(cells, cells.displacements(moved.positions, moved.cell.array))
    np.testing.assert_allclose(off_a[:, 2], 0.2 * np.eye(27)[7], atol=1e-12)


def tilted(angles, phases, repeat=(2, 2, 2)):
    """Octahedra turned by finite angles (degrees) about the axes: +1 in phase along the axis, -1 antiphase; the lattice as they pull it."""
    atoms = crystal(repeat, a=(4.0, 4.0, 4.0))
    cells = fe.find_cells(atoms, "Pb", "Ti")
    for axis, (angle, phase) in enumerate(zip(np.radians(angles), phases)):
        others = [k for k in range(3) if k != axis]
        parity = cells.index[:, others].sum(1) + (cells.index[:, axis] if phase < 0 else 0)
        sign = np.where(parity % 2, -1.0, 1.0)[:, None] * np.tan(angle)
        for k in others:
            arm = np.eye(3)[k] * -2.0  # from B to the oxygen on the lower face
            atoms.positions[cells.o[:, k]] += sign * np.cross(np.eye(3)[axis], arm)
    return atoms, cells


@pytest.mark.parametrize(
    "angles, phases, symbol",
    [
        ((0, 0, 0), (1, 1, 1), "a0a0a0"),
        ((0, 0, 7), (1, 1, -1), "a0a0c-"),
        ((0, 0, 7), (1, 1, 1), "a0a0c+"),
        ((5, 5, 8), (-1, -1, 1), "a-a-c+"),
        ((6, 6, 6), (-1, -1, -1), "a-a-a-"),
        ((3, 6, 9), (1, -1, -1), "a+b-c-"),
    ],
)
def test_glazer_tilts(angles, phases, symbol):
    atoms, cells = tilted(angles, phases)
    turned = fe.tilts(cells, cells.displacements(atoms.positions, atoms.cell.array), atoms.cell.array)
    plus, minus = fe.in_phase(cells, turned), fe.antiphase(cells, turned)
    assert fe.glazer(plus, minus) == symbol
    wanted = np.where(np.array(phases) > 0, np.abs(plus), np.abs(minus))
    # Exact for one axis; rotations about several do not commute, to second order of 0.1.
    np.testing.assert_allclose(wanted, angles, atol=1e-9 if np.count_nonzero(angles) < 2 else 0.15)
    other = np.where(np.array(phases) > 0, minus, plus)
    np.testing.assert_allclose(other, 0, atol=1e-9)
    assert np.abs(fe.off_centring(cells, cells.displacements(atoms.positions, atoms.cell.array))[1]).max() < 1e-9


def test_waves_and_their_stars():
    _, cells = tilted((0, 0, 0), (1, 1, 1), (4, 2, 3))
    rng = np.random.default_rng(0)
    values = rng.normal(size=(24, 3))
    whole = np.fft.fftn(cells.grid(values), axes=(0, 1, 2)) / 24
    np.testing.assert_allclose(fe.fourier(cells, values, (0.25, 0.5, 1 / 3)), whole[1, 1, 1], atol=1e-14)
    np.testing.assert_allclose(fe.fourier(cells, values, (0, 0, 0)), values.mean(0), atol=1e-14)
    with pytest.raises(FerrojaxError, match="does not fit into the supercell"):
        fe.fourier(cells, values, (0.5, 0.5, 0.5))
    np.testing.assert_array_equal(fe.antiphase(cells, values), 0)  # three cells hold no R point
    np.testing.assert_allclose(fe.in_phase(cells, values)[2], whole[2, 1, 0, 2].real, atol=1e-14)


def own_dipoles(atoms, cells):
    """Of an untrained model."""
    model, params = random_model("fast")
    u = cells.displacements(atoms.positions, atoms.cell.array)
    return fe.learned_dipoles(model, params, model.prepare(atoms, np.float64), u)


@pytest.mark.slow  # compiles the potential, twice
def test_the_models_own_dipoles_sum_to_its_dipole():
    """Up to the quantum: M of the enthalpy depends on the wrapping, the map does not."""
    model, params = random_model("fast")
    atoms = rattled(shuffled(crystal((2, 1, 1), a=(3.9, 3.9, 4.0))))
    cells = fe.find_cells(atoms, "Pb", "Ti")
    state, moments = model.prepare(atoms, np.float64), own_dipoles(atoms, cells)
    flow = model.terms(params, state).flow
    difference = moments.sum(0) - np.asarray(dipole(model, flow, state))
    origin = np.asarray(model.formal_charges(state)) @ cells.ideal  # the dipole of the ideal lattice of formal charges
    quanta = difference @ np.linalg.inv(atoms.cell.array) + origin
    np.testing.assert_allclose(quanta, np.rint(quanta), atol=1e-9)
    np.testing.assert_allclose(fe.cell_dipoles(cells, moments).sum(0), moments.sum(0), atol=1e-12)
    np.testing.assert_allclose(own_dipoles(shifted(atoms), cells), moments, atol=1e-9)


def shifted(atoms):
    """The same atoms in other images."""
    copy = atoms.copy()
    copy.positions += np.random.default_rng(5).integers(-1, 2, (len(copy), 3)) @ copy.cell.array
    return copy


@pytest.mark.slow  # compiles Born charges
def test_the_models_own_dipoles_follow_its_born_charges():
    model, params = random_model("fast")
    atoms = rattled(crystal((2, 1, 1), a=(3.9, 3.9, 4.0)))
    cells = fe.find_cells(atoms, "Pb", "Ti")
    born = fe.model_born_charges(model, params, atoms)
    assert np.abs(born.sum(0)).max() < 1e-9
    step = 1e-4 * np.random.default_rng(1).normal(size=(len(atoms), 3))
    ends = []
    for sign in (0.5, -0.5):
        moved = atoms.copy()
        moved.positions += sign * step
        ends.append(own_dipoles(moved, cells).sum(0))
    np.testing.assert_allclose(ends[0] - ends[1], np.einsum("iab,ib->a", born, step), atol=1e-9)


def test_an_alloy_and_several_species_on_a_site():
    atoms = crystal((2, 2, 2))
    symbols = np.array(atoms.get_chemical_symbols())
    symbols[np.flatnonzero(symbols == "Pb")[::2]] = "Sr"
    atoms.set_chemical_symbols(symbols)
    cells = fe.find_cells(atoms, ("Pb", "Sr"), "Ti")
    charges = fe.born_tensors(cells, atoms, BORN | {"Sr": 3.6})
    assert np.abs(charges.sum(0)).max() < 1e-12  # what the sum rule lacks is spread evenly
    with pytest.raises(FerrojaxError, match="Sr is on none of the sites"):
        fe.find_cells(atoms, "Pb", "Ti")
    with pytest.raises(FerrojaxError, match="no Born charge for Sr"):
        fe.born_tensors(cells, atoms, BORN)
    with pytest.raises(FerrojaxError, match="sum to 3.00 e per cell"):
        fe.born_tensors(cells, atoms, BORN | {"Sr": 9.9})


def test_what_is_no_perovskite_is_refused():
    atoms = crystal((3, 3, 3))
    with pytest.raises(FerrojaxError, match="27 A, 27 B and 80 O atoms"):
        fe.find_cells(atoms[:-1], "Pb", "Ti")
    vacancy = atoms.copy()
    oxygen = int(np.flatnonzero(vacancy.symbols == "O")[4])
    vacancy.positions[oxygen] = atoms.positions[0] + [0.8, 0.3, 0.1]
    with pytest.raises(FerrojaxError, match="atom [0-9]+ .Ti. has [57] oxygens shared"):
        fe.find_cells(vacancy, "Pb", "Ti")
    swapped = atoms.copy()
    swapped.positions[[0, 5]] = swapped.positions[5] + [[0.3, 0, 0], [-0.3, 0, 0]]
    with pytest.raises(FerrojaxError, match="atoms 0 and 5 are in the same cage"):
        fe.find_cells(swapped, "Pb", "Ti")
    cells = fe.find_cells(atoms, "Pb", "Ti")
    molten = atoms.copy()
    molten.positions[7] += [4.4, 0, 0]
    with pytest.raises(FerrojaxError, match="atom 7 is 1.* cells from its place"):
        cells.displacements(molten.positions, molten.cell.array)
    with pytest.raises(FerrojaxError, match="atom 0 is Ti in the frame and Pb in the reference; give a reference with the atoms"):
        map_atoms(cells, snapshot(molten[np.roll(np.arange(len(atoms)), -1)]), lambda frame, u: u)
    small = fe.find_cells(crystal((2, 2, 2)), "Pb", "Ti")
    moved = crystal((2, 2, 2))[[35, *range(1, 35), 0, *range(36, 40)]]  # two lead atoms have changed places
    with pytest.raises(FerrojaxError, match="atom 0 is 1.00 cells from its place"):
        small.displacements(moved.positions, moved.cell.array)
    with pytest.raises(FerrojaxError, match="134 atoms, the reference 135"):
        cells.displacements(atoms.positions[:-1], atoms.cell.array)
    slab = Atoms("PbTiO3", scaled_positions=SITES, cell=[3.9, 3.9, 12.0], pbc=True)
    slab.positions[:, 2] /= 3
    with pytest.raises(FerrojaxError, match="oxygen atom|oxygens shared|three axes"):
        fe.find_cells(slab, "Pb", "Ti")
