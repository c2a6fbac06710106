"""Domain walls against the bulk around them and a hand-built crystal; textures by their winding, Berg-Lüscher number and Hopf index."""

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics import structures as st

# PbTiO3 relaxed with PBEsol; origin, order and wrapping are those of no reference.
TETRAGONAL = Atoms(
    "OTiPbOO",
    scaled_positions=[(0, 0.5, 0.4733), (0.5, 0.5, 0.5561), (0, 0, 0.0943), (0.5, 0.5, 0.9785), (0.5, 0, 0.4733)],
    cell=(3.8741, 3.8741, 4.1995),
    pbc=True,
)
LEAN = 0.02
RHOMBOHEDRAL = st.polarize(st.perovskite("BaTiO3", [[4, LEAN, LEAN], [LEAN, 4, LEAN], [LEAN, LEAN, 4]]), (0.1, 0.1, 0.1), st.BATIO3_SOFT)
# R3c and I4cm: octahedra tilt about P, and the cell is doubled.
TILTED = st.perovskite("BiFeO3", np.array([[4, LEAN, LEAN], [LEAN, 4, LEAN], [LEAN, LEAN, 4]]), (2, 2, 2))
TILTED = st.tilt(st.polarize(TILTED, (0.25,) * 3, st.LAST), "a-a-a-", {"a": 8.0})
TURNED = st.tilt(st.polarize(st.perovskite("SrTiO3", (3.9, 3.9, 4.0), (2, 2, 2)), (0, 0, 0.2)), "a0a0c-", {"c": 5.0})
KINDS = [(TETRAGONAL, "PbTiO3", 180), (TETRAGONAL, "PbTiO3", 90)] + [(RHOMBOHEDRAL, "BaTiO3", angle) for angle in (180, 71, 109)]
KINDS += [(TILTED, "BiFeO3", angle) for angle in (180, 71, 109)] + [(TURNED, "SrTiO3", angle) for angle in (180, 90)]
IDS = ["T180", "T90", "R180", "R71", "R109", "R3c180", "R3c71", "R3c109", "I4cm180", "I4cm90"]


def polarization(walls, reference, inside):
    """A against oxygen in the part of the cell where ``inside`` holds, Å."""
    moved, x = walls.positions - reference.positions, reference.get_scaled_positions()[:, 0]
    oxygen, cation = walls.numbers == 8, reference.arrays["site"] == 0
    return moved[cation & inside(x)].mean(axis=0) - moved[oxygen & inside(x)].mean(axis=0)


def first(x):
    return (x > 0.11) & (x < 0.36)  # two of eight cells, so that tilts cancel


def second(x):
    return (x > 0.61) & (x < 0.86)


def surroundings(atoms, index, cutoff=5.0):
    """Elements and distances around an atom, sorted."""
    i, j, d = neighbor_list("ijd", atoms, cutoff)
    return sorted(zip(atoms.numbers[j[i == index]].tolist(), d[i == index].tolist()))


@pytest.mark.parametrize("charged", [False, True])
@pytest.mark.parametrize("bulk, formula, angle", KINDS, ids=IDS)
def test_domains_are_bulk_crystals_that_meet_at_the_angle(bulk, formula, angle, charged, claim):
    walls, reference = st.domain_wall(bulk, formula, angle, cells=8, charged=charged)
    cell = walls.cell.array
    assert np.abs(cell - np.diag(np.diag(cell))).max() < 1e-9, "orthorhombic"
    assert walls.get_volume() / len(walls) == pytest.approx(bulk.get_volume() / len(bulk), rel=1e-9)
    assert walls.get_chemical_formula(empirical=True) == bulk.get_chemical_formula(empirical=True)
    # Deep in either domain every atom sees what it sees in the bulk.
    for place in (0.25, 0.75):
        x = np.abs(walls.get_scaled_positions()[:, 0] - place)
        for symbol in (formula[:2], formula[2:4]):
            index = min(np.flatnonzero(walls.symbols == symbol), key=lambda k: x[k])
            seen, expected = surroundings(walls, index), surroundings(bulk, np.flatnonzero(bulk.symbols == symbol)[0])
            assert [n for n, _ in seen] == [n for n, _ in expected]
            away = max(abs(d - d0) for (_, d), (_, d0) in zip(seen, expected))
            assert away < 1e-8
            claim("F-wall-bulk", away)
    one, two = polarization(walls, reference, first), polarization(walls, reference, second)
    cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
    # 90° turns by less: the domains lean by the tetragonal strain; so do rhombohedral ones.
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) == pytest.approx(angle, abs=1e-4 if angle == 180 else 6)
    if charged:
        assert one[0] > 0.03 and two[0] == pytest.approx(-one[0])
    else:
        assert one[0] == pytest.approx(two[0], abs=1e-9)
    assert neighbor_list("d", walls, 3.0).min() > 0.96 * neighbor_list("d", bulk, 3.0).min()


