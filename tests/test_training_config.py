"""The training configuration: the example is valid, and every fault is one sentence with field and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import ferrojax.training
from ferrojax.data import read_frames
from ferrojax.errors import FerrojaxError
from ferrojax.training.config import load_config
from ferrojax.training.loss import WEIGHTS
from ferrojax.training.sources import build_model, load_frames

EXAMPLE = Path(ferrojax.training.__file__).with_name("example.yaml")
MINIMAL = {"data": [{"path": "a.xyz"}], "stop": {"epochs": 1}, "output": {"folder": "out"}}


def test_example_is_valid_and_names_the_embedded_set(tmp_path):
    config = load_config(EXAMPLE)
    assert config.output.folder == str(EXAMPLE.parent / "pbtio3")
    frames = load_frames(config.data, config.seed)
    assert len(frames.validation) == 5
    assert len(frames.train) == len(frames.weights) == len(read_frames("pbtio3-v1")) - 5
    model = build_model(config.model, frames.train)
    assert dict(zip(model.config.elements, model.config.formal_charges)) == {"Pb": 2, "Ti": 4, "O": -2}
    assert model.config.eps_inf == 7.0


def test_paths_are_relative_to_the_file(tmp_path):
    file = tmp_path / "sub" / "train.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(MINIMAL | {"data": [{"path": "../a.xyz"}]}))
    config = load_config(file)
    assert Path(config.data[0].path).resolve() == tmp_path / "a.xyz"
    assert config.output.folder == str(tmp_path / "sub" / "out")


def test_loss_defaults_are_kept_beside_changes():
    settings = load_config(MINIMAL | {"loss": {"weights": {"forces": 7.0, "dipole": 0}}}).loss.settings
    assert settings.weights == WEIGHTS | {"forces": 7.0, "dipole": 0.0}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"extra": 1}, "unknown key 'extra'; known keys there: data, model, loss, optimizer, stop, output, seed, devices, max_buckets."),
        ({"optimizer": {"rate": 1}}, "unknown key 'optimizer.rate'; known keys there: peak_rate, warmup_steps"),
        ({"data": [{"path": "a", "elemets": []}]}, "unknown key 'data.0.elemets'; known keys there: path, dataset"),
        ({"loss": {"weights": {"force": 1}}}, "unknown key 'loss.weights.force'; known keys there: energy, forces"),
        ({"optimizer": {"peak_rate": -1}}, "the field 'optimizer.peak_rate' should be greater than 0 (got -1); correct it."),
        ({"optimizer": {"batch_size": "many"}}, "the field 'optimizer.batch_size' should be a valid integer"),
        ({"model": {"preset": "huge"}}, "the field 'model.preset' should be 'fast' or 'accurate' (got 'huge')"),
        ({"stop": {}}, "the field 'stop' give exactly one of epochs, steps and minutes"),
        ({"stop": {"steps": 1, "minutes": 2}}, "the field 'stop' give exactly one of epochs, steps and minutes"),
        ({"data": []}, "the field 'data' "),
        ({"output": {}}, "the field 'output.folder' is missing; add it."),
    ],
)
def test_faults_name_field_and_remedy(change, sentence):
    with pytest.raises(FerrojaxError) as error:
        load_config(MINIMAL | change)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(FerrojaxError, match=r"none\.yaml: cannot be read \(No such file"):
        load_config(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("data: [")
    with pytest.raises(FerrojaxError, match=r"broken\.yaml: not valid YAML"):
        load_config(broken)
    broken.write_text("just text")
    with pytest.raises(FerrojaxError, match="not a YAML mapping"):
        load_config(broken)


def test_faults_of_data_and_model_are_named(tmp_path):
    def frames(**data):
        return load_frames(load_config(MINIMAL | {"data": [{"path": "pbtio3-v1"} | data]}).data, 0)

    count = len(read_frames("pbtio3-v1"))
    with pytest.raises(FerrojaxError, match=rf"no frame is left after the filter \(elements Ba\); {count} frames"):
        frames(elements=["Ba"])
    with pytest.raises(FerrojaxError, match=f"none of {count} frames passes the filters"):
        frames(max_atoms=4)
    with pytest.raises(FerrojaxError, match=f"holds out {count} of {count} frames"):
        frames(validation=count)
    everything = frames(validation=0)
    assert (len(everything.train), len(everything.validation)) == (count, 0)

    def model(**changes):
        return build_model(load_config(MINIMAL | {"model": changes}).model, everything.train)

    with pytest.raises(FerrojaxError, match=r"no charge for \['O', 'Pb'\]"):
        model(formal_charges={"Ti": 4})
    with pytest.raises(FerrojaxError, match=r"\['Ba'\] are not among the elements"):
        model(formal_charges={"Ba": 2})
    with pytest.raises(FerrojaxError, match=r"model\.changes: .*chanels"):
        model(changes={"chanels": 4})
    assert model(changes={"channels": 4}).config.channels == 4
