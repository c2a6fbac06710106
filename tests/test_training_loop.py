"""The training loop: exact resume after a kill, signals, non-finite steps, schedule."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_toy import random_frames, toy
from training_worker import REFERENCES, make_trainer

from ferrojax.errors import FerrojaxError
from ferrojax.training import clock
from ferrojax.training.batches import pack
from ferrojax.training.config import OptimizerConfig
from ferrojax.training.loss import LossSettings, batch_loss
from ferrojax.training.optimizer import device_mesh, init_state, learning_rate, make_step
from ferrojax.training.report import MetricsFile, read_metrics

WORKER = Path(__file__).with_name("training_worker.py")
STEPS = 40


def _start(folder: Path, *arguments: str, flags: str = "") -> subprocess.Popen:
    command = [sys.executable, str(WORKER), str(folder), *arguments]
    return subprocess.Popen(command, env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}, stdout=subprocess.PIPE, text=True)


def _rows(folder: Path) -> list[dict[str, str]]:
    """metrics.csv without the wall time."""
    return [{k: v for k, v in row.items() if k != "minutes"} for row in read_metrics(folder / "metrics.csv")]


def _arrays(folder: Path) -> list[np.ndarray]:
    with np.load(folder / "final.npz") as file:
        return list(file.values())


def _wait_for_rows(folder: Path, count: int) -> None:
    """Until so many validations are written and a first checkpoint is whole (Orbax gives it its final name last)."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        saved = any(path.name.isdigit() for path in folder.glob("checkpoints/*"))
        if saved and (folder / "metrics.csv").exists() and len(read_metrics(folder / "metrics.csv")) >= count:
            return
        time.sleep(0.02)
    raise AssertionError("the training made no progress")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert _start(folder, str(STEPS), "100").wait() == 0
    return folder


def test_a_killed_training_resumes_bit_for_bit(uninterrupted, tmp_path):
    folder, rng = tmp_path / "run", np.random.default_rng(int.from_bytes(os.urandom(4)))
    process = _start(folder, str(STEPS), "0.002")
    _wait_for_rows(folder, rng.integers(1, 8))
    time.sleep(rng.uniform(0, 0.3))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "final.npz").exists()
    process = _start(folder, str(STEPS), "0.002")
    output = process.communicate()[0]
    assert process.returncode == 0
    assert "resuming from step" in output
    assert _rows(folder) == _rows(uninterrupted)
    assert len(_rows(folder)) == STEPS // 3 + 1
    for a, b in zip(_arrays(folder), _arrays(uninterrupted), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_four_devices_train_as_one(uninterrupted, tmp_path):
    folder = tmp_path / "run"
    assert _start(folder, str(STEPS), "100", flags="--xla_force_host_platform_device_count=4").wait() == 0
    for a, b in zip(_arrays(folder), _arrays(uninterrupted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)  # float32 rounding, amplified by Adam over the steps


def test_sigterm_writes_a_checkpoint_and_exits_and_weights_are_saved(tmp_path):
    saved = []

    def save(name, params, summary):
        saved.append((name, summary["step"], jax.tree.map(np.copy, params)))
        if name == "best" and summary["step"] == 3:  # the first validation
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    output = {"folder": str(tmp_path / "run"), "checkpoint_minutes": 100.0, "validate_every": 1}
    trainer, state = make_trainer(tmp_path / "run", save, output=output, loss={"weights": {"energy": 0, "stress": 0}})
    with pytest.raises(SystemExit) as stop:
        trainer.run(state)
    assert stop.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == handler
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["4"]
    assert saved[-1][:2] == ("last", 4)
    resumed, state = make_trainer(tmp_path / "run", save, output=output, loss={"weights": {"energy": 0, "stress": 0}})
    final = resumed.run(state)
    assert (resumed.position.step, resumed.position.epoch, resumed.position.batch) == (20, 6, 2)
    assert saved[-1][:2] == ("last", 20)
    jax.tree.map(np.testing.assert_array_equal, saved[-1][2], jax.device_get(final.ema))
    rows = _rows(tmp_path / "run")
    assert [int(row["step"]) for row in rows] == [3, 6, 9, 12, 15, 18, 20]
    losses = [float(row["validation_loss"]) for row in rows]
    best = [step for name, step, _ in saved if name == "best"][-1]
    assert best == int(rows[int(np.argmin(losses))]["step"])
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == {"learning_curve.png", "parity.png"}


def test_steps_that_are_not_finite_are_skipped_counted_and_reported(tmp_path, capsys):
    trainer, state = make_trainer(tmp_path / "run", quiet=False)
    trainer.train.buckets[0].labels["energy"][5] = np.nan
    final = trainer.run(state)
    assert trainer.position.skipped == 7  # one of three batches, in each of 6 2/3 epochs
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(final)))
    assert "WARNING: 7 steps skipped" in capsys.readouterr().out
    assert _rows(tmp_path / "run")[-1]["skipped"] == "7"


def test_a_training_that_stays_not_finite_is_stopped(tmp_path):
    trainer, state = make_trainer(tmp_path / "run", stop={"steps": 200})
    trainer.train.buckets[0].labels["energy"][:] = np.nan
    with pytest.raises(FerrojaxError, match=r"50 steps in a row gave a loss that is not finite .*lower optimizer\.peak_rate"):
        trainer.run(state)


def test_one_step_is_clipped_adam_with_the_average():
    model, config = toy(), OptimizerConfig(clip=0.5, ema=0.9, weight_decay=0.01)
    batch = pack(random_frames(4), model, REFERENCES, max_buckets=1).buckets[0]
    start = model.init(jax.random.key(0))
    state, loss = make_step(model, LossSettings(), config)(init_state(jax.tree.map(jnp.copy, start), config), batch, jnp.float32(0.02))
    expected, gradient = jax.jit(jax.value_and_grad(lambda p: batch_loss(model, LossSettings(), p, batch)))(start)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    assert float(optax.tree.norm(gradient)) > 0.5  # so the clip is at work
    scale = 0.5 / float(optax.tree.norm(gradient))
    for old, slope, new, mean in zip(*map(jax.tree.leaves, (start, gradient, state.params, state.ema)), strict=True):
        clipped = scale * np.asarray(slope, np.float64)
        adam = clipped / (np.abs(clipped) + 1e-8)  # the first step, bias-corrected
        np.testing.assert_allclose(new, old - 0.02 * (adam + 0.01 * old), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(mean, 0.9 * old + 0.1 * new, rtol=1e-5, atol=1e-6)


def test_learning_rate_warms_up_and_falls_as_a_cosine():
    config = OptimizerConfig(peak_rate=0.1, warmup_steps=10, floor=0.01)
    assert learning_rate(config, 0, 0.0) == pytest.approx(0.01)
    assert learning_rate(config, 9, 0.0) == pytest.approx(0.1)
    assert learning_rate(config, 99, 0.5) == pytest.approx(0.1 * (0.5 * 0.99 + 0.01))
    assert learning_rate(config, 999, 1.0) == pytest.approx(0.001)
    assert learning_rate(OptimizerConfig(peak_rate=0.1, schedule="constant"), 500, 0.9) == pytest.approx(0.1)


def test_a_budget_in_minutes_replays_its_journal(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock.time, "monotonic", lambda: now[0])

    def run(steps, start=0):
        made, seen = clock.MinuteClock(1.0, tmp_path / "clock.csv", start), []
        for step in range(start, steps):
            seen.append(made.progress(step))
            now[0] += 0.7
        return seen, made

    first, _ = run(25)
    assert first[:10] == [0.0] * 10  # looked at every tenth step
    assert first[10] == pytest.approx(7 / 60)
    now[0] += 1e6  # killed; the checkpoint is of step 13
    with (tmp_path / "clock.csv").open("a") as file:
        file.write("30,2")  # a line cut short
    second, made = run(200, start=13)
    assert second[:12] == first[13:]
    assert second[30 - 13] == pytest.approx(14 / 60)  # the budget goes on where the journal ended
    assert second[40 - 13] == pytest.approx(21 / 60)
    assert second[-1] == 1.0
    assert made.seconds >= 60
    assert all(b >= a for a, b in zip(second, second[1:]))


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv", 0)
    for step in range(4):
        file.append({"epoch": step, "step": step, "train_loss": repr(0.1 * step)})
    with file.path.open("a") as handle:
        handle.write("4,4,0.")  # killed while writing
    assert len(read_metrics(file.path)) == 4
    again = MetricsFile(file.path, 2)
    again.append({"epoch": 9, "step": 9})
    assert [row["step"] for row in read_metrics(file.path)] == ["0", "1", "9"]
    assert again.rows == 3


def test_devices_are_checked():
    with pytest.raises(FerrojaxError, match=f"devices: {len(jax.devices()) + 1} asked for"):
        device_mesh(4, len(jax.devices()) + 1)
