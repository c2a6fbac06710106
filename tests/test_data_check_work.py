"""Work against energy differences: signs and units of energies, forces and stresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from checked_frames import BOHR, HARTREE, found, lead_titanate

from ferrojax.data import Frame, read_frames
from ferrojax.data.checks.pairs import near_pairs
from ferrojax.data.checks.work import check_work, fit_slopes
from ferrojax.units import GPA


@pytest.fixture
def pbtio3() -> list[Frame]:
    return lead_titanate()


@pytest.fixture(scope="module")
def copper() -> list[Frame]:
    """Exact derivatives of another code: ASE's EMT potential, rattled and strained copper."""
    rng = np.random.default_rng(0)
    frames = []
    for k in range(12):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.001, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.005, (4, 3))
        atoms.calc = EMT()
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
        atoms.calc = None
        frames.append(Frame(atoms, energy, forces, stress, dataset="emt", source=f"cu.xyz, frame {k}"))
    return frames


def test_slopes_of_exact_derivatives_are_one(copper):
    slopes = fit_slopes(copper)
    assert slopes is not None
    np.testing.assert_allclose(slopes.value, 1.0, atol=0.01)


SPOILERS: list[tuple[str, Callable[[Frame], Frame], str]] = [
    ("swapped virial", lambda f: replace(f, stress=-f.stress), "work of stress.*sign of the virial is swapped"),
    ("GPa", lambda f: replace(f, stress=f.stress / GPA), "the stress is in GPa"),
    ("kbar, pressure", lambda f: replace(f, stress=-10 * f.stress / GPA), "pressure in kbar"),
    ("virial", lambda f: replace(f, stress=-f.stress * f.atoms.get_volume()), "virial in eV; use stress = -virial/V"),
    ("gradients", lambda f: replace(f, forces=-f.forces), "work of forces.*gradients"),
    ("atomic forces", lambda f: replace(f, forces=f.forces * BOHR / HARTREE), "forces are in Hartree/Bohr"),
    ("energy in Hartree", lambda f: replace(f, energy=f.energy / HARTREE), "energy is in Hartree"),
    ("energy in kJ/mol", lambda f: replace(f, energy=f.energy * 96.485), "energy is in kJ/mol"),
    ("energy per atom", lambda f: replace(f, energy=f.energy / len(f.atoms)), "energy is per atom"),
]


def test_frames_far_apart_are_not_accused():
    """Chosen to differ, hot frames lie 0.3 Å apart: forces that bend on the way are no wrong unit, and a wrong sign is still one."""
    hot = [frame for frame in read_frames("pbtio3-v1") if frame.system == "PbTiO3 tetragonal, 5 atoms, molecular dynamics"]
    assert np.median(near_pairs(hot).distance) > 0.25
    assert {finding.severity for finding in check_work(hot)} == {"info"}
    swapped = [replace(frame, forces=-frame.forces) for frame in hot]
    assert any("the forces are gradients" in message for message in found(check_work(swapped), "error"))


def test_an_error_that_all_files_share_is_not_averaged_away(copper):
    """Quartic wells, exactly, with frames far apart: the trapezoidal rule errs the same way in each of 24 files."""
    rng, site = np.random.default_rng(1), copper[0].atoms
    frames = []
    for k in range(192):
        shift, atoms = rng.normal(0, 0.15, (4, 3)), site.copy()
        atoms.positions += shift
        energy, forces = 20.0 * (shift**4).sum(), -80.0 * shift**3
        frames.append(Frame(atoms, energy, forces, dataset="quartic", source=f"file {k % 24}.xyz, frame {k}"))
    assert np.median([fit_slopes(frames[n::24]).value[0] for n in range(24)]) < 0.75
    assert [finding.severity for finding in check_work(frames)] == ["info"]
    swapped = [replace(frame, forces=-frame.forces) for frame in frames]
    assert any("the forces are gradients" in message for message in found(check_work(swapped), "error"))


@pytest.mark.parametrize(("name", "spoil", "message"), SPOILERS, ids=[s[0] for s in SPOILERS])
@pytest.mark.parametrize("data", ["pbtio3", "copper"])
def test_wrong_signs_and_units_are_named(name, spoil, message, data, request):
    frames = request.getfixturevalue(data)
    assert found(check_work(frames), "error") == []
    errors = found(check_work([spoil(frame) for frame in frames]), "error")
    assert len(errors) == 1
    assert re.search(message, errors[0]), errors


def test_all_energies_in_hartree_show_in_the_stiffness(pbtio3):
    frames = [replace(f, energy=f.energy / HARTREE, forces=f.forces / HARTREE, stress=f.stress / HARTREE) for f in pbtio3]
    report = check_work(frames)
    assert found(report, "error") == []
    assert any("stiffness" in w and "Hartree" in w for w in found(report, "warning"))


def test_one_swapped_file_is_named(copper):
    """Two more files of the same crystal, one with the sign of its stress swapped."""
    frames = [
        replace(f, source=f.source.replace("cu", name), stress=sign * f.stress)
        for name, sign in (("one", 1), ("two", 1), ("three", -1))
        for f in copper
    ]
    errors = found(check_work(frames), "error")
    assert [e.split(": ")[1] for e in errors] == ["three.xyz"]
