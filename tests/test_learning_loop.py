"""The active-learning loop: its configuration, its stages on stored labels, and going on after a kill."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml

import ferrojax.learning
from ferrojax import cli
from ferrojax.data import read_frames, write_frames
from ferrojax.errors import FerrojaxError
from ferrojax.learning.config import load_learn_config
from ferrojax.learning.loop import enough, learn
from ferrojax.learning.report import write_report
from ferrojax.learning.rounds import Round, without

EXAMPLE = Path(ferrojax.learning.__file__).with_name("example.yaml")
SELECT = {"quantiles": [0.3, 1.0], "per_round": 4}
MINIMAL = {
    "data": ["start.extxyz"],
    "validation": ["valid.extxyz"],
    "model": {"preset": "fast", "changes": {"channels": 4, "hidden": 8}},
    "length": {"steps": 20},
    "optimizer": {"batch_size": 4, "warmup_steps": 5, "ema": 0.9},
    "members": 2,
    "explore": [{"kind": "file", "path": "pool.extxyz"}],
    "select": SELECT,
    "label": {"engine": "stored"},
    "rounds": 2,
    "output": "out",
}


@pytest.fixture
def config(tmp_path):
    """A loop on frames of the shipped set: 6 to begin with, 6 to validate, the rest to choose from."""
    frames = read_frames("pbtio3-v1")
    for name, part in (("start", frames[:6]), ("valid", frames[6:12]), ("pool", frames[12:24])):
        write_frames(tmp_path / f"{name}.extxyz", part)
    path = tmp_path / "learn.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    return path


def test_example_is_valid(capsys):
    config = load_learn_config(EXAMPLE)
    assert config.output == str(EXAMPLE.parent / "runs/learn")
    assert [Path(name).name for name in config.data] == ["pbtio3-v1.extxyz"]
    assert [source.kind for source in config.explore] == ["md", "strained"]
    assert cli.main(["learn", "--example"]) == 0
    assert capsys.readouterr().out == EXAMPLE.read_text()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"explore": [{"kind": "swap", "path": "a"}]}, "explore"),
        ({"explore": [{"kind": "md", "structure": {"file": "a"}}]}, 'have no labels with the engine "stored"'),
        ({"members": 0}, "members"),
        ({"select": {"per_round": 3}}, "low_eV_per_A and high_eV_per_A, or quantiles"),
        (
            {"label": {"engine": "gpaw"}, "explore": [{"kind": "md", "structure": {"file": "a"}, "go_on": True}]},
            "stops at low_eV_per_A",
        ),
        (
            {
                "label": {"engine": "gpaw"},
                "select": {"low_eV_per_A": 0.1, "high_eV_per_A": 1.0},
                "explore": [{"kind": "md", "structure": {"file": "a"}, "go_on": True, "pressures_GPa": [0, 1]}],
            },
            "several temperatures or pressures",
        ),
        (
            {
                "label": {"engine": "gpaw"},
                "select": {"low_eV_per_A": 0.1, "high_eV_per_A": 1.0},
                "explore": [{"kind": "md", "structure": {"file": "a"}, "go_on": True, "skip_ps": 1}],
            },
            "looked at from its first step on; leave skip_ps out",
        ),
        ({"select": SELECT | {"by": "d-optimal"}}, "give members: 1"),
    ],
)
def test_faults_of_the_configuration(change, sentence):
    with pytest.raises(FerrojaxError) as error:
        load_learn_config(MINIMAL | change)
    assert sentence in str(error.value)


def test_missing_files_are_told_before_anything_is_trained(config):
    (config.parent / "pool.extxyz").unlink()
    with pytest.raises(FerrojaxError, match="pool.extxyz does not exist"):
        learn(config, quiet=True)
    assert not (config.parent / "out").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"validation": ["start.extxyz"]}, "6 of 6 frames are in data too, the first of them start.extxyz"),
        ({"validation": ["bare.extxyz"]}, "no label was recognised in 2 frames"),
        ({"label": {"engine": "ase:labelling_teacher:absent"}, "explore": [{"kind": "file", "path": "bare.extxyz"}]}, "absent"),
        ({"label": {"engine": "abinit", "properties": ["dipole"]}, "explore": [{"kind": "file", "path": "bare.extxyz"}]}, "abinit"),
    ],
)
def test_what_cannot_end_does_not_begin(config, change, sentence):
    """No folder with a configuration that a mended one would differ from."""
    ase.io.write(config.parent / "bare.extxyz", [frame.atoms for frame in read_frames("pbtio3-v1")[:2]])
    config.write_text(yaml.safe_dump(MINIMAL | change))
    with pytest.raises(FerrojaxError, match=sentence):
        learn(config, quiet=True)
    assert not (config.parent / "out").exists()


def test_known_frames_are_not_explored_again():
    frames = read_frames("pbtio3-v1")[:6]
    assert without(frames, frames[2:4]) == [*frames[:2], *frames[4:]]


def test_reasons_to_stop():
    settings = load_learn_config(MINIMAL | {"enough": {"accurate_share": 0.9, "force_rmse": 50.0}})
    report = {"round": 2, "selected": 3, "accurate": 80, "failed": 0, "explored": 100, "high_eV_per_A": 0.5}
    report |= {"on_validation": {"force_rmse": 60.0}}
    assert enough(settings, report) == ""
    assert "80 of" not in enough(settings, report | {"accurate": 95})
    assert "95 of 100 structures explored are accurate" in enough(settings, report | {"accurate": 95})
    assert "40.0 meV/Å" in enough(settings, report | {"on_validation": {"force_rmse": 40.0}})
    assert enough(settings, report | {"selected": 0}) == "nothing is left to label"
    # A run that ended early explored what it knows: its share is no reason.
    interrupted = report | {"accurate": 99, "runs": [{"source": 0, "time_fs": 50.0, "doubt": True}]}
    assert enough(settings, interrupted) == ""
    with pytest.raises(FerrojaxError, match=r"round 2: a run cannot leave the structure .* above high_eV_per_A \(0.5 eV/Å\)"):
        enough(settings, interrupted | {"selected": 0})
    with pytest.raises(FerrojaxError, match=r"round 2: nothing can be chosen, as 20 of 100 structures are above high_eV_per_A"):
        enough(settings, report | {"selected": 0, "failed": 20})


def test_report_has_a_row_for_each_round(tmp_path):
    validation = {"energy_rmse": 3.0, "force_rmse": 90.0, "spearman": None, "coverage_68": None, "coverage_95": None}
    rounds = [
        {
            "round": k,
            "training_frames": 10 + 5 * k,
            "explored": 50,
            "accurate": 20,
            "candidate": 25,
            "failed": 5,
            "on_validation": validation,
        }
        for k in range(3)
    ]
    rounds.append({"round": 3, "training_frames": 25, "on_validation": validation})  # the closing one explores nothing
    write_report(tmp_path, rounds)
    rows = list(csv.DictReader((tmp_path / "rounds.csv").open()))
    assert [int(row["training frames"]) for row in rows] == [10, 15, 20, 25]
    assert [float(row["force RMSE (meV/Å)"]) for row in rows] == [90.0] * 4
    assert (tmp_path / "report.md").read_text().count("\n| ") == 6
    assert (tmp_path / "learning.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_loop_on_stored_labels(config, capsys):
    assert cli.main(["learn", str(config)]) == 0
    assert "all 2 rounds done" in capsys.readouterr().out
    output = config.parent / "out"
    first, second = (json.loads((output / f"round-00{k}" / "report.json").read_text()) for k in (0, 1))
    closing = json.loads((output / "round-002" / "closing.json").read_text())
    assert [one["training_frames"] for one in (first, second, closing)] == [6, 10, 14]
    assert (first["explored"], second["explored"]) == (12, 8)
    assert first["accurate"] + first["candidate"] + first["failed"] == 12
    # The labels are those of the files, to the last bit, and no frame is chosen twice or taken from the validation frames.
    known = {frame.energy: frame for frame in read_frames("pbtio3-v1")}
    chosen = [frame for k in (0, 1) for frame in read_frames(output / f"round-00{k}" / "labelled.extxyz")]
    assert len({frame.energy for frame in chosen}) == len(chosen) == 8
    assert all(np.array_equal(frame.forces, known[frame.energy].forces) for frame in chosen)
    assert not {frame.energy for frame in chosen} & {frame.energy for frame in read_frames("pbtio3-v1")[:12]}
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")}
    learnt = learn(config, quiet=True)  # nothing is done again
    assert learnt.rounds == [first, second, closing]
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")} == before
    assert Round(load_learn_config(config), 2).members == learnt.members
    config.write_text(yaml.safe_dump(MINIMAL | {"members": 3}))
    with pytest.raises(FerrojaxError, match="another configuration"):
        learn(config, quiet=True)


@pytest.mark.slow
def test_a_killed_loop_loses_no_label(config):
    """Killed at many moments and started again, it ends with the labels and reports of one that was left alone."""
    from ferrojax.labelling import Queue

    teacher = config.parent / "teacher"
    changes = {"explore": [{"kind": "file", "path": "bare.extxyz"}], "label": {"engine": f"model:{teacher}"}}
    first = learn(
        MINIMAL
        | {name: [str(config.parent / MINIMAL[name][0])] for name in ("data", "validation")}
        | {"explore": [{"kind": "file", "path": str(config.parent / "pool.extxyz")}], "rounds": 1, "output": str(config.parent / "seed")},
        quiet=True,
    )
    first.members[0].rename(teacher)
    bare = [frame.atoms for frame in read_frames(config.parent / "pool.extxyz")]
    ase.io.write(config.parent / "bare.extxyz", bare)
    config.write_text(yaml.safe_dump(MINIMAL | changes))
    queue, seen = config.parent / "out" / "labels.db", set()
    command = [sys.executable, "-m", "ferrojax.cli", "learn", str(config)]
    for pause in (20, 35, 50):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(pause)
        process.kill()
        process.wait()
        done = {made["key"] for _, made in Queue(queue).labelled()} if queue.exists() else set()
        assert seen <= done
        seen = done
    learnt = learn(config, quiet=True)
    labelled = Queue(queue).labelled()
    assert seen <= {made["key"] for _, made in labelled}
    assert [report["labelled"] for report in learnt.rounds[:-1]] == [4, 4]
    assert len(labelled) == 8
    assert all("teacher" in frame.dataset for frame, _ in labelled)


@pytest.mark.slow
def test_dynamics_stops_in_doubt_and_goes_on_from_there(config):
    """On the fly: the first frame above the level is labelled, and the next round's run goes on from it, in time and with its momenta."""
    start = config.parent / "cell.extxyz"
    ase.io.write(start, read_frames("pbtio3-v1")[0].atoms)
    times = {"time_ps": 0.02, "every_fs": 5, "go_on": True}
    source = {"kind": "md", "structure": {"file": "cell.extxyz"}, "temperatures_K": [50], **times}
    changes = {
        "explore": [source],
        "select": {"low_eV_per_A": 1e-9, "high_eV_per_A": 1e3, "per_round": 1},
        "label": {"engine": "ase:ase.calculators.lj:LennardJones", "properties": ["energy", "forces"]},
    }
    config.write_text(yaml.safe_dump(MINIMAL | changes))
    learn(config, quiet=True)
    before = ase.io.read(start)
    for k in (0, 1):
        folder = config.parent / "out" / f"round-00{k}"
        pool, chosen, left = (ase.io.read(folder / f"{name}.extxyz", ":") for name in ("pool", "selected", "place-0"))
        assert len(pool) == len(chosen) == len(left) == 1  # the rest of the run is after the doubt
        assert np.abs(left[0].positions - chosen[0].positions).max() < 1e-7
        assert left[0].info["time"] == 5.0 * (k + 1) and left[0].has("momenta") and not chosen[0].has("momenta")
        moved = np.linalg.norm(_nearest(left[0].positions - before.positions, before.cell.array), axis=1)
        assert 0 < moved.max() < 0.2  # 5 fs at 50 K
        before = left[0]


def _nearest(vectors, cell):
    fractional = vectors @ np.linalg.inv(cell)
    return (fractional - np.round(fractional)) @ cell
