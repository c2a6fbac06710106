"""What leaves a queue: levels of theory kept apart, force constants, frames of the package."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Rydberg
from engine_outputs import DYNAMICAL, PHONON, PWSCF
from labelling_teacher import crystals

from ferrojax import cli
from ferrojax.data import read_frames
from ferrojax.errors import FerrojaxError
from ferrojax.labelling import Queue, export, make_engine

SCRIPTS = Path(__file__).resolve().parent.parent / "experiments" / "dft-labels"
FIRST = ("energy", "forces", "stress")
LENNARD_JONES, MOODY = (make_engine(f"ase:labelling_teacher:{name}") for name in ("lennard_jones", "moody"))


def labelled(path, *engines, first=0):
    """A queue with two structures labelled by each engine, every engine its own."""
    queue = Queue(path)
    for k, engine in enumerate(engines):
        queue.add(crystals(first + 2 * k + 2)[first + 2 * k :], engine, FIRST)
    queue.run()
    return queue


def test_levels_of_theory_are_not_merged_and_one_can_be_chosen(tmp_path, capsys):
    queue = labelled(tmp_path / "labels.db", LENNARD_JONES, MOODY)
    names, output = [LENNARD_JONES.dataset, MOODY.dataset], tmp_path / "out.extxyz"
    assert queue.datasets() == dict.fromkeys(sorted(names), 2)
    arguments = ["label", "export", "--queue", str(queue.path), "--out", str(output)]
    assert cli.main([*arguments, "--dataset", "mine"]) == 2
    assert "no common energy zero; take one by --only, or leave out --dataset" in capsys.readouterr().err
    assert cli.main(arguments) == 0
    assert [frame.dataset for frame in read_frames(output)] == [names[0], names[0], names[1], names[1]]
    assert cli.main([*arguments, "--only", names[1], "--dataset", "mine"]) == 0
    assert [frame.dataset for frame in read_frames(output)] == ["mine", "mine"]
    made = json.loads(output.with_suffix(".json").read_text())
    assert [(entry["frame"], entry["dataset"], entry["engine"]) for entry in made] == [(k, "mine", MOODY.name) for k in (0, 1)]
    assert cli.main([*arguments, "--only", "gpaw"]) == 2
    assert f"no finished labels of gpaw; choose from {', '.join(sorted(names))}." in capsys.readouterr().err
    assert cli.main(["label", "status", "--queue", str(queue.path)]) == 0
    assert f"{sorted(names)[0]} (2)" in " ".join(capsys.readouterr().out.split())


def test_force_constants_come_out_beside_the_frames(tmp_path, monkeypatch):
    """By programs that only print what the real ones printed."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("pw.txt", PWSCF), ("ph.txt", PHONON), ("dyn.txt", DYNAMICAL), ("standard-Mg.upf", ""), ("standard-O.upf", "")):
        (tmp_path / name).write_text(text)
    (programs / "pw.x").write_text(f"#!/bin/sh\ncat {tmp_path}/pw.txt\n")
    (programs / "ph.x").write_text(f"#!/bin/sh\ncp {tmp_path}/dyn.txt ferrojax.dyn\ncat {tmp_path}/ph.txt\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FERROJAX_PSEUDO", str(tmp_path))
    queue, engine = Queue(tmp_path / "labels.db"), make_engine("espresso")
    atoms = Atoms("MgO", positions=[(0, 0, 0), (2, 2, 2.1)], cell=(4, 4, 4), pbc=True)
    queue.add([atoms], engine, ("energy", "forces", "born_charges", "force_constants"))
    queue.add([atoms], engine, ("energy", "forces"))
    assert queue.run() == {"done": 2, "failed": 0}, queue.failures()
    assert export(queue, tmp_path / "labels.extxyz") == 2
    with_phonons, without = json.loads((tmp_path / "labels.json").read_text())
    constants = np.array(with_phonons["force_constants"])
    assert constants.shape == (6, 6) and "force_constants" not in without
    assert constants[1, 5] == pytest.approx(-0.24 * Rydberg / Bohr**2)
    assert np.array_equal(constants, queue.labelled()[0][1]["force_constants"])
    first, second = read_frames(tmp_path / "labels.extxyz")
    assert first.born_charges is not None and second.born_charges is None and first.energy == second.energy


@pytest.fixture
def assemble(tmp_path, monkeypatch):
    """The script, for data sets below a temporary folder."""
    monkeypatch.syspath_prepend(SCRIPTS)
    import assemble

    monkeypatch.setattr(assemble, "DATA", tmp_path)
    return assemble


def test_a_data_set_of_the_package_has_one_level_of_theory(tmp_path, assemble):
    first = labelled(tmp_path / "first.db", LENNARD_JONES)
    more = labelled(tmp_path / "more.db", LENNARD_JONES, first=4)
    other = labelled(tmp_path / "other.db", MOODY, first=6)
    file, record = tmp_path / "pbtio3-x" / "pbtio3-x.extxyz", tmp_path / "pbtio3-x" / "provenance.json"
    with pytest.raises(FerrojaxError, match="other.db, job 1: it is of ase:.*moody .*, the labels of pbtio3-x are of ase:.*lennard_jones"):
        assemble.main("pbtio3-x", str(first.path), str(other.path))
    assert not file.exists()
    assemble.main("pbtio3-x", str(first.path))
    before = record.read_text()
    with pytest.raises(FerrojaxError, match="put it into another data set"):
        assemble.main("pbtio3-x", str(other.path))
    assert record.read_text() == before and len(read_frames(file)) == 2
    assemble.main("pbtio3-x", str(first.path), str(more.path))
    made = json.loads(record.read_text())
    assert [frame.dataset for frame in read_frames(file)] == ["pbtio3-x"] * 4 and list(made["settings"]) == [LENNARD_JONES.settings_hash]
    assert [entry["frame"] for entry in made["frames"]] == [0, 1, 2, 3]
    assert all(entry["wall_seconds"] >= 0 and entry["engine"] == LENNARD_JONES.name for entry in made["frames"])
