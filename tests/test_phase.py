"""Names of phases, domains and variants, on crystals built to have them."""

import numpy as np
import pytest
from perovskites import crystal, rattled

from ferrojax import ferroelectrics as fe
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics import structures as st
from ferrojax.ferroelectrics.maps import born_moments, map_atoms
from ferrojax.ferroelectrics.series import Series

BORN = {"Pb": 3.90, "Ti": 7.06, "O": (-5.84, -2.56)}


@pytest.mark.parametrize(
    "mean, name",
    [
        ((0.05, -0.02, 0.03), "cubic"),
        ((0, 0, -0.7), "tetragonal"),
        ((0.5, 0.02, -0.45), "orthorhombic"),
        ((0.4, -0.4, 0.45), "rhombohedral"),
        ((0.3, 0.3, 0.7), "monoclinic MA"),
        ((-0.7, 0.25, 0.3), "monoclinic MA"),
        ((0.3, 0.7, -0.7), "monoclinic MB"),
        ((0.3, 0, 0.7), "monoclinic MC"),
        ((0.2, 0.45, 0.7), "triclinic"),
    ],
)
def test_phases_are_those_of_vanderbilt_and_cohen(mean, name):
    assert fe.polar_phase(np.array(mean), 0.1) == name
    assert fe.polar_phase(-np.array(mean)[[2, 0, 1]], 0.1) == name
    with pytest.raises(FerrojaxError, match="threshold of the polarization must be above zero"):
        fe.polar_phase(np.array(mean), 0.0)


def maps_of(atoms, reference):
    """Of Born charges by element."""
    cells = fe.find_cells(reference, "Pb", "Ti")
    frame = fe.Snapshot(atoms.positions, atoms.cell.array, atoms.numbers, 0)
    return map_atoms(cells, frame, born_moments(fe.born_tensors(cells, reference, BORN)))


def named(atoms, reference):
    """The phase in a row of series.csv."""
    maps, series = maps_of(atoms, reference), Series(layers=None)
    series.append(fe.Snapshot(atoms.positions, atoms.cell.array, atoms.numbers, 0), maps)
    return series.rows[0]["phase_of_mean_P"]


@pytest.mark.parametrize("kind, angle, cells", [("T", 180, 4), ("T", 90, 4), ("R", 180, 4), ("R", 109, 4), ("R", 71, 12), ("T", 180, 12)])
def test_crystals_of_several_domains(kind, angle, cells):
    direction = (0, 0, 1) if kind == "T" else (1, 1, 1)
    lengths = (3.9, 3.9, 4.15) if kind == "T" else 3.95
    shift = 0.3 * np.array(direction) / np.linalg.norm(direction)
    bulk = st.polarize(st.perovskite("PbTiO3", lengths), tuple(shift), st.SLATER)
    walls, reference = st.domain_wall(bulk, "PbTiO3", angle, cells=cells)
    assert named(walls, reference) == named(rattled(walls, 0.03), reference) == "domains"


def test_noise_makes_no_domains():
    start = crystal((6, 6, 6), a=(3.95, 3.95, 3.95))
    assert named(rattled(start, 0.08), start) == "cubic"
    polar = start.copy()
    polar.positions[polar.symbols == "Ti"] += [0.12, 0.12, 0.12]
    assert named(rattled(polar, 0.05), start) == "rhombohedral"
    assert named(crystal((1, 1, 1)), crystal((1, 1, 1))) == "cubic"
    with pytest.raises(FerrojaxError, match="must be above zero"):
        fe.several_domains(np.ones((2, 3)), 3.0, 0.0)


def test_what_neighbours_have_in_common():
    p = np.random.default_rng(0).normal(size=(5, 3))
    assert fe.in_common(p, [np.roll(p, 1, 0), p]) == pytest.approx(((p * np.roll(p, 1, 0)).sum() + (p**2).sum()) / 10)


def test_variants_are_the_nearest_directions():
    axes = np.array([s for s in np.ndindex(3, 3, 3) if s != (1, 1, 1)]) - 1
    random = np.random.default_rng(1).normal(size=(200, 3))
    cosines = random @ (axes / np.linalg.norm(axes, axis=1, keepdims=True)).T
    np.testing.assert_array_equal(fe.variants(random, 1e-6), axes[cosines.argmax(1)])
    np.testing.assert_array_equal(fe.variants(0.7 * axes), axes)
    assert not fe.variants(0.09 * axes / np.linalg.norm(axes, axis=1, keepdims=True)).any()
    stripe = crystal((4, 2, 2))
    stripe.positions[stripe.symbols == "Ti", 2] += np.repeat([0.2, -0.2], 8)
    maps = maps_of(stripe, crystal((4, 2, 2)))
    np.testing.assert_array_equal(maps.arrays(0.1)["variant"][:, 2], np.sign(maps.polarization[:, 2]))