def test_the_head_to_head_wall_is_half_way():
    walls, reference = st.domain_wall(TETRAGONAL, "PbTiO3", 180, cells=8, charged=True)
    assert polarization(walls, reference, first)[0] > 0 > polarization(walls, reference, second)[0]


def test_a_180_degree_wall_is_two_domains_put_together():
    """By hand: four cells of the crystal, then four of the crystal turned over, in the order of the planes."""
    walls, _ = st.domain_wall(TETRAGONAL, "PbTiO3", 180, cells=8, centre="A")
    unit = TETRAGONAL.copy()
    unit.positions[:, 2] -= unit.positions[2, 2]  # Pb at the origin
    for domain, sign in ((range(1, 4), 1), (range(5, 8), -1)):
        for n in domain:
            built = walls[np.abs(walls.positions[:, 0] - (n * 3.8741)) < 0.1]
            heights = {s: built.positions[built.symbols == s, 2] for s in ("Pb", "O")}
            # The apical oxygen of the PbO plane lies along z from Pb by 0.9785 - 0.0943, or its mirror image.
            gap = (heights["O"] - heights["Pb"] - sign * (0.4733 - 0.0943) * 4.1995) / 4.1995
            assert np.abs(gap - np.round(gap)).min() < 1e-9


def tilts(walls, reference, inside):
    """What moves the oxygens of the bonds along x (of the wall) differently from cell to cell: its signs, Å."""
    moved = (walls.positions - reference.positions)[reference.arrays["site"] == 2]
    x = reference.get_scaled_positions()[reference.arrays["site"] == 2, 0]
    return moved - np.where(inside(x)[:, None], moved[inside(x)].mean(axis=0), 0), inside(x)


def test_tilts_go_on_through_a_180_degree_wall_or_turn_over_there():
    """In R3c either is a wall between bulk domains of opposite P; the crystal with no wall but the tilts tells which is which."""
    same, reference = st.domain_wall(TILTED, "BiFeO3", 180, cells=8)
    over, _ = st.domain_wall(TILTED, "BiFeO3", 180, cells=8, shift=(1, 0, 0))
    for place in (first, second):
        (one, here), (two, _) = tilts(same, reference, place), tilts(over, reference, place)
        assert np.abs(one[here]).max() > 0.2
        np.testing.assert_allclose(two[here], one[here] if place is first else -one[here], atol=1e-9)


def test_a_crystal_of_one_formula_unit_or_eight_gives_the_same_walls():
    from ase.build import sort

    eight = sort(TETRAGONAL.repeat(2), np.random.default_rng(0).permutation(40))
    eight.positions += (0.7, -1.1, 0.4)
    for one, two in zip(st.domain_wall(TETRAGONAL, "PbTiO3", 90, cells=4), st.domain_wall(eight, "PbTiO3", 90, cells=4)):
        np.testing.assert_allclose(one.cell.array, two.cell.array, atol=1e-9)
        np.testing.assert_allclose(one.positions, two.positions, atol=1e-9)


@pytest.mark.parametrize("centre, element", [("A", "Pb"), ("B", "Ti")])
def test_walls_pass_through_the_plane_asked_for(centre, element):
    walls, reference = st.domain_wall(TETRAGONAL, "PbTiO3", 180, cells=8, centre=centre)
    moved = walls.positions - reference.positions
    at_rest = np.abs(moved).max(axis=1) < 1e-12
    assert set(walls.symbols[at_rest]) == {element, "O"}
    np.testing.assert_allclose(np.unique((reference.get_scaled_positions()[at_rest, 0] % 1).round(9)), (0, 0.5))


