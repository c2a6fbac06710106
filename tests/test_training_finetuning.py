"""Going on from a trained model: settings come with it, elements are added without harm, files and errors as for any training."""

from __future__ import annotations

import functools
import json

import jax
import numpy as np
import pytest
import yaml
from ase import Atoms

from ferrojax.data import Frame, read_frames, write_frames
from ferrojax.errors import FerrojaxError
from ferrojax.potential import Model, load, preset, save_model
from ferrojax.training import train
from ferrojax.training.config import DataConfig, PotentialConfig
from ferrojax.training.rates import parameter_names
from ferrojax.training.sources import load_frames
from ferrojax.training.start import inherit_settings, starting_point

TINY = {"channels": 2, "radial": 3, "hidden": 4, "cutoff": 4.0}


@functools.cache
def tiny(elements: tuple[str, ...]) -> tuple[Model, dict]:
    """An untrained model and its parameters."""
    model = Model(preset("fast", elements, eps_inf=5.0, **TINY))
    return model, jax.device_get(model.init(jax.random.key(3)))


def saved(folder, elements=("Ti", "O", "Pb")) -> str:
    """Folder of a tiny model with a past."""
    save_model(folder, *tiny(elements), {"provenance": {"datasets": ["old"], "pretrained_on": ["older"]}})
    return str(folder)


def frames_of(*formulas: str) -> list[Frame]:
    return [Frame(Atoms(formula, positions=[[0, 0, 2.0 * i] for i in range(2)], cell=[4, 4, 4], pbc=True)) for formula in formulas]


def test_settings_and_elements_come_with_the_model(tmp_path):
    section = inherit_settings(PotentialConfig(start_from=saved(tmp_path)))
    assert (section.preset, section.eps_inf, section.changes) == ("fast", 5.0, TINY)
    assert inherit_settings(section) == section  # as it is when a run is resumed from its stored configuration
    start = starting_point(section, frames_of("PbO"), seed=0)  # fewer elements than the model knows
    model, params, _ = load(tmp_path)
    assert start.model == model
    assert (start.notes, start.provenance["pretrained_on"]) == ((), ["old", "older"])
    assert start.provenance["earlier"] == {"datasets": ["old"], "pretrained_on": ["older"]}
    jax.tree.map(np.testing.assert_array_equal, start.params, params)
    other = starting_point(inherit_settings(PotentialConfig(start_from=str(tmp_path), eps_inf=7.0)), frames_of("PbO"), seed=0)
    assert other.model.config.eps_inf == 7.0
    assert other.notes == ("NOTE: eps_inf is 7 instead of 5: the long-range energy starts from other values",)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"preset": "accurate"}, "model.preset: accurate is asked for, but the model of model.start_from has fast; leave it out"),
        ({"changes": {"channels": 3}}, "model.channels: 3 is asked for, but the model of model.start_from has 2"),
        ({"changes": {"chanels": 3}}, "model.chanels: 3 is asked for, but the model of model.start_from has no such setting"),
        ({"elements": ["Pb", "O"]}, "model.elements: the model of model.start_from also knows ['Ti']; name them too"),
        ({"formal_charges": {"Ti": 3}}, "model.formal_charges: Ti is +3, but +4 in the model of model.start_from; leave it out"),
        ({"formal_charges": {"Sr": 2}}, "model.formal_charges: ['Sr'] are not among the elements"),
    ],
)
def test_contradictions_to_the_model_are_refused(tmp_path, section, sentence):
    with pytest.raises(FerrojaxError) as error:
        starting_point(inherit_settings(PotentialConfig(start_from=saved(tmp_path), **section)), frames_of("PbO"), seed=0)
    assert sentence in str(error.value)


def test_added_elements_leave_old_predictions_alone(tmp_path):
    config = PotentialConfig(start_from=saved(tmp_path), formal_charges={"Mn": 3})
    start = starting_point(inherit_settings(config), frames_of("MnO", "KO"), seed=0)
    old, params = tiny(("Ti", "O", "Pb"))
    assert start.model.config.elements == (*old.config.elements, "K", "Mn")
    assert start.model.config.formal_charges == (*old.config.formal_charges, 1.0, 3.0)
    assert "does not know K, Mn: added with random parameters" in start.notes[0]
    atoms = read_frames("pbtio3-v1")[0].atoms
    terms = jax.jit(start.model.terms)
    before = jax.jit(old.terms)(params, old.prepare(atoms, np.float64))
    after = terms(start.params, start.model.prepare(atoms, np.float64))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), before, after)
    atoms.symbols[list(atoms.symbols).index("Ti")] = "Mn"
    new = terms(start.params, start.model.prepare(atoms, np.float64))
    assert abs(float(new.short_range - after.short_range)) > 1e-3
    assert float(new.charges.sum()) == pytest.approx(-1.0)  # +2 +3 -6


