"""The data check finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from shared_data import needs_shared

from ferrojax.data import Frame, Report, check_frames, read_frames, write_frames
from ferrojax.data.checks.contact import check_contacts
from ferrojax.data.checks.duplicates import find_duplicates
from ferrojax.data.checks.pairs import near_pairs
from ferrojax.data.checks.polar import check_polar, fit_effective_charges
from ferrojax.data.checks.work import check_work, fit_slopes
from ferrojax.data.command import run_check
from ferrojax.units import COULOMB, GPA

BOHR, HARTREE = 0.529177, 27.2114


@pytest.fixture(scope="module")
def pbtio3() -> list[Frame]:
    return read_frames("pbtio3-v1")[:39]  # of five atoms; enough, and quick


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


def moved(frame: Frame, scale: float) -> Atoms:
    atoms = frame.atoms.copy()
    atoms.set_cell(atoms.cell * scale, scale_atoms=True)
    return atoms


def found(report: Report | list, severity: str) -> list[str]:
    findings = report.findings if isinstance(report, Report) else report
    return [f"{f.check}: {f.source}: {f.sentence}; {f.remedy}" for f in findings if f.severity == severity]


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


def test_positions_in_bohr(pbtio3):
    errors = found(check_frames([replace(f, atoms=moved(f, 1 / BOHR)) for f in pbtio3]), "error")
    assert any("length unit" in e and "Bohr" in e for e in errors)


def test_positions_in_nm_are_a_flat_cell(pbtio3):
    errors = found(check_frames([replace(f, atoms=moved(f, 0.1)) for f in pbtio3]), "error")
    assert len(errors) == 1
    assert "flat" in errors[0] and "Å" in errors[0]


def test_all_energies_in_hartree_show_in_the_stiffness(pbtio3):
    frames = [replace(f, energy=f.energy / HARTREE, forces=f.forces / HARTREE, stress=f.stress / HARTREE) for f in pbtio3]
    report = check_work(frames)
    assert found(report, "error") == []
    assert any("stiffness" in w and "Hartree" in w for w in found(report, "warning"))


def test_sign_of_stress_without_energies(pbtio3):
    """At fixed cell and without energies the close contacts still tell the sign."""
    blind = [replace(f, energy=None) for f in pbtio3]
    assert any("positive in tension" in i for i in found(check_contacts(blind), "info"))
    errors = found(check_contacts([replace(f, stress=-f.stress) for f in blind]), "error")
    assert len(errors) == 1 and "swapped" in errors[0]


def test_one_swapped_file_is_named(copper):
    """Two more files of the same crystal, one with the sign of its stress swapped."""
    frames = [
        replace(f, source=f.source.replace("cu", name), stress=sign * f.stress)
        for name, sign in (("one", 1), ("two", 1), ("three", -1))
        for f in copper
    ]
    errors = found(check_work(frames), "error")
    assert [e.split(": ")[1] for e in errors] == ["three.xyz"]


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
