"""Constants and the numbers that follow from them, against CODATA and textbook values."""

from __future__ import annotations

import math

import ase.units
import pytest

from ferrojax import units


def test_derived_constants_agree_with_each_other():
    assert pytest.approx(1 / (4 * math.pi * units.COULOMB), rel=1e-15) == units.EPSILON_0
    assert 1 / (2 * units.EPSILON_0) == pytest.approx(90.4756, rel=1e-6)


def test_ase_agrees():
    assert pytest.approx(ase.units.kB, rel=1e-6) == units.BOLTZMANN
    assert pytest.approx(ase.units.GPa, rel=1e-6) == units.GPA
    assert pytest.approx(ase.units.fs, rel=1e-6) == units.FEMTOSECOND
    assert ase.units.Hartree * ase.units.Bohr == pytest.approx(units.COULOMB, rel=1e-6)


def test_vibration_of_one_amu_on_one_ev_per_square_angstrom():
    terahertz = 1 / (2 * math.pi) * units.FEMTOSECOND * 1e3  # cycles per ps
    assert terahertz == pytest.approx(15.633302, rel=1e-6)


def test_one_charge_per_cell_face_of_four_angstrom():
    assert units.E_PER_A2 / 4.0**2 == pytest.approx(1.00136, rel=1e-5)