def test_width_is_that_of_the_hyperbolic_tangent():
    from scipy.optimize import curve_fit

    walls, reference = st.domain_wall(TETRAGONAL, "PbTiO3", 180, cells=30, centre="A", width=5.0)
    lead = walls.symbols == "Pb"
    x, height = walls.positions[lead, 0], (walls.positions - reference.positions)[lead, 2]
    near = np.abs(x - walls.cell[0, 0] / 2) < walls.cell[0, 0] / 4
    (size, place, width), _ = curve_fit(lambda x, p, x0, w: p * np.tanh((x - x0) / w), x[near], height[near], (-0.2, 58.0, 4.0))
    assert width == pytest.approx(5.0, abs=1e-6) and place == pytest.approx(walls.cell[0, 0] / 2, abs=1e-6)


@pytest.mark.parametrize("bulk, formula, angle", KINDS, ids=IDS)
def test_any_variant_and_order_of_the_bulk_gives_the_same_walls(bulk, formula, angle):
    """The bulk turned onto another variant: the same distances in the cell of the walls."""
    order = [2, 0, 1]
    turned = Atoms(
        bulk.numbers[::-1], scaled_positions=-bulk.get_scaled_positions()[::-1][:, order], cell=bulk.cell.array[order][:, order], pbc=True
    )
    turned.wrap()
    one, two = (st.domain_wall(crystal, formula, angle, cells=4)[0] for crystal in (bulk, turned))
    np.testing.assert_allclose(one.cell.array, two.cell.array, atol=1e-9)
    np.testing.assert_allclose(np.sort(neighbor_list("d", one, 4.5)), np.sort(neighbor_list("d", two, 4.5)), atol=1e-8)


# Textures

SIDE, CELLS = 48.0, 48


def plane(field, axis=2, sides=(SIDE, SIDE, SIDE)):
    """The field on the plane through the middle, normal to the axis: (points, points, 3) with the axes in cyclic order."""
    one, two = (axis + 1) % 3, (axis + 2) % 3
    points = np.zeros((CELLS, CELLS, 3))
    grid = (np.arange(CELLS) + 0.5) / CELLS
    points[..., one], points[..., two], points[..., axis] = grid[:, None] * sides[one], grid * sides[two], sides[axis] / 2
    return field(points.reshape(-1, 3)).reshape(CELLS, CELLS, 3)[..., [one, two, axis]]


def berg_luscher(n):
    """Q by solid angles of two triangles per square. Berg and Lüscher, Nucl. Phys. B 190, 412 (1981)."""
    n = n / np.linalg.norm(n, axis=-1, keepdims=True)
    a, b, c, d = n, np.roll(n, -1, 0), np.roll(n, (-1, -1), (0, 1)), np.roll(n, -1, 1)
    total = 0.0
    for p, q, r in ((a, b, c), (a, c, d)):
        above = (p * np.cross(q, r)).sum(-1)
        below = 1 + (p * q).sum(-1) + (q * r).sum(-1) + (r * p).sum(-1)
        total += 2 * np.arctan2(above, below).sum()
    return total / (4 * np.pi)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("vorticity, helicity", [(1, 0.0), (1, np.pi / 2), (-1, 0.3), (2, 0.0)])
