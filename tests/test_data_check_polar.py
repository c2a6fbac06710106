"""Dipoles, Born charges and polarizabilities against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from checked_frames import found, lead_titanate

from ferrojax.data import Frame, read_frames
from ferrojax.data.checks.pairs import near_pairs
from ferrojax.data.checks.polar import check_polar, fit_effective_charges
from ferrojax.units import COULOMB


@pytest.fixture
def pbtio3() -> list[Frame]:
    return lead_titanate()


def test_effective_charges_from_dipoles(pbtio3):
    """Published PBEsol Born charges (Pb 3.9, Ti 7.0, O -5.5/-2.6, mean -3.6) lie near the fitted ones; nothing else is told."""
    pairs = near_pairs(pbtio3)
    assert pairs is not None
    charges, misfit = fit_effective_charges(pairs)
    assert misfit < 0.15
    assert charges[82] == pytest.approx(3.9, abs=0.5)
    assert charges[22] == pytest.approx(7.0, abs=0.8)
    assert charges[82] + charges[22] + 3 * charges[8] == pytest.approx(0.0, abs=1e-9)


def test_charges_of_near_frames_tell_of_far_ones():
    """Ten atoms 0.35 Å apart: charges fitted to them alone do not settle. Those of single cells do, and random dipoles stay random."""
    everything = read_frames("pbtio3-v1")
    far = [frame for frame in everything if frame.system == "PbTiO3 cubic, 10 atoms, molecular dynamics"]
    assert any("random" in message for message in found(check_polar(far), "warning"))
    together = everything[:39] + far
    assert {finding.severity for finding in check_polar(together)} == {"info"}
    rng = np.random.default_rng(0)
    spoiled = [replace(frame, dipole=rng.uniform(0, 1, 3) @ frame.atoms.cell.array) for frame in far]
    assert any("random" in message for message in found(check_polar(everything[:39] + spoiled), "warning"))


def test_effective_charges_of_point_charges(pbtio3):
    """Dipoles of known point charges, wrapped by random lattice vectors, give the charges back."""
    rng = np.random.default_rng(1)
    exact = {82: 2.0, 22: 4.0, 8: -2.0}
    frames = []
    for f in pbtio3:
        moment = np.array([exact[z] for z in f.atoms.numbers]) @ f.atoms.positions + rng.integers(-3, 4, 3) @ f.atoms.cell.array
        frames.append(replace(f, dipole=moment))
    pairs = near_pairs(frames)
    assert pairs is not None
    charges, misfit = fit_effective_charges(pairs)
    assert misfit < 1e-6
    assert charges == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(
    ("factor", "severity", "message"),
    [(-1.0, "error", "sign is swapped"), (4.80320, "warning", "random"), (1 / 64, "warning", "too small")],
)
def test_wrong_dipoles(pbtio3, factor, severity, message):
    findings = found(check_polar([replace(f, dipole=factor * f.dipole) for f in pbtio3]), severity)
    assert len(findings) == 1 and message in findings[0]


def labelled(pbtio3, scale=1.0, polarizability=None) -> list[Frame]:
    """Frames with the Born charges of a point-charge model and its exact dipoles."""
    charges = {82: 2.0, 22: 4.0, 8: -2.0}
    frames = []
    for f in pbtio3:
        q = np.array([charges[z] for z in f.atoms.numbers])
        frames.append(
            replace(f, dipole=scale * (q @ f.atoms.positions), born_charges=q[:, None, None] * np.eye(3), polarizability=polarizability)
        )
    return frames


def test_dipoles_against_born_charges(pbtio3):
    assert any("consistent modulo" in i for i in found(check_polar(labelled(pbtio3)), "info"))
    for scale, unit in ((-1.0, "sign swapped"), (4.80320, "Debye"), (16.02176634 / 64.0, "C/m²")):
        frames = labelled(pbtio3, scale)
        if "C" in unit:
            frames = [replace(f, dipole=f.dipole * 64.0 / f.atoms.get_volume()) for f in frames]
        errors = found(check_polar(frames), "error")
        assert len(errors) == 1 and unit in errors[0]


def test_born_sum_rule_and_polarizability(pbtio3):
    good = np.diag([1.2, 1.2, 1.3])
    assert found(check_polar(labelled(pbtio3, polarizability=good)), "warning") == []
    broken = [replace(f, born_charges=f.born_charges + 0.2) for f in labelled(pbtio3)]
    assert any("acoustic sum rule" in w for w in found(check_polar(broken), "warning"))
    skew = labelled(pbtio3, polarizability=good + 0.5 * np.eye(3, k=1))
    assert any("not symmetric" in w for w in found(check_polar(skew), "warning"))
    assert any("not positive" in e for e in found(check_polar(labelled(pbtio3, polarizability=-good)), "error"))
    assert any("eps_inf" in e and "Å³" in e for e in found(check_polar(labelled(pbtio3, polarizability=COULOMB * good)), "error"))
