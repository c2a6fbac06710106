"""Files of a run: their contents, going on, damaged ones, full disks, other runs, signals."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import ase.io
import h5py
import jax
import numpy as np
import pandas
import pytest
from md_worker import PARAMS, first_state, simulate, springs
from test_dynamics_torture import WORKER, differences

import ferrojax.dynamics.undo as undo
from ferrojax.dynamics import Langevin, Output, read_log, run
from ferrojax.dynamics.describe import describe, difference
from ferrojax.dynamics.meter import Meter
from ferrojax.dynamics.undo import UndoFile
from ferrojax.dynamics.writer import LIMIT, Writer
from ferrojax.errors import FerrojaxError


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """An undisturbed run of 200 steps with everything written, and what it returned."""
    folder = tmp_path_factory.mktemp("md") / "alone"
    return folder, simulate(folder, 200, forces=True, checkpoint_seconds=60.0)


def test_h5md_opens_in_mdanalysis(alone):
    import MDAnalysis

    folder, end = alone
    universe = MDAnalysis.Universe.empty(8)
    universe.load_new(str(folder / "trajectory.h5"), format="H5MD", convert_units=False)
    frames = universe.trajectory
    assert len(frames) == 40 and frames.units["length"] == "Angstrom" and frames.units["velocity"] == "Angstrom/fs"
    np.testing.assert_allclose(frames[39].positions, end.state.positions, atol=1e-5)
    assert frames[39].time == 200.0 and frames[39].dimensions[:3] == pytest.approx(lengths(end), rel=1e-5)
    motion = end.progress.motion
    np.testing.assert_allclose(frames[39].forces, motion.force, atol=1e-5)
    # Å/fs from √(eV/amu).
    np.testing.assert_allclose(frames[39].velocities, motion.momentum / motion.mass * 0.09822694788464063, atol=1e-7)


def lengths(end):
    return np.linalg.norm(end.state.cell, axis=1)


def test_h5md_has_the_structure_of_its_specification(alone):
    folder, end = alone
    with h5py.File(folder / "trajectory.h5") as file:
        assert file["h5md"].attrs["version"].tolist() == [1, 1] and file["h5md/creator"].attrs["name"] == "ferrojax"
        assert "name" in file["h5md/author"].attrs and "version" in file["h5md/creator"].attrs
        particles, box = file["particles/all"], file["particles/all/box"]
        assert box.attrs["dimension"] == 3 and [x.decode() for x in box.attrs["boundary"]] == ["periodic"] * 3
        assert particles["species"][:].tolist() == np.asarray(end.state.numbers).tolist()
        elements = [particles[n] for n in ("position", "velocity", "force")] + [box["edges"], *file["observables"].values()]
        for element in elements:
            assert element["value"].shape[0] == len(element["step"]) == len(element["time"]) == 40
            assert element["step"] == particles["position/step"] and element["time"].attrs["unit"] == "fs"
        np.testing.assert_array_equal(particles["position/step"], np.arange(5, 201, 5))
        observables = {"potential_energy": "potential", "temperature": "temperature", "dipole": "dipole", "stress": "stress"}
        for name, field in observables.items():
            np.testing.assert_array_equal(file[f"observables/{name}/value"], getattr(end.records, field))


def test_the_log_gives_back_the_same_bits(alone):
    folder, end = alone
    log = read_log(folder)
    for name in ("step", "time", "potential", "total", "conserved", "temperature", "dipole", "field", "stress", "cell"):
        np.testing.assert_array_equal(getattr(log, name), getattr(end.records, name), err_msg=name)
    assert end.records.positions is None and len(log) == 40


def test_run_json_says_what_ran(alone):
    card = json.loads((alone[0] / "run.json").read_text())
    part = card["parts"][0]
    assert card["status"] == part["status"] == "finished" and card["steps"] == part["to_step"] == 200
    assert card["settings"]["integrator"] == {"kind": "Langevin", "dt": 1.0, "temperature": 400.0, "friction": 0.02}
    assert card["settings"]["structure"]["precision"] == "float64" and card["settings"]["key"] == [0, 5]
    assert part["versions"]["jax"] == jax.__version__ and part["started"] <= part["ended"] and part["device"].startswith("cpu")


def test_extended_xyz_and_parquet(alone, tmp_path):
    end = simulate(tmp_path / "md", 50, trajectory="extxyz", log="parquet", forces=True)
    frames = ase.io.read(tmp_path / "md" / "trajectory.extxyz", ":")
    assert len(frames) == 10 and frames[-1].info["time"] == 50.0
    np.testing.assert_allclose(frames[-1].positions, end.state.positions, atol=1e-7)
    np.testing.assert_allclose(frames[-1].get_forces(), end.progress.motion.force, atol=1e-7)
    table = pandas.read_parquet(tmp_path / "md" / "log.parquet")
    np.testing.assert_array_equal(table["total_eV"], end.records.total)
    np.testing.assert_array_equal(end.records.total, alone[1].records.total[:10])


def test_parquet_needs_its_libraries(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FerrojaxError, match=r"needs pyarrow.*ferrojax\[parquet\]"):
        simulate(tmp_path / "md", 50, log="parquet")
    assert not (tmp_path / "md" / "log.csv").exists()


def test_a_longer_run_goes_on_and_a_finished_one_is_returned(alone, tmp_path):
    simulate(tmp_path / "md", 100, forces=True)
    end = simulate(tmp_path / "md", 200, forces=True)
    again = simulate(tmp_path / "md", 200, forces=True)
    for one in (end, again):
        np.testing.assert_array_equal(one.state.positions, alone[1].state.positions)
        np.testing.assert_array_equal(one.records.total, alone[1].records.total)
        assert one.rebuilds == alone[1].rebuilds > 2
    assert (tmp_path / "md" / "log.csv").read_bytes() == (alone[0] / "log.csv").read_bytes()
    with pytest.raises(FerrojaxError, match="is at step 200, beyond the 150 asked for"):
        simulate(tmp_path / "md", 150, forces=True)


def go(folder, integrator=Langevin(1.0, 400.0, 0.02), seed=5, **settings):
    settings = {"every": 5, "key": jax.random.key(seed)} | settings
    return run(springs, PARAMS, first_state(), integrator, 200, output=Output(folder, velocities=True, forces=True), **settings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"integrator": Langevin(1.0, 410.0, 0.02)}, "integrator.temperature was 400.0 and is now 410.0"),
        ({"integrator": Langevin(0.5, 400.0, 0.02)}, "integrator.dt was 1.0 and is now 0.5"),
        ({"seed": 6}, r"key was \[0, 5\] and is now \[0, 6\]"),
        ({"every": 10}, "every was 5 and is now 10"),
        ({"field": (0.0, 0.0, 0.01)}, "field.value was"),
        ({"temperature": 100.0}, "temperature was"),
    ],
)
def test_the_folder_of_another_run_is_refused(alone, change, words):
    before = (alone[0] / "log.csv").read_bytes()
    with pytest.raises(FerrojaxError, match=f"other settings: {words}.*choose another output folder"):
        go(alone[0], **change)
    assert (alone[0] / "log.csv").read_bytes() == before


def test_a_folder_with_unknown_files_is_refused(tmp_path):
    (tmp_path / "log.csv").write_text("mine\n")
    with pytest.raises(FerrojaxError, match=r"holds log.csv but no run.json"):
        simulate(tmp_path, 50)
    assert (tmp_path / "log.csv").read_text() == "mine\n"


def test_two_processes_do_not_share_a_folder(alone, tmp_path):
    import fcntl

    (tmp_path / "md").mkdir()
    with open(tmp_path / "md" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FerrojaxError, match="another process is writing there"):
            simulate(tmp_path / "md", 50)


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(alone, tmp_path, monkeypatch):
    left = [30_000]

    def nearly_full(stream, data, write=undo._write_all):
        if len(data) > left[0]:
            write(stream, data[: left[0]])
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= len(data)
        write(stream, data)

    with monkeypatch.context() as patch:
        patch.setattr(undo, "_write_all", nearly_full)
        with pytest.raises(FerrojaxError, match=r"cannot be written \(No space left on device\); free disk space and start again"):
            simulate(tmp_path / "md", 200, forces=True)
    assert json.loads((tmp_path / "md" / "run.json").read_text())["status"] == "failed"
    simulate(tmp_path / "md", 200, forces=True)
    for folder in (alone[0], tmp_path / "md"):
        np.savez(folder / "final.npz")
    assert differences(alone[0], tmp_path / "md") == 0


def test_damaged_checkpoints_are_told(tmp_path):
    simulate(tmp_path / "md", 100)
    files = sorted((tmp_path / "md" / "checkpoints").glob("*.npz"))
    assert len(files) == 2
    files[1].write_bytes(files[1].read_bytes()[:-10] + b"0123456789")
    with pytest.warns(UserWarning, match=r"npz is damaged: going on from the one before it, step \d+\."):
        simulate(tmp_path / "md", 100)
    for file in (tmp_path / "md" / "checkpoints").glob("*.npz"):
        file.write_bytes(b"")
    with pytest.raises(FerrojaxError, match="no checkpoint in it can be read; remove the run's folder"):
        simulate(tmp_path / "md", 100)


def test_a_trajectory_that_lost_its_end_is_told(tmp_path):
    simulate(tmp_path / "md", 100)
    os.truncate(tmp_path / "md" / "trajectory.h5", 5000)
    with pytest.raises(FerrojaxError, match=r"trajectory.h5: has lost its end"):
        simulate(tmp_path / "md", 100)


def test_sigterm_writes_a_checkpoint_and_exits(alone, tmp_path, monkeypatch):
    from ferrojax.dynamics.output import Folder

    noted = Folder.note

    def note(self, place, records):
        noted(self, place, records)
        if int(place.progress.step) >= 60:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "note", note)
        with pytest.raises(SystemExit) as stop:
            simulate(tmp_path / "md", 200, forces=True, checkpoint_seconds=60.0)
    assert stop.value.code == 128 + signal.SIGTERM
    card = json.loads((tmp_path / "md" / "run.json").read_text())
    assert card["status"] == "stopped" and 60 <= card["parts"][0]["to_step"] < 200
    end = simulate(tmp_path / "md", 200, forces=True, checkpoint_seconds=60.0)
    np.testing.assert_array_equal(end.state.positions, alone[1].state.positions)
    assert json.loads((tmp_path / "md" / "run.json").read_text())["parts"][1]["from_step"] == card["parts"][0]["to_step"]


def test_errors_of_the_writer_come_up_in_the_main_thread():
    writer, release, done = Writer(), threading.Event(), []
    writer.put(release.wait)
    for k in range(LIMIT - 1):
        writer.put(lambda k=k: done.append(k))
    assert not done  # the caller does not wait for the jobs
    release.set()
    writer.put(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        for _ in range(500):
            writer.put(lambda: done.append("after the error"))
            time.sleep(0.001)
    with pytest.raises(ZeroDivisionError):
        writer.finish()
    assert done == list(range(LIMIT - 1))


def test_an_undo_file_returns_to_either_of_two_commits(tmp_path):
    file = UndoFile(tmp_path / "data")
    file.append(b"one.")
    file.commit(1)
    file.append(b"two.")
    file.seek(0)
    file.write(b"ONE")
    file.commit(2)
    file.seek(2)
    file.write(b"xxxx")
    file.truncate(3)
    file.close()
    undone = (tmp_path / ".data.undo-00000002").read_bytes()
    (tmp_path / ".data.undo-00000002").write_bytes(undone + undone[:9])  # a record cut short
    again = UndoFile(tmp_path / "data", 2, 8)
    assert (tmp_path / "data").read_bytes() == b"ONE.two."
    again.seek(0)
    again.write(b"zz")
    again.close()
    UndoFile(tmp_path / "data", 1, 4).close()
    assert (tmp_path / "data").read_bytes() == b"one."


def test_the_meter_counts_after_compiling(capsys, monkeypatch):
    meter = Meter(0, 1000, 2.0, show=True)
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    meter.update(100, 300.0)
    now[0] += 20.0
    meter.update(500, 310.0)
    # 400 steps of 2 fs in 20 s: 40 fs/s, 3.456 ns a day; 500 steps are left, 25 s.
    assert capsys.readouterr().err.splitlines()[-1] == "step 500/1000  1.000 ps  310 K  3.46 ns/day  0:00:25 left"
    Meter(0, 10, 1.0, show=None).update(5, 1.0)
    assert capsys.readouterr().err == ""


def test_settings_are_described_alike_in_another_process():
    code = "from md_worker import *; import ferrojax.dynamics.describe as d; print(d.describe([springs, Langevin(), first_state]))"
    output = subprocess.run([sys.executable, "-c", code], cwd=WORKER.parent, check=True, capture_output=True, text=True).stdout
    assert output.strip() == str(describe([springs, Langevin(), first_state])) and "0x" not in output


def test_a_changed_function_is_noticed():
    def scaled(factor):
        return lambda time: factor * time

    one, other = describe({"field": scaled(0.5)}), describe({"field": scaled(0.6)})
    assert difference(one, describe({"field": scaled(0.5)})) is None
    assert difference(one, other) == "field.factor was 0.5 and is now 0.6"