@pytest.mark.slow  # compiles a training of the network
def test_without_energies_the_old_references_stay(tmp_path):
    """Of a training on polarizabilities alone: nothing else of the model moves, and it still tells energies of its data set."""
    model, params = tiny(("Ti", "O", "Pb"))
    known = {"pbtio3-v1": {"Ti": -3.0, "O": -10.0, "Pb": -4.0}}
    save_model(tmp_path / "old", model, params, {"reference_energies": known, "provenance": {"datasets": ["pbtio3-v1"]}})
    values = {
        "data": [{"path": "pbtio3-v1-response", "validation": 0, "max_frames": 2}],
        "model": {"start_from": str(tmp_path / "old")},
        "loss": {"weights": {"born_charges": 0}},
        "optimizer": {"batch_size": 2, "warmup_steps": 1, "rates": {"*": 0.0, "Polarizability_0/*": 1.0}},
        "stop": {"steps": 2},
        "output": {"folder": str(tmp_path / "run")},
    }
    result = train(values, quiet=True)
    assert result.info["reference_energies"] == known
    assert result.info["provenance"]["earlier"] == {"datasets": ["pbtio3-v1"]}
    before, after = (dict(jax.tree_util.tree_leaves_with_path(tree)) for tree in (params, jax.device_get(result.params)))
    moved = {jax.tree_util.keystr(path).split("'")[3] for path in before if not np.array_equal(before[path], after[path])}
    assert moved == {"Polarizability_0"}


@pytest.mark.slow  # compiles a training of the network
def test_fine_tuning_with_heads_writes_a_model_for_each(tmp_path):
    frames = read_frames("pbtio3-v1")[:12]
    for frame in frames[6:]:
        frame.dataset, frame.energy, frame.forces = ["soft", "PBE"][0], frame.energy / 2 - 7.0, frame.forces / 2
    write_frames(tmp_path / "gpaw.extxyz", frames[:6])
    write_frames(tmp_path / "soft.extxyz", frames[6:])
    values = {
        "data": [{"path": "soft.extxyz", "validation": 1, "max_frames": 4}, {"path": "gpaw.extxyz", "validation": 2}],
        "model": {"start_from": str(saved(tmp_path / "old")), "heads": True, "head": "pbtio3-v1"},
        "optimizer": {"batch_size": 4, "warmup_steps": 1, "rates": {"*": 0.0, "heads/*": 1.0}},
        "stop": {"steps": 3},
        "output": {"folder": "run", "validate_every": 1},
        "max_buckets": 1,
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(values))
    result = train(tmp_path / "train.yaml", quiet=True)
    run = tmp_path / "run"
    stored = yaml.safe_load((run / "config.yaml").read_text())["model"]
    assert (stored["preset"], stored["changes"], stored["eps_inf"]) == ("fast", TINY, 5.0)
    assert {path.name for path in (run / "heads" / "soft").iterdir()} == {"best", "last", "results.json", "parity.png"}
    old = load(tmp_path / "old")[1]
    for folder, dataset, held_out in ((run, "pbtio3-v1", 2), (run / "heads" / "soft", "soft", 1)):
        model, params, info = load(folder / "last")
        assert set(info["reference_energies"]) == {dataset}
        assert (info["provenance"]["train_frames"], info["provenance"]["pretrained_on"]) == (8, ["old", "older"])
        assert str(tmp_path) not in json.dumps(info)
        for name, new, before in zip(parameter_names(params), jax.tree.leaves(params), jax.tree.leaves(old)):
            assert np.array_equal(new, before) == (name != "first_energy/out"), name
        assert json.loads((folder / "results.json").read_text())["counts"]["frames"] == held_out
    assert json.loads((run / "results.json").read_text()) == result.metrics
    assert train(tmp_path / "train.yaml", quiet=True).metrics == result.metrics  # finished: nothing is trained again


def test_nothing_is_written_before_everything_is_checked(tmp_path):
    write_frames(tmp_path / "frames.extxyz", read_frames("pbtio3-v1")[:4])
    values = {"data": [{"path": str(tmp_path / "frames.extxyz"), "validation": 0}], "model": {"changes": TINY}, "stop": {"steps": 1}}
    values |= {"output": {"folder": str(tmp_path / "run")}, "optimizer": {"rates": {"first_products/*": 0.0}}}
    with pytest.raises(FerrojaxError, match=r"'first_products/\*' matches no parameter; there are .*first_product/mix"):
        train(values, quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_share_of_the_frames_is_drawn_and_grows(tmp_path):
    def drawn(limit, seed=0):
        loaded = load_frames([DataConfig(path="pbtio3-v1", validation=9, max_frames=limit)], seed)
        return [f.source for f in loaded.train], [f.source for f in loaded.validation]

    (few, held), (more, held_again), (all_, _) = drawn(5), drawn(11), drawn(10_000)
    assert (len(few), len(more), len(all_), len(held)) == (5, 11, len(read_frames("pbtio3-v1")) - 9, 9)
    assert held == held_again
    assert set(few) < set(more) < set(all_)
    assert set(drawn(5, seed=1)[0]) != set(few)
