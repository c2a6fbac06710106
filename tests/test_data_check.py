"""The data check finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from checked_frames import BOHR, found, lead_titanate
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from shared_data import needs_shared

from ferrojax.data import Frame, check_frames, read_frames, write_frames
from ferrojax.data.checks.contact import check_contacts
from ferrojax.data.checks.duplicates import find_duplicates
from ferrojax.data.checks.polar import check_polar
from ferrojax.data.checks.work import check_work
from ferrojax.data.command import run_check


@pytest.fixture
def pbtio3() -> list[Frame]:
    return lead_titanate()


def moved(frame: Frame, scale: float) -> Atoms:
    atoms = frame.atoms.copy()
    atoms.set_cell(atoms.cell * scale, scale_atoms=True)
    return atoms


def test_embedded_set_is_clean(pbtio3):
    report = check_frames(pbtio3)
    assert report.exit_code() == 0
    assert report.counts()["warning"] == 0
    assert report.overview[0]["labels"] == {
        "energy": 39,
        "forces": 39,
        "stress": 39,
        "dipole": 39,
        "born_charges": 0,
        "polarizability": 0,
    }
    assert json.loads(json.dumps(report.to_dict()))["counts"]["error"] == 0


def test_positions_in_bohr(pbtio3):
    errors = found(check_frames([replace(f, atoms=moved(f, 1 / BOHR)) for f in pbtio3]), "error")
    assert any("length unit" in e and "Bohr" in e for e in errors)


def test_positions_in_nm_are_a_flat_cell(pbtio3):
    errors = found(check_frames([replace(f, atoms=moved(f, 0.1)) for f in pbtio3]), "error")
    assert len(errors) == 1
    assert "flat" in errors[0] and "Å" in errors[0]


def test_sign_of_stress_without_energies(pbtio3):
    """At fixed cell and without energies the close contacts still tell the sign."""
    blind = [replace(f, energy=None) for f in pbtio3]
    assert any("positive in tension" in i for i in found(check_contacts(blind), "info"))
    errors = found(check_contacts([replace(f, stress=-f.stress) for f in blind]), "error")
    assert len(errors) == 1 and "swapped" in errors[0]


def test_invalid_frames_are_reported_and_skipped(pbtio3):
    frames = list(pbtio3)
    frames[3] = replace(frames[3], energy=np.nan)
    frames[4] = replace(frames[4], forces=frames[4].forces[:3])
    frames[5] = replace(frames[5], atoms=Atoms("Pb", cell=-4 * np.eye(3), pbc=True), forces=None, stress=None, dipole=None)
    report = check_frames(frames)
    errors = found(report, "error")
    assert len(errors) == 3
    assert any("frame 3" in e and "energy label is NaN" in e for e in errors)
    assert any("frame 4" in e and "shape (3, 3), not (5, 3)" in e for e in errors)
    assert any("frame 5" in e and "left-handed" in e for e in errors)
    assert report.exit_code() == 2


def test_net_force_and_outliers(pbtio3):
    frames = list(pbtio3)
    frames[0] = replace(frames[0], forces=frames[0].forces + 0.1)
    frames[1] = replace(frames[1], energy=frames[1].energy + 5.0)
    frames[2] = replace(frames[2], forces=frames[2].forces + np.outer([1, -1, 0, 0, 0], [50, 0, 0]))
    warnings = "\n".join(found(check_frames(frames), "warning"))
    assert "net force: pbtio3-v1.extxyz, frame 0" in warnings
    assert "energy outliers: pbtio3-v1.extxyz, frame 1" in warnings
    assert "force outliers: pbtio3-v1.extxyz, frame 2" in warnings


def test_mixed_energy_zeros(pbtio3):
    frames = [replace(f, energy=f.energy - 500.0 * (k % 2)) for k, f in enumerate(pbtio3)]
    assert any("mixes energy zeros" in e for e in found(check_frames(frames), "error"))


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(5)), wraps=st.lists(st.integers(-2, 2), min_size=15, max_size=15), which=st.integers(0, 38))
def test_duplicates_are_found_permuted_and_wrapped(order, wraps, which):
    frames = read_frames("pbtio3-v1")[:39]
    assert find_duplicates(frames) == []
    original = frames[which]
    atoms = original.atoms[list(order)]
    atoms.positions += np.reshape(wraps, (5, 3)) @ atoms.cell.array + 1e-5
    copy = replace(original, atoms=atoms, forces=original.forces[list(order)], source="copy")
    assert [(a.source, b.source) for a, b in find_duplicates([*frames, copy])] == [(original.source, "copy")]


def test_contradicting_duplicates_are_errors(pbtio3):
    same = replace(pbtio3[0], source="copy")
    other = replace(pbtio3[0], source="copy", energy=pbtio3[0].energy + 0.1)
    assert found(check_frames([*pbtio3, same]), "error") == []
    assert any("duplicates" in w for w in found(check_frames([*pbtio3, same]), "warning"))
    assert any("different labels" in e for e in found(check_frames([*pbtio3, other]), "error"))


def test_swapped_elements_are_no_duplicate(pbtio3):
    atoms = pbtio3[0].atoms.copy()
    atoms.symbols[:2] = ["Ti", "Pb"]
    assert find_duplicates([pbtio3[0], replace(pbtio3[0], atoms=atoms)]) == []


def test_few_frames_and_few_labels(pbtio3):
    assert found(check_frames([]), "error") == ["frames: data: zero frames; give a file that holds at least one usable structure"]
    assert check_frames(pbtio3[:1]).exit_code() == check_frames(pbtio3[:2]).exit_code() == 0
    for absent in ("energy", "forces", "stress", "dipole"):
        report = check_frames([replace(f, **{absent: None}) for f in pbtio3])
        assert report.counts()["error"] == report.counts()["warning"] == 0
    nothing = [replace(f, energy=None, forces=None, stress=None, dipole=None) for f in pbtio3]
    assert any("no label" in e for e in found(check_frames(nothing), "error"))
    half = [replace(f, dipole=f.dipole if k % 2 else None) for k, f in enumerate(pbtio3)]
    assert any("of 39 frames have dipole 19" in i for i in found(check_frames(half), "info"))


def test_command(tmp_path, pbtio3):
    write_frames(tmp_path / "good.extxyz", pbtio3)
    write_frames(tmp_path / "bad.extxyz", [replace(f, stress=-f.stress) for f in pbtio3])
    console = Console(record=True, width=600, file=io.StringIO())
    good, bad = str(tmp_path / "good.extxyz"), str(tmp_path / "bad.extxyz")
    assert run_check([good], str(tmp_path / "r.json"), console=console) == 0
    assert json.loads((tmp_path / "r.json").read_text())["exit_code"] == 0
    assert run_check([bad], str(tmp_path / "r.json"), console=console) == 2
    report = json.loads((tmp_path / "r.json").read_text())
    assert {f["check"] for f in report["findings"] if f["severity"] == "error"} == {"work of stress", "sign of stress"}
    assert run_check([str(tmp_path / "none.xyz"), good], console=console) == 2
    text = console.export_text()
    assert "sign of the virial is swapped" in text and "no such file" in text and "0 errors, 0 warnings" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.extxyz", "good.extxyz", "r.json"]


def test_command_goes_on_after_a_bad_frame(tmp_path, pbtio3):
    path = tmp_path / "a.extxyz"
    write_frames(path, pbtio3)
    path.write_text(path.read_text().replace(f"energy={pbtio3[7].energy!r}", "energy=nan"))
    console = Console(record=True, width=600, file=io.StringIO())
    assert run_check([str(path)], console=console) == 2
    assert "a.extxyz, frame 7" in console.export_text()


@pytest.mark.shared
def test_batio3_response():
    frames = read_frames(needs_shared("batio3-response") / "BaTiO3.xyz")
    report = check_frames(frames)
    assert report.counts()["error"] == report.counts()["warning"] == 0
    # One fixed cell: only the close contacts can tell the sign of the stress.
    flipped = check_frames([replace(f, stress=-f.stress) for f in frames])
    assert [e.split(":")[0] for e in found(flipped, "error")] == ["sign of stress"]
    transposed = [replace(f, dipole=f.dipole / f.atoms.get_volume()) for f in frames]
    assert any("e/Å²" in e for e in found(check_polar(transposed), "error"))


@pytest.mark.shared
def test_unipero_titanates():
    frames = read_frames(needs_shared("unipero-pbesol"), elements=["Pb", "Sr", "Ti", "O"])
    right = {f.check: f for f in check_work(frames)}
    assert right["work of stress"].severity == right["work of forces"].severity == "info"
    assert right["work of stress"].values["slope"] == pytest.approx(1.0, abs=0.05)
    flipped = [replace(f, stress=-f.stress) for f in frames]
    assert any("virial is swapped" in e for e in found(check_work(flipped), "error"))
    assert any("swapped" in e for e in found(check_contacts(flipped), "error"))
