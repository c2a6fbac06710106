"""Energy readouts for each data set: exact as models of their own, able to tell two levels of theory apart, exact when resumed."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import jax
import numpy as np
import pytest
from random_model import polar_perovskite, random_model
from training_toy import Toy, perovskite, toy

from ferrojax.data import Frame
from ferrojax.errors import FerrojaxError
from ferrojax.potential import Terms
from ferrojax.training.batches import pack
from ferrojax.training.config import load_config
from ferrojax.training.evaluate import make_predictor, predict_all
from ferrojax.training.heads import Heads, add_heads, choose_heads, take_head
from ferrojax.training.loop import Trainer
from ferrojax.training.loss import predict_batch
from ferrojax.training.optimizer import init_state
from ferrojax.training.report import read_metrics

NAMES = ("cheap", "dear")
REFERENCES = {name: dict.fromkeys(("Ba", "Ti", "O"), 0.0) for name in NAMES}
RATIO = 3.0  # short-range energy of "dear" over that of "cheap"


class Scaled(Toy):
    """The toy with an energy readout in the form of the network's: a factor on its short-range energy."""

    def init(self, key):
        return {"params": {"pairs": super().init(key), "pair_energy": {"out": np.ones((1, 1), np.float32)}}}

    def terms(self, params, state):
        values = params["params"]
        terms = super().terms(values["pairs"], state)
        return Terms(terms.short_range * values["pair_energy"]["out"][0, 0], terms.charges, terms.flow, terms.polarizability)


MODEL = Scaled(toy().config)


HEADS = Heads(NAMES)
PREDICT = make_predictor(MODEL)


@pytest.fixture(scope="module")
def frames():
    """Eight structures, each labelled by both levels of theory: the toy, and the toy with RATIO times its short-range energy."""
    truth, rng = add_heads(MODEL.init(jax.random.key(7)), HEADS), np.random.default_rng(3)
    truth["heads"]["pair_energy"]["out"] *= np.array([1.0, RATIO], np.float32)[:, None, None]
    structures = [perovskite((1, 1, 1), rng) for _ in range(8)]
    bare = [Frame(atoms, energy=0.0, forces=np.zeros((5, 3)), dataset=name) for name in NAMES for atoms in structures]
    values, _ = predict_all(PREDICT, truth, pack(bare, MODEL, REFERENCES, heads=HEADS))
    return [replace(frame, energy=float(v["energy"]), forces=v["forces"]) for frame, v in zip(bare, values)]


def trainer(folder, frames, save_weights=lambda name, params, summary: None, checkpoint_minutes=100.0):
    """Trainer of the scaled toy with two heads from other pair energies than the true ones, and its first state."""
    rates = {"pairs/width": 0.3, "pairs/flow": 0.0}
    values = {
        "data": [{"path": "-"}],
        "stop": {"steps": 200},
        "optimizer": {"batch_size": 8, "warmup_steps": 5, "peak_rate": 0.03, "ema": 0.9, "rates": rates},
        "output": {"folder": str(folder), "checkpoint_minutes": checkpoint_minutes},
        "loss": {"weights": {"energy": 10.0}},
    }
    config, start = load_config(values), add_heads(MODEL.init(jax.random.key(7)), HEADS)
    start["params"]["pairs"]["energy"] += 0.1
    train = pack(frames, MODEL, REFERENCES, max_buckets=1, heads=HEADS)
    folder.mkdir(exist_ok=True)
    return Trainer(config, MODEL, train, None, REFERENCES, save_weights, quiet=True), init_state(start, config.optimizer)


@pytest.fixture(scope="module")
def trained(frames, tmp_path_factory):
    """Folder and last state of a training that nobody stopped."""
    folder = tmp_path_factory.mktemp("heads") / "run"
    made, state = trainer(folder, frames)
    return folder, jax.device_get(made.run(state))