def test_skyrmions_carry_minus_their_vorticity(vorticity, helicity, axis):
    n = plane(st.skyrmion((SIDE,) * 3, 0.2, 10.0, 3.0, vorticity, helicity, axis), axis)
    assert berg_luscher(n) == pytest.approx(-vorticity, abs=1e-9)
    np.testing.assert_allclose(np.linalg.norm(n, axis=-1), 0.2)
    assert n[CELLS // 2, CELLS // 2, 2] < 0 < n[0, 0, 2]
    assert berg_luscher(-n) == pytest.approx(vorticity, abs=1e-9)


def winding(u, i, j, radius):
    """Turns of the in-plane field along a square path."""
    steps = np.arange(-radius, radius)
    path = [(i + s, j - radius) for s in steps] + [(i + radius, j + s) for s in steps]
    path += [(i - s, j + radius) for s in steps] + [(i - radius, j - s) for s in steps]
    angle = np.array([np.arctan2(u[x % CELLS, y % CELLS, 1], u[x % CELLS, y % CELLS, 0]) for x, y in path])
    change = np.diff(np.append(angle, angle[0]))
    return ((change + np.pi) % (2 * np.pi) - np.pi).sum() / (2 * np.pi)


@pytest.mark.parametrize("make", [st.vortex_lattice, st.flux_closure])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_vortices_and_antivortices_alternate(make, axis):
    u = plane(make((SIDE,) * 3, 0.2, axis), axis)
    for i, j, turns in ((0, 0, 1), (24, 24, 1), (24, 0, -1), (0, 24, -1)):
        assert winding(u, i, j, 8) == pytest.approx(turns)
    curl = np.roll(u[..., 1], -1, 0) - np.roll(u[..., 1], 1, 0) - np.roll(u[..., 0], -1, 1) + np.roll(u[..., 0], 1, 1)
    assert curl[0, 0] > 0 > curl[24, 24], "counterclockwise at the corner"
    assert np.abs(u.mean(axis=(0, 1))).max() < 1e-12
    divergence = np.roll(u[..., 0], -1, 0) - np.roll(u[..., 0], 1, 0) + np.roll(u[..., 1], -1, 1) - np.roll(u[..., 1], 1, 1)
    if make is st.vortex_lattice:
        assert np.abs(divergence).max() < 1e-12
    else:
        assert set(np.unique(np.abs(u).round(9))) <= {0, 0.2, round(0.2 / np.sqrt(2), 9)}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_vortex(axis):
    u = plane(st.vortex((SIDE,) * 3, 0.2, 20.0, axis), axis)
    assert winding(u, 24, 24, 8) == pytest.approx(1) and np.abs(u[0]).max() == 0
    assert np.linalg.norm(u, axis=-1).max() == pytest.approx(0.2, rel=1e-2)
    divergence = np.roll(u[..., 0], -1, 0) - np.roll(u[..., 0], 1, 0) + np.roll(u[..., 1], -1, 1) - np.roll(u[..., 1], 1, 1)
    assert np.abs(divergence[12:36, 12:36]).max() < 1e-3, "but for the grid"


def hopf_index(n, length):
    """∫ F·A with F_i = ε_ijk n·∂_j n × ∂_k n / 8π and F = ∇×A, derivatives by Fourier transforms. Whitehead (1947)."""
    k = np.stack(np.meshgrid(*3 * [2 * np.pi * np.fft.fftfreq(len(n), length / len(n))], indexing="ij"), -1)
    transform = np.fft.fftn(n, axes=(0, 1, 2))
    d = [np.fft.ifftn(1j * k[..., a : a + 1] * transform, axes=(0, 1, 2)).real for a in range(3)]
    flux = np.stack([(n * np.cross(d[(a + 1) % 3], d[(a + 2) % 3])).sum(-1) for a in range(3)], -1) / (4 * np.pi)
    square = np.where((k2 := (k**2).sum(-1)) > 0, k2, 1)[..., None]
    potential = np.fft.ifftn(1j * np.cross(k, np.fft.fftn(flux, axes=(0, 1, 2))) / square, axes=(0, 1, 2)).real
    return (flux * potential).sum() * (length / len(n)) ** 3


@pytest.mark.parametrize("charge, axis", [(1, 2), (-1, 0), (2, 1)])
def test_hopfions_have_their_index(charge, axis):
    grid = (np.arange(32) + 0.5) * SIDE / 32
    points = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1).reshape(-1, 3)
    n = st.hopfion((SIDE,) * 3, 1.0, 22.0, charge, axis)(points).reshape(32, 32, 32, 3)
    np.testing.assert_allclose(np.linalg.norm(n, axis=-1), 1.0)
    assert n[0, 0, 0, axis] == pytest.approx(1)
    assert hopf_index(n, SIDE) == pytest.approx(charge, rel=0.02)  # the grid is coarse


def test_bubbles_and_stripes():
    u = plane(st.bubble((SIDE,) * 3, 0.2, 10.0, 2.0))
    reversed_area = (u[..., 2] < 0).mean() * SIDE**2
    assert reversed_area == pytest.approx(np.pi * 10.0**2, rel=0.02) and np.abs(u[..., :2]).max() == 0
    ball = st.bubble((SIDE,) * 3, 0.2, 10.0, 2.0, height=30.0)
    middle = np.full(3, SIDE / 2)
    assert ball(np.array([middle]))[0, 2] == pytest.approx(-0.2, abs=1e-4)
    for step in ((10.0, 0, 0), (0, 0, 15.0)):
        assert ball(np.array([middle + step]))[0, 2] == pytest.approx(0, abs=1e-12)
    stripes = plane(st.stripe_domains((SIDE,) * 3, (0, 0, 0.2), 16.0))[:, 0, 2]
    np.testing.assert_allclose(stripes, 0.2 * np.where(np.arange(CELLS) % 16 < 8, 1, -1))


