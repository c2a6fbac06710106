"""What the PTO-test derives from positions and cells: polarization, Lindemann ratio, averages, and the end of a run."""

import numpy as np
import pytest
from pto_crystal import NOMINAL, REPEAT

from ferrojax.pto_test import PtoTestConfig, crystal
from ferrojax.pto_test.series import COLUMNS, averages, trouble
from ferrojax.quickstart.statics import perovskite


def test_polarization_of_displaced_cells():
    """Against the sum over atoms; the same for a supercell, whatever the origin; that of the dipole where charges are numbers."""
    tensors = crystal.born_tensors(PtoTestConfig().born_charges)
    np.testing.assert_allclose(tensors.sum(0), 0, atol=1e-12)
    cell = crystal.tetragonal_start()
    found = []
    for repeat, shift in (((1, 1, 1), 0.0), (REPEAT, 0.0), (REPEAT, 0.7)):
        atoms = cell.repeat(repeat)
        atoms.positions += shift
        box = atoms.cell.array[None]
        found.append(crystal.polarization(crystal.displacements(atoms.positions[None], box, repeat), box, tensors)[0])
    np.testing.assert_allclose(found, [found[0]] * 3, atol=1e-12)
    # With respect to Pb, and each oxygen by hand: along its bond -5.83, across it -2.56, 0.002 e to make them neutral.
    height = 4.1995 * np.array([0, 0.5561 - 0.5943, 0.9785 - 1.0943, 0.4733 - 0.5943, 0.4733 - 0.5943])
    brute = np.dot([3.898, 7.058, -5.832, -2.562, -2.562], height) / (3.8741**2 * 4.1995) * 16.0217663
    np.testing.assert_allclose(found[0], [0, 0, brute], atol=1e-9)
    assert 0.8 < brute < 1.15  # 0.8 to 0.9 by Berry phases; charges of the cubic phase give more
    ideal = perovskite(3.9, 3.9)
    reference = 8 / 2 * (NOMINAL[:, 0] @ ideal.positions) @ np.linalg.inv(ideal.cell.array)
    atoms = cell.repeat(REPEAT)
    box = atoms.cell.array[None]
    charges = crystal.polarization(crystal.displacements(atoms.positions[None], box, REPEAT), box, NOMINAL)
    dipole = np.tile(NOMINAL[:, 0], 8) @ atoms.positions
    np.testing.assert_allclose(crystal.from_dipole(dipole[None], box, reference), charges, atol=1e-10)


def test_lindemann_ratio_of_thermal_noise():
    """√3 σ/(a/2), whatever the polarization, the origin and the cell."""
    rng = np.random.default_rng(0)
    atoms = crystal.tetragonal_start().repeat((8, 8, 8))
    box = atoms.cell.array[None] * [1.0, 1.02, 0.97]
    noise = atoms.get_scaled_positions(wrap=False) @ box[0] + rng.normal(0, 0.2, atoms.positions.shape) + [3.0, 0.0, 1.0]
    ratio = crystal.lindemann(crystal.displacements(noise[None], box, (8, 8, 8)), box)[0]
    assert ratio == pytest.approx(np.sqrt(3) * 0.2 * 2 / np.cbrt(np.linalg.det(box[0]) / 512), rel=0.02)


def series(**changes):
    rows = np.zeros((40, len(COLUMNS)))
    rows[:, 0], rows[:, 1] = np.arange(40), np.arange(40) / 10
    for name, value in ({"a_A": 3.9, "b_A": 3.9, "c_A": 4.2, "lindemann": 0.1} | changes).items():
        rows[:, COLUMNS.index(name)] = value
    return rows


def test_what_ends_a_run():
    assert trouble(series(), 0.3) is None and trouble(series()[:0], 0.3) is None
    assert trouble(series(dipole_Pz=np.nan), 0.3) is None  # of a potential without a dipole
    assert "melted by 3.90 ps: the Lindemann ratio is 0.40" in trouble(series(lindemann=0.4), 0.3)
    assert trouble(series(lindemann=[0.1] * 39 + [0.9]), 0.3) is None  # one frame does not decide
    assert "burst by 3.90 ps: the volume is 2.50" in trouble(series(c_A=np.linspace(4.0, 10.0, 40)), 0.3)
    assert "collapsed" in trouble(series(c_A=np.linspace(4.0, 1.0, 40)), 0.3)
    assert "not finite" in trouble(series(energy_eV=[0.0] * 39 + [np.nan]), 0.3)


def test_averages_take_the_longest_edge_for_c():
    noise = np.random.default_rng(1).normal(0, 0.01, 40)
    found = averages(series(a_A=4.1 + noise, c_A=3.9, Pz=[9.0] * 20 + [0.5] * 20), 0.5)
    assert found["c"] == pytest.approx(4.1 + noise[20:].mean()) and found["c/a"] == pytest.approx(found["c"] / 3.9)
    assert found["Pz"] == pytest.approx(0.5) and 0.001 < found["a_A_error"] < 0.01


def test_an_axis_that_turns_within_a_run_is_not_taken_for_a_cubic_crystal():
    """Along x, y and z for whole blocks of four records: the mean edges are nearly one, the blocks' and |P| are not."""
    place = np.repeat([0, 1, 2], [12, 8, 20])
    edges, polar = 3.9 + 0.2 * np.eye(3)[place], 0.7 * np.eye(3)[place] * np.repeat([1, -1, 1, -1], 10)[:, None]
    names = dict(zip(("a_A", "b_A", "c_A"), edges.T)) | dict(zip(("Px", "Py", "Pz"), polar.T))
    found = averages(series(**names), 0.0)
    assert found["c/a"] == pytest.approx(4.0 / 3.95) and abs(found["Pz"]) < 1e-12
    assert found["c/a_blocks"] == pytest.approx(4.1 / 3.9) and found["P"] == pytest.approx(0.7)
