"""What is built is what the analysis finds, two implementations that share nothing: tilts, walls, winding numbers, Hopf indices."""

import numpy as np
import pytest

from ferrojax import ferroelectrics as fe
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics import structures as st

SIDE, CELLS = 128.0, 32


@pytest.mark.parametrize(
    "system, angles", [("a0a0c-", {"c": 7.0}), ("a-a-c+", {"a": 4.0, "c": 8.0}), ("a+b-c-", {"a": 3.0, "b": 5.0, "c": 8.0})]
)
def test_tilts(system, angles):
    reference = st.perovskite("CaTiO3", 3.9, (2, 2, 2))
    tilted = st.tilt(reference, system, angles)
    cells = fe.find_cells(reference, "Ca", "Ti")
    found = fe.tilts(cells, cells.displacements(tilted.positions, tilted.cell.array), tilted.cell.array)
    plus, minus = fe.in_phase(cells, found), fe.antiphase(cells, found)
    assert fe.glazer(np.abs(plus), np.abs(minus)) == system
    expected = [angles[letter] if sign != "0" else 0.0 for letter, sign in zip(system[::2], system[1::2])]
    # Several tangents make an angle between components: third order in the tilts.
    np.testing.assert_allclose(np.abs(plus) + np.abs(minus), expected, rtol=0.02, atol=1e-9)


@pytest.mark.parametrize("centre", ["A", "B"])
def test_walls(centre):
    crystal = st.polarize(st.perovskite("PbTiO3", (3.9, 3.9, 4.15)), (0, 0, 0.3), st.SLATER)
    walls, reference = st.domain_wall(crystal, "PbTiO3", 180, cells=16, centre=centre, width=6.0)
    cells = fe.find_cells(reference, "Pb", "Ti")
    u = cells.displacements(walls.positions, walls.cell.array)
    titanium, length = fe.off_centring(cells, u)[1], walls.cell[0, 0]
    fitted = fe.fit_walls(fe.profile(cells.grid(titanium), 0, 2), length)
    # The first plane of the map is that of the first Ti, on the wall or half a cell behind it; the fit puts it at half a cell.
    first = walls.positions[walls.symbols == "Ti", 0].min() - 3.9 / 2
    away = fitted.places + first
    np.testing.assert_allclose(away - length / 2 * np.round(away / (length / 2)), 0, atol=0.05)
    np.testing.assert_allclose([width.value / 2 for width in fitted.widths], 6.0, rtol=0.1)  # oxygens of the cell lie off the plane of Ti


@pytest.mark.parametrize("kind, angle, component", [("T", 180, 2), ("T", 90, 2), ("R", 180, 2), ("R", 109, 1), ("R", 71, 2)])
def test_all_walls_by_planes(kind, angle, component):
    """Their cells are no grid but for the first; positions count from where the walls were put, 0 and half the length."""
    bulk = st.perovskite("PbTiO3", (3.9, 3.9, 4.15) if kind == "T" else 3.95)
    bulk = st.polarize(bulk, (0, 0, 0.3) if kind == "T" else (0.17, 0.17, 0.17), st.SLATER)
    walls, reference = st.domain_wall(bulk, "PbTiO3", angle, cells=12, width=6.0)
    cells = fe.find_cells(reference, "Pb", "Ti")
    titanium = fe.off_centring(cells, cells.displacements(walls.positions, walls.cell.array))[1]
    places, length = cells.ideal[cells.b] @ walls.cell.array, walls.cell[0, 0]
    planes = fe.plane_profile(places, titanium[:, component], walls.cell.array)
    fitted = fe.fit_walls(planes.values, planes.length)
    assert planes.length == pytest.approx(length) and len(fitted.signs) == 2
    away = fitted.places + planes.origin
    # Where the domains lean, the lattice has a kink on the wall: the titanium there is 0.06 Å off the mean of its oxygens in the reference
    # too, which moves the zero by a fifth of a plane.
    atol = 0.2 * length / len(planes.values) if angle == 90 else 0.05
    np.testing.assert_allclose(away - length / 2 * np.round(away / (length / 2)), 0, atol=atol)
    np.testing.assert_allclose([width.value / 2 for width in fitted.widths], 6.0, rtol=0.1)


def test_planes_across_any_direction():
    """Of a wave along (1, 2, 0) of a skew cell; and what has no planes."""
    cell = np.array([[8.0, 0, 0], [1.0, 12.0, 0], [0, 0.5, 4.0]])
    n = np.stack(np.meshgrid(np.arange(4), np.arange(6), np.arange(2), indexing="ij"), -1).reshape(-1, 3) / (4, 6, 2)
    share = n @ (1, 2, 0)
    planes = fe.plane_profile((n + [0.03, 0, 0]) @ cell, np.cos(2 * np.pi * share), cell, (1, 2, 0))
    assert len(planes.values) == 12 and planes.length == pytest.approx(1 / np.linalg.norm(np.linalg.inv(cell) @ (1, 2, 0)))
    np.testing.assert_allclose(planes.values, np.cos(2 * np.pi * np.arange(12) / 12), atol=1e-12)
    assert planes.origin == pytest.approx((0.03 - 0.5 / 12) * planes.length)
    with pytest.raises(FerrojaxError, match="without a common divisor"):
        fe.plane_profile(n @ cell, share, cell, (2, 2, 0))
    with pytest.raises(FerrojaxError, match="not lie on evenly spaced planes"):
        fe.plane_profile((n + 0.1 * n**2) @ cell, share, cell, (1, 0, 0))


@pytest.mark.parametrize("vorticity", [1, -1, 2])
def test_skyrmions_and_vortices(vorticity):
    field = st.skyrmion((SIDE,) * 3, 0.2, 30.0, 8.0, vorticity, helicity=0.4)
    modes = np.asarray(st.lattice_texture(field, (CELLS, CELLS, 2), SIDE / CELLS).modes)
    assert (fe.topological_charge(modes) == -vorticity).all()
    if vorticity == 1:
        assert fe.helicity_angle(modes[:, :, 0], (15.5, 15.5)) == pytest.approx(np.degrees(0.4), abs=1e-6)
    pattern = np.asarray(st.lattice_texture(st.vortex_lattice((SIDE,) * 3, 0.2, axis=2), (CELLS, CELLS, 2), SIDE / CELLS).modes)
    turns = fe.vortices(pattern)
    assert (turns > 0).sum() == (turns < 0).sum() == 2 * 2  # two of each in both layers


@pytest.mark.parametrize("charge", [1, -2])
def test_hopfions(charge):
    field = st.hopfion((SIDE,) * 3, 1.0, 60.0, charge)
    modes = np.asarray(st.lattice_texture(field, (CELLS,) * 3, SIDE / CELLS).modes)
    assert fe.hopf_index(modes) == pytest.approx(charge, rel=0.05)  # the error falls as the square of the spacing