def test_a_texture_moves_atoms_and_lattice_alike():
    """The local mode of every cell of the displaced crystal is that of the lattice, where u changes slowly."""
    shape, a = (12, 12, 2), 4.0
    field = st.skyrmion((48.0, 48.0, 8.0), 0.2, 10.0, 3.0)
    ideal = st.perovskite("BaTiO3", a, shape)
    moved = st.polarize(ideal, field, st.BATIO3_SOFT).positions - ideal.positions
    b = ideal.arrays["site"] == 1
    lattice = np.asarray(st.lattice_texture(field, shape, a).modes)
    np.testing.assert_allclose(moved[b].reshape(*shape, 3), 0.770 * lattice, atol=1e-12)
    assert berg_luscher(lattice[:, :, 0]) == pytest.approx(-1, abs=1e-9)


def test_stripes_are_those_of_the_effective_hamiltonian():
    from ferrojax import effective

    ours = st.lattice_texture(st.stripe_domains((32.0, 8.0, 8.0), (0, 0, 0.1), 16.0), (8, 2, 2), 4.0)
    np.testing.assert_allclose(ours.modes, effective.stripes((8, 2, 2), (0, 0, 0.1), 4).modes, atol=1e-12)


CUBIC = st.perovskite("PbTiO3", 4.0)
ORTHORHOMBIC = st.polarize(CUBIC, (0, 0.2, 0.2), st.LAST)
SKEW = st.polarize(st.perovskite("PbTiO3", (3.8, 3.95, 4.2)), (0, 0, 0.3), st.LAST)
SIDES = (SIDE,) * 3


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: st.domain_wall(CUBIC, "PbTiO3", 180, 8), "neither"),
        (lambda: st.domain_wall(ORTHORHOMBIC, "PbTiO3", 180, 8), "lies along neither"),
        (lambda: st.domain_wall(TETRAGONAL, "PbTiO3", 71, 8), r"\[90, 180\] degrees"),
        (lambda: st.domain_wall(TETRAGONAL, "PbTiO3", 180, 7), "even number"),
        (lambda: st.domain_wall(TETRAGONAL, "PbTiO3", 180, 8, centre="C"), "site must be"),
        (lambda: st.domain_wall(TETRAGONAL, "PbTiO3", 180, 8, width=-1.0), "0 Å or more"),
        (lambda: st.domain_wall(TETRAGONAL, "BaTiO3", 180, 8), "must hold the same elements"),
        (lambda: st.domain_wall(TETRAGONAL.repeat((2, 1, 1)), "PbTiO3", 180, 8), "it has 10 atoms; give one formula unit"),
        (lambda: st.domain_wall(TETRAGONAL.repeat((8, 1, 1)), "PbTiO3", 180, 8), "cannot be told apart"),
        (lambda: st.domain_wall(SKEW, "PbTiO3", 90, 8), "do not fit"),
        (lambda: st.skyrmion(SIDES, 0.2, 20.0, 5.0), "larger cell"),
        (lambda: st.skyrmion(SIDES, 0.2, 0.0, 5.0), "above 0"),
        (lambda: st.skyrmion(SIDES, 0.2, 10.0, 3.0, axis=3), "0, 1 or 2"),
        (lambda: st.bubble(SIDES, 0.2, 10.0, 2.0, height=47.0), "larger cell"),
        (lambda: st.vortex(SIDES, 0.2, 25.0), "half the cell"),
        (lambda: st.hopfion(SIDES, 0.2, 25.0), "half the cell"),
        (lambda: st.stripe_domains(SIDES, (0, 0, 1), 13.0), "does not divide"),
        (lambda: st.vortex_lattice([[4, 0, 0], [1, 4, 0], [0, 0, 4]], 0.1), "orthorhombic"),
        (lambda: st.lattice_texture(st.vortex_lattice(SIDES, 0.1), (4, 4), 4.0), "whole numbers"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, words):
    with pytest.raises(FerrojaxError, match=words):
        call()