def test_two_heads_learn_two_levels_of_theory_where_one_model_cannot(frames, trained):
    difference = np.array([dear.forces - cheap.forces for cheap, dear in zip(frames[:8], frames[8:])])
    floor = np.sqrt(np.mean(difference**2)) / 2  # of any one model, which at best predicts the mean of both
    assert floor > 0.02
    values, _ = predict_all(PREDICT, trained[1].params, pack(frames, MODEL, REFERENCES, heads=HEADS))
    error = np.sqrt(np.mean([(value["forces"] - frame.forces) ** 2 for value, frame in zip(values, frames)]))
    assert error < 0.1 * floor
    cheap, dear = np.ravel(trained[1].params["heads"]["pair_energy"]["out"])
    assert dear / cheap == pytest.approx(RATIO, rel=0.02)


def test_training_with_heads_and_rates_resumes_bit_for_bit(frames, trained, tmp_path):
    def stop_at_step_3(name, params, summary):
        if summary["step"] == 3:  # a checkpoint is written after every step
            os.kill(os.getpid(), signal.SIGTERM)

    folder = tmp_path / "run"
    cut, state = trainer(folder, frames, stop_at_step_3, checkpoint_minutes=0.0)
    with pytest.raises(SystemExit):
        cut.run(state)
    assert cut.position.step == 3
    resumed, state = trainer(folder, frames)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(resumed.run(state)), trained[1])
    losses = [[row["train_loss"] for row in read_metrics(run / "metrics.csv")] for run in (folder, trained[0])]
    assert losses[0] == losses[1] != []


def test_each_head_is_an_ordinary_model_with_the_energies_of_the_training():
    model, params = random_model("fast", channels=2, radial=2, hidden=4)
    heads = add_heads(params, HEADS)
    heads["heads"]["first_energy"]["out"] += np.random.default_rng(0).normal(size=(2, 4, 1))
    frames = [Frame(polar_perovskite(seed=seed), dataset=name) for seed, name in enumerate((*NAMES, "other"))]
    (batch,) = pack(frames, model, dtype=np.float64, max_buckets=1, heads=HEADS).buckets
    assert batch.head.tolist() == [0, 1, 0]  # data sets without a head go with the first
    energies = jax.jit(lambda params, batch: predict_batch(model, params, batch, born=False)["energy"])
    together = energies(heads, batch)
    merged = [own for _, own, _ in HEADS.models(heads, {})]
    assert jax.tree.structure(merged[0]) == jax.tree.structure(params)
    alone = [energies(own, batch) for own in merged]
    for row, head in enumerate(batch.head):
        np.testing.assert_allclose(together[row], alone[head][row], rtol=1e-12)
        assert abs(float(alone[0][row] - alone[1][row])) > 1e-3
    jax.tree.map(np.testing.assert_array_equal, take_head(add_heads(params, HEADS), 1), params)


def test_heads_are_chosen_and_faults_named():
    frames = [Frame(perovskite((1, 1, 1), np.random.default_rng(0)), dataset=name) for name in ("a", "b", "c", "../d")]
    assert choose_heads(False, None, frames) == Heads()
    assert choose_heads(True, "b", frames[:3]) == Heads(("b", "a", "c"))
    chosen = choose_heads(["c", "b"], None, frames)
    assert (chosen, chosen.of("b"), chosen.of("a")) == (Heads(("c", "b")), 1, 0)
    tables = {name: {"O": float(i)} for i, name in enumerate("abc")}
    assert [(place, own) for place, _, own in chosen.models({}, tables)] == [
        ("", {"a": {"O": 0.0}, "c": {"O": 2.0}}),
        ("heads/b", {"b": {"O": 1.0}}),
    ]
    for arguments, sentence in {
        (("a", "x"), None): "model.heads: there is no 'x'; the training frames are of",
        (("a", "b"), "c"): "model.head: there is no 'c'; the heads are of ['a', 'b'].",
        (("a",), None): "is one data set; name at least two",
        (True, None): "model.heads: '../d' cannot be the name of a folder",
        (False, "a"): "model.head: 'a' is asked for without heads",
    }.items():
        with pytest.raises(FerrojaxError) as error:
            choose_heads(*arguments, frames)
        assert sentence in str(error.value)
