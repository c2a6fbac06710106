"""Model folders: round trip, damage, full disk."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest

from ferrojax.errors import FerrojaxError
from ferrojax.potential import Model, ModelConfig, load, preset, save_model


@pytest.fixture
def saved(tmp_path):
    model = Model(preset("fast", ("Pb", "Ti", "O"), eps_inf=8.0))
    params = model.init(jax.random.key(0))
    save_model(tmp_path / "model", model, params, {"reference_energies": {"a": {"Pb": -1.25}}})
    return tmp_path / "model", model, params


def test_round_trip_is_exact(saved):
    folder, model, params = saved
    again, stored, info = load(folder)
    assert again == model
    assert info["reference_energies"] == {"a": {"Pb": -1.25}}
    assert jax.tree.structure(stored) == jax.tree.structure(params)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(stored), jax.tree.leaves(params)))


def test_saving_again_leaves_one_parameter_file(saved):
    folder, model, _ = saved
    save_model(folder, model, model.init(jax.random.key(1)), {})
    assert len(list(folder.iterdir())) == 2
    load(folder)


def test_truncated_parameters_are_refused(saved):
    folder, *_ = saved
    file = next(folder.glob("params-*.npz"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(FerrojaxError, match=r"params-.*damaged.*copy the model folder again"):
        load(folder)


def test_truncated_header_and_missing_files(saved, tmp_path):
    folder, *_ = saved
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text[: len(text) // 2])
    with pytest.raises(FerrojaxError, match="truncated"):
        load(folder)
    (folder / "config.json").write_text(text)
    next(folder.glob("params-*.npz")).unlink()
    with pytest.raises(FerrojaxError, match="parameters cannot be read"):
        load(folder)
    with pytest.raises(FerrojaxError, match="folder of a trained model"):
        load(tmp_path / "nothing")


def test_newer_format_and_other_shapes_are_refused(saved):
    folder, *_ = saved
    header = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(header | {"format": 99}))
    with pytest.raises(FerrojaxError, match="newer"):
        load(folder)
    header["config"]["channels"] = 3
    (folder / "config.json").write_text(json.dumps(header))
    with pytest.raises(FerrojaxError, match="do not fit the configuration"):
        load(folder)


def test_failed_write_keeps_the_old_model(saved, monkeypatch):
    folder, model, params = saved

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FerrojaxError, match="No space left on device"):
        save_model(folder, model, model.init(jax.random.key(5)), {})
    monkeypatch.undo()
    _, stored, _ = load(folder)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(stored), jax.tree.leaves(params)))
    assert len(list(folder.iterdir())) == 2


def test_config_dictionary_round_trip():
    config = preset("accurate", ("Ba", "Ti", "O"))
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(FerrojaxError, match="unknown model settings"):
        ModelConfig.from_dict({"elements": ["O"], "formal_charges": [-2], "width": 3})
