"""The queue: jobs added once, done once, recorded or failed, never lost; workers that die, stop or are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ase.db import connect
from ase.io import write
from labelling_teacher import crystals, lennard_jones
from processes import gone

from ferrojax import cli
from ferrojax.data import read_frames
from ferrojax.errors import FerrojaxError
from ferrojax.labelling import Label, Queue, export, job_queue, make_engine
from ferrojax.labelling.claims import STALE, Worker, is_dead
from ferrojax.labelling.engines.base import Program
from ferrojax.labelling.engines.teacher import AseTeacher

WORKER = Path(__file__).with_name("labelling_worker.py")
FIRST = ("energy", "forces", "stress")
ENGINE = "ase:labelling_teacher:lennard_jones"


def filled(path, count=4, engine=ENGINE, **settings):
    queue = Queue(path)
    queue.add(crystals(count), make_engine(engine, settings), FIRST)
    return queue


def test_a_job_is_added_once(tmp_path):
    queue = Queue(tmp_path / "labels.db")
    (atoms,), engine = crystals(1), make_engine(ENGINE)
    assert queue.add([atoms, atoms.copy()], engine, FIRST) == 1
    close, other = atoms.copy(), atoms.copy()
    close.positions[1, 2] += 1e-8
    other.positions[1, 2] += 1e-5
    assert queue.add([close], engine, FIRST) == 0
    assert queue.add([other], engine, FIRST) == 1
    assert queue.add([atoms], engine, ("energy",)) == 1
    assert queue.add([atoms], make_engine("ase:labelling_teacher:moody"), FIRST) == 1
    assert queue.counts() == {"pending": 4, "running": 0, "done": 0, "failed": 0}


def test_labels_are_those_of_the_calculator_and_survive_export(tmp_path):
    queue = filled(tmp_path / "labels.db")
    assert queue.run(workers=2) == {"done": 4, "failed": 0}
    (tmp_path / "out").mkdir()
    assert export(queue, tmp_path / "out" / "labels.extxyz") == 4
    frames, stored = queue.frames(), read_frames(tmp_path / "out" / "labels.extxyz")
    for atoms, frame, again in zip(crystals(4), frames, stored):
        atoms.calc = lennard_jones()
        assert np.array_equal(frame.atoms.positions, atoms.positions) and np.array_equal(frame.atoms.cell, atoms.cell)
        assert frame.energy == atoms.get_potential_energy() == again.energy
        assert np.array_equal(frame.forces, atoms.get_forces()) and np.array_equal(again.forces, frame.forces)
        assert np.array_equal(frame.stress, atoms.get_stress(voigt=False)) and np.array_equal(again.stress, frame.stress)
        assert frame.dipole is None and frame.dataset.startswith("teacher-") and again.dataset == frame.dataset
    made = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert [entry["frame"] for entry in made] == [0, 1, 2, 3]
    names = {"engine", "version", "settings", "settings_hash", "converged", "iterations", "wall_seconds", "host", "date", "key"}
    assert names <= set(made[0])
    assert not queue.scratch.exists() or not list(queue.scratch.iterdir())


def test_ase_reads_the_queue(tmp_path):
    filled(tmp_path / "labels.db").run()
    rows = list(connect(tmp_path / "labels.db").select(state="done"))
    assert len(rows) == 4 and rows[0].energy == Queue(tmp_path / "labels.db").frames()[0].energy


def test_a_failure_is_recorded_never_exported_and_tried_again(tmp_path):
    queue = Queue(tmp_path / "labels.db")
    structures = crystals(3)
    structures[1].positions += 2.0
    queue.add(structures, make_engine("ase:labelling_teacher:moody"), FIRST)
    assert queue.run() == {"done": 2, "failed": 1}
    (failure,) = queue.failures()
    assert "too far out" in failure["error"] and failure["converged"] is False
    assert len(queue.frames()) == 2 and queue.run() == {"done": 0, "failed": 0}
    assert queue.retry() == 1 and queue.counts()["pending"] == 1
    assert queue.run() == {"done": 0, "failed": 1}


def test_an_unconverged_or_incomplete_label_is_a_failure(tmp_path, monkeypatch):
    engine = make_engine(ENGINE)
    values = {"energy": 1.0, "forces": np.zeros((5, 3)), "stress": np.zeros((3, 3))}
    unconverged, incomplete = Label(values, "1", converged=False, iterations=99), Label({"energy": 1.0}, "1")
    labels = iter([unconverged, incomplete, Label({**values, "energy": np.nan}, "1")])
    monkeypatch.setattr(AseTeacher, "label", Program.label)
    monkeypatch.setattr(AseTeacher, "bulky", Program.bulky, raising=False)
    monkeypatch.setattr(AseTeacher, "prepare", lambda self, job, folder: [], raising=False)
    monkeypatch.setattr(AseTeacher, "read", lambda self, job, folder: next(labels), raising=False)
    queue = Queue(tmp_path / "labels.db")
    queue.add(crystals(3), engine, FIRST)
    assert queue.run() == {"done": 0, "failed": 3}
    reasons = [failure["error"] for failure in queue.failures()]
    assert "not converged after 99" in reasons[0] and "no forces, stress" in reasons[1] and "NaN" in reasons[2]
    with pytest.raises(FerrojaxError, match="no job is finished"):
        export(queue, tmp_path / "labels.extxyz")
    assert not (tmp_path / "labels.extxyz").exists()


def test_priority_limit_and_order(tmp_path):
    queue = filled(tmp_path / "labels.db", 3)
    queue.add(crystals(4)[3:], make_engine(ENGINE), FIRST, priority=5)
    assert queue.run(limit=1) == {"done": 1, "failed": 0}
    assert queue.frames()[0].atoms.positions[0, 0] == pytest.approx(0.003)
    assert queue.run(minutes=0.0) == {"done": 0, "failed": 0} and queue.counts()["pending"] == 3


def test_claims_of_the_dead_are_taken_over(tmp_path, monkeypatch):
    ended = subprocess.Popen(["true"])
    ended.wait()
    here, mine = Worker.here(), Worker.here()
    dead = Worker("dead", here.host, ended.pid)
    elsewhere = Worker("elsewhere", "another-host", 1)
    now = time.time()
    assert is_dead(dead.host, dead.pid, now, here.host) and not is_dead(here.host, here.pid, now, here.host)
    assert not is_dead("another-host", dead.pid, now, here.host) and is_dead("another-host", dead.pid, now - STALE - 1, here.host)
    queue = filled(tmp_path / "labels.db", 2)
    first, second = queue.take(dead), queue.take(elsewhere)
    assert queue.counts()["running"] == 2 and first.id != second.id
    again = queue.take(mine)
    assert again.id == first.id and queue.take(here) is None
    # The dead man's label, should he be only asleep, is not taken.
    label = Label({"energy": 0.0, "forces": np.zeros((5, 3)), "stress": np.zeros((3, 3))}, "1")
    assert not queue.finish(first, label, {}) and not queue.fail(first, "x", {})
    queue.release(first)
    assert queue.counts()["running"] == 2
    monkeypatch.setattr("ferrojax.labelling.claims.STALE", -1.0)  # nobody's heart beats fast enough
    assert queue.take(here).id == again.id


def test_a_job_that_kills_its_workers_is_given_up(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    queue = filled(tmp_path / "labels.db", 1)
    for attempt in range(job_queue.MAX_ATTEMPTS):
        assert queue.take(Worker(f"dead {attempt}", Worker.here().host, ended.pid)) is not None
    assert queue.take(Worker.here()) is None
    (failure,) = queue.failures()
    assert "3 workers died" in failure["error"] and len(failure["key"]) == 64


def worker(path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(WORKER.parent), str(WORKER.parent.parent)]), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen([sys.executable, str(WORKER), str(path)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finished(queue):
    return {made["key"]: (frame.energy, made["date"], made["wall_seconds"]) for frame, made in queue.labelled()}


def lines(journal):
    return Counter(line.split()[1] for line in journal.read_text().splitlines()) if journal.exists() else Counter()


def test_two_workers_share_a_queue_and_one_is_killed(tmp_path):
    journal, count = tmp_path / "journal", 40
    queue = filled(tmp_path / "labels.db", count, "ase:labelling_teacher:journal", arguments={"file": str(journal), "seconds": 0.1})
    workers = [worker(queue.path), worker(queue.path)]
    for each in workers:
        assert each.stdout.readline() == b"ready\n"
    while len({line.split()[0] for line in journal.read_text().splitlines()} if journal.exists() else ()) < 2 or not finished(queue):
        time.sleep(0.02)  # both are at work and a label is there to be lost
    workers[0].kill()
    workers[0].wait()
    before = finished(queue)
    assert workers[1].wait(120) == 0, workers[1].stdout.read().decode()
    assert queue.counts() == {"pending": 0, "running": 0, "done": count, "failed": 0}
    after = finished(queue)
    assert before and before.items() <= after.items() and len(after) == count
    done = lines(journal)
    assert len(done) == count and sum(done.values()) <= count + 1  # only what the killed one was at may be there twice


@pytest.mark.slow
def test_no_label_is_made_twice_or_lost(tmp_path, claim):
    """Two workers without accident; then pairs of workers that are killed at random moments until all is done."""
    journal, count = tmp_path / "calm", 200
    queue = filled(tmp_path / "calm.db", count, "ase:labelling_teacher:journal", arguments={"file": str(journal), "seconds": 0.01})
    assert [each.wait() for each in [worker(queue.path), worker(queue.path)]] == [0, 0]
    twice = sum(lines(journal).values()) - count
    rng, kills, lost, count = np.random.default_rng(0), 0, 0, 120
    journal = tmp_path / "rough"
    queue = filled(tmp_path / "rough.db", count, "ase:labelling_teacher:journal", arguments={"file": str(journal), "seconds": 0.02})
    known: dict = {}
    while queue.counts()["done"] < count:
        pair = [worker(queue.path), worker(queue.path)]
        for each in pair:
            each.stdout.readline()
        time.sleep(float(rng.uniform(0.1, 0.6)))
        for each in pair:
            each.kill()
            each.wait()
            kills += 1
        found = finished(queue)
        lost += len(known.items() - found.items())
        known = found
        queue.retry()  # a job over which three workers died, as some do here, is given up otherwise
        assert kills < 200
    assert kills > 10 and queue.counts() == {"pending": 0, "running": 0, "done": count, "failed": 0}
    assert sum(lines(journal).values()) - count <= kills
    claim("E-queue-twice-lost", twice + lost)


def test_sigterm_hands_the_job_back(tmp_path):
    queue = filled(tmp_path / "labels.db", 2, "gpaw")
    # A GPAW that never ends, and that leaves a child of its own.
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {tmp_path}/child\nwait\n")
    python.chmod(0o755)
    environment = {**os.environ, "FERROJAX_DFT_PYTHON": str(python), "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(WORKER.parent.parent)}
    process = subprocess.Popen([sys.executable, str(WORKER), str(queue.path)], env=environment, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int((tmp_path / "child").read_text())
    assert queue.counts()["running"] == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert queue.counts() == {"pending": 2, "running": 0, "done": 0, "failed": 0}
    assert gone(child)


def test_the_command_line_from_structures_to_labels(tmp_path, capsys):
    write(tmp_path / "pool.extxyz", crystals(3))
    queue, output = str(tmp_path / "labels.db"), str(tmp_path / "labels.extxyz")
    assert cli.main(["label", "status", "--queue", queue]) == 2
    assert "no such queue" in capsys.readouterr().err
    assert cli.main(["label", "add", str(tmp_path / "pool.extxyz"), "--queue", queue, "--engine", ENGINE, "--properties", *FIRST]) == 0
    assert "3 jobs added" in capsys.readouterr().out
    assert cli.main(["label", "run", "--queue", queue]) == 0
    assert "3 done, 0 failed" in capsys.readouterr().out
    assert cli.main(["label", "export", "--queue", queue, "--out", output, "--dataset", "mine"]) == 0
    assert [frame.dataset for frame in read_frames(output)] == ["mine"] * 3
    assert cli.main(["label", "status", "--queue", queue]) == 0 and cli.main(["label", "retry", "--queue", queue]) == 0


def test_explored_structures_are_grouped_by_their_origin(tmp_path):
    pool = crystals(2)
    pool[0].info = {"origin": "dynamics"}
    pool[1].info = {"origin": "dynamics", "system": "mine"}
    queue = Queue(tmp_path / "labels.db")
    queue.add(pool, make_engine(ENGINE), FIRST)
    queue.run()
    assert [frame.system for frame in queue.frames()] == ["dynamics", "mine"]


def test_what_is_labelled_elsewhere_is_left_out(tmp_path, capsys):
    """Also with its atoms in another order and moved by lattice vectors; a duplicate within the pool is the queue's business."""
    queue = filled(tmp_path / "labels.db", 2)
    queue.run()
    export(queue, tmp_path / "labels.extxyz")
    pool = crystals(3)
    pool[0] = pool[0][::-1]
    pool[1].positions += pool[1].cell.array.sum(axis=0)
    write(tmp_path / "pool.extxyz", pool)
    rest = Queue(tmp_path / "rest.db")
    arguments = ["--engine", ENGINE, "--properties", *FIRST, "--labelled", str(tmp_path / "labels.extxyz")]
    assert cli.main(["label", "add", str(tmp_path / "pool.extxyz"), "--queue", str(rest.path), *arguments]) == 0
    assert "1 jobs added, 2 have labels" in capsys.readouterr().out
    assert rest.counts()["pending"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "vosp"], "'vosp' is not known"),
        (["--engine", "gpaw", "--properties", "born_charges"], "gpaw gives no born_charges"),
        (["--engine", "gpaw", "--properties", "charm"], "'charm' is not known"),
        (["--engine", "model:nowhere"], "nowhere: no model"),
        (["--engine", ENGINE, "--queue", "labels.sqlite"], "ends in .db"),
        (["--engine", "gpaw", "--settings", "bad.yaml"], "cutof"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    write("pool.extxyz", crystals(1))
    Path("bad.yaml").write_text("cutof: 500\n")
    queue = [] if "--queue" in arguments else ["--queue", "labels.db"]
    assert cli.main(["label", "add", "pool.extxyz", *queue, *arguments]) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not Path("labels.db").exists()


def test_a_molecule_is_refused_and_nothing_added(tmp_path):
    queue = Queue(tmp_path / "labels.db")
    structures = crystals(2)
    structures[1].pbc = False
    with pytest.raises(FerrojaxError, match="structure 1: .*not periodic"):
        queue.add(structures, make_engine(ENGINE), FIRST)
    assert not queue.path.exists()


def test_a_missing_engine_stops_the_run_and_hands_the_job_back(tmp_path, monkeypatch):
    queue = filled(tmp_path / "labels.db", 2, "gpaw")
    monkeypatch.setenv("FERROJAX_DFT_PYTHON", str(tmp_path / "none"))
    with pytest.raises(FerrojaxError, match="FERROJAX_DFT_PYTHON"):
        queue.run()
    assert queue.counts() == {"pending": 2, "running": 0, "done": 0, "failed": 0}


def test_a_file_that_is_no_queue(tmp_path):
    (tmp_path / "labels.db").write_text("not a database, but long enough to look at" * 50)
    with pytest.raises(FerrojaxError, match="cannot be used"):
        Queue(tmp_path / "labels.db").counts()
