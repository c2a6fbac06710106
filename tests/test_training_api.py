"""``train`` from configuration to model folder, with the real potential made small."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
import yaml

from ferrojax.data import read_frames, write_frames
from ferrojax.errors import FerrojaxError
from ferrojax.potential import load
from ferrojax.training import evaluate, train
from ferrojax.training.loop import Trainer


def _config(folder, **changes):
    """Four steps on eight frames of the shipped set."""
    if not (folder / "frames.extxyz").exists():
        write_frames(folder / "frames.extxyz", read_frames("pbtio3-v1")[:8])
    values = {
        "data": [{"path": "frames.extxyz", "dataset": "pbtio3-v1", "validation": 2}],
        "model": {"preset": "fast", "eps_inf": 7.0, "changes": {"channels": 2, "radial": 3, "hidden": 4, "cutoff": 4.0}},
        "optimizer": {"batch_size": 2, "warmup_steps": 2},
        "stop": {"steps": 4},
        "output": {"folder": "run", "validate_every": 1},
        "max_buckets": 1,
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(values | changes))
    return folder / "train.yaml"


def test_train_writes_model_metrics_and_plots_and_is_not_repeated(tmp_path, capsys, monkeypatch):
    result = train(_config(tmp_path))
    printed = capsys.readouterr().out
    assert printed.count("epoch") == 2
    assert "forces" in printed
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert written == {"best", "last", "checkpoints", "config.yaml", "metrics.csv", "results.json", "learning_curve.png", "parity.png"}
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == result.metrics
    assert result.metrics["counts"] == {"frames": 2, "atoms": 10, "energy": 2, "forces": 2, "stress": 2, "dipole": 2}

    model, params, info = load(tmp_path / "run" / "best")
    frames = read_frames("pbtio3-v1")
    again = evaluate(model, params, info, frames[:8])
    assert set(again) == {"counts", "energy", "forces", "stress", "virial", "dipole", "notes"}
    assert info["provenance"]["train_frames"] == 6
    assert str(tmp_path) not in json.dumps(info)
    assert set(info["reference_energies"]["pbtio3-v1"]) == {"Pb", "Ti", "O"}

    stored = (tmp_path / "run" / "metrics.csv").read_text()
    monkeypatch.delattr(Trainer, "_compile")  # which is for those that have a step left
    repeated = train(_config(tmp_path))
    assert repeated.metrics == result.metrics
    assert (tmp_path / "run" / "metrics.csv").read_text() == stored
    jax.tree.map(np.testing.assert_array_equal, repeated.params, result.params)
    with pytest.raises(FerrojaxError, match=r"holds a training of another configuration; choose another output\.folder"):
        train(_config(tmp_path, seed=1))


def test_data_without_labels_or_path_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(FerrojaxError, match="no such file"):
        train(_config(tmp_path, data=[{"path": "absent.extxyz"}]), quiet=True)
    assert not (tmp_path / "run" / "checkpoints").exists()
