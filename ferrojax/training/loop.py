"""The training loop: steps, validation, checkpoints, exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferrojax.errors import FerrojaxError
from ferrojax.potential import Model
from ferrojax.signals import caught_signals
from ferrojax.training.batches import Dataset, epoch_order
from ferrojax.training.checkpoint import Checkpoints
from ferrojax.training.clock import MinuteClock, StepClock
from ferrojax.training.config import TrainConfig
from ferrojax.training.evaluate import make_predictor, predict_all
from ferrojax.training.metrics import compare, summarize
from ferrojax.training.optimizer import TrainState, device_mesh, learning_rate, make_step, place, replicate
from ferrojax.training.plots import learning_curve, parity_plot
from ferrojax.training.report import MetricsFile, Progress, epoch_line, metrics_row

MAX_SKIPPED_IN_A_ROW = 50
STEPS_BETWEEN_VALIDATIONS = 100  # at least, where epochs are shorter
SECONDS_BETWEEN_PLOTS = 60.0

SaveWeights = Callable[[str, Any, Mapping[str, Any]], None]


@dataclass
class Position:
    """Where a training is: all that a resumed run needs besides the arrays.

    epoch and batch: whole epochs done and batches of the present one. loss_sum, loss_count: since the last
    row of metrics.csv, of which there are ``rows``. best: lowest validation loss. seconds: time spent.
    finished: no step is left.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    rows: int = 0
    best: float | None = None
    finished: bool = False


class Trainer:
    """One training: ``run`` takes it from where its folder stands to its end.

    ``save_weights(name, params, summary)`` stores averaged parameters under "best" (lowest validation loss) and "last".
    """

    def __init__(
        self,
        config: TrainConfig,
        model: Model,
        train: Dataset,
        validation: Dataset | None,
        references: dict[str, dict[str, float]],
        save_weights: SaveWeights,
        quiet: bool = False,
    ) -> None:
        self.config, self.train, self.validation = config, train, validation
        self.references, self.save_weights, self.quiet = references, save_weights, quiet
        self.folder = Path(config.output.folder)
        self.position, self._pending, self._pairs = Position(), [], {}  # type: ignore[var-annotated]
        batch_size = config.optimizer.batch_size
        self.mesh = device_mesh(batch_size, config.devices)
        self._step = make_step(model, config.loss.settings, config.optimizer, self.mesh)
        self._predict = make_predictor(model, config.loss.settings)
        self.steps_per_epoch = sum(-(-len(members) // batch_size) for members in train.members)
        self._validate_every = config.output.validate_every or -(-STEPS_BETWEEN_VALIDATIONS // self.steps_per_epoch)

    def run(self, state: TrainState) -> TrainState:
        """Train from the newest checkpoint, or from ``state``, to the end.

        SIGTERM and SIGINT write a checkpoint and exit with status 128 + signal. Raises FerrojaxError if
        the loss stays not finite, a checkpoint is damaged or the disk is full.
        """
        self._report = Progress(self.quiet)
        self._checkpoints = Checkpoints(self.folder / "checkpoints", self.config.output.keep)
        try:
            if self._checkpoints.steps:
                state, values = self._checkpoints.restore(state)
                self.position = Position(**values)
                self._report.line(f"resuming from step {self.position.step}, epoch {self.position.epoch}")
            self._metrics = MetricsFile(self.folder / "metrics.csv", self.position.rows)
            state = replicate(state, self.mesh)
            if not self.position.finished:
                self._compile(state)
            self._clock = self._make_clock()
            with caught_signals() as caught:
                return self._loop(state, caught)
        finally:
            self._checkpoints.close()
            self._report.close()

    def _loop(self, state: TrainState, caught: list[int]) -> TrainState:
        saved, here = time.monotonic(), self.position
        self._plotted = saved
        while (progress := self._clock.progress(here.step)) < 1.0:
            order = epoch_order(self.train, self.config.optimizer.batch_size, self.config.seed, here.epoch)
            for bucket, places in order[here.batch :]:
                progress = self._clock.progress(here.step)
                if progress >= 1.0:
                    break
                state = self._advance(state, bucket, places, progress)
                if caught or time.monotonic() - saved >= 60 * self.config.output.checkpoint_minutes:
                    self._checkpoint(state)
                    saved = time.monotonic()
                if caught:
                    self._report.line(f"signal {caught[0]}: checkpoint {here.step} written; start again to resume")
                    raise SystemExit(128 + caught[0])
            if here.batch == len(order):
                here.epoch, here.batch = here.epoch + 1, 0
                if here.epoch % self._validate_every == 0:
                    # Asked anew, as a run resumed at the end of an epoch has taken no step of it.
                    self._validate(state, self._clock.progress(here.step))
        self._validate(state, 1.0)
        here.finished = True
        self._checkpoint(state)
        self._plot()
        return state

    def _compile(self, state: TrainState) -> None:
        """Compile every shape beforehand, on a copy of the state, so that the clock of the schedule starts after it."""
        size = self.config.optimizer.batch_size
        for bucket in self.train.buckets:
            batch = place(bucket.take(np.arange(size) % bucket.size), self.mesh)
            jax.block_until_ready(self._step(jax.tree.map(jnp.copy, state), batch, jnp.float32(0.0)))
        if self.validation is not None:
            predict_all(self._predict, jax.device_get(state.ema), self.validation)

    def _advance(self, state: TrainState, bucket: int, places: np.ndarray, progress: float) -> TrainState:
        """One step; the loss of the one before is read only now, so that host and device work side by side."""
        rate = learning_rate(self.config.optimizer, self.position.step, progress)
        batch = place(self.train.buckets[bucket].take(places), self.mesh)
        state, loss = self._step(state, batch, jnp.float32(rate))
        self.position.step += 1
        self.position.batch += 1
        self._read_losses()
        self._pending.append(loss)
        self._report.update(progress, self.position.loss_sum / max(self.position.loss_count, 1))
        return state

    def _read_losses(self) -> None:
        """Add the finished losses in float64; a NaN marks a skipped step."""
        here = self.position
        for loss in map(float, self._pending):
            finite = math.isfinite(loss)
            here.loss_sum += loss if finite else 0.0
            here.loss_count += finite
            here.skipped += not finite
            here.skipped_in_a_row = 0 if finite else here.skipped_in_a_row + 1
        self._pending.clear()
        if here.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise FerrojaxError(
                f"{here.skipped_in_a_row} steps in a row gave a loss that is not finite (step {here.step}); "
                "run `ferrojax data check`, or lower optimizer.peak_rate."
            )

    def _validate(self, state: TrainState, progress: float) -> None:
        """Errors of the averaged parameters on the held-out frames: a line, a row, and the best weights."""
        self._read_losses()
        here = self.position
        if not here.loss_count:
            return
        loss, validation_loss, errors = here.loss_sum / here.loss_count, None, {}
        here.loss_sum, here.loss_count = 0.0, 0
        if self.validation is not None:
            params = jax.device_get(state.ema)
            values, validation_loss = predict_all(self._predict, params, self.validation)
            self._pairs = compare(self.validation.frames, values, self.references)
            errors = summarize(self.validation.frames, self._pairs)
            if here.best is None or validation_loss < here.best:
                here.best = validation_loss
                self.save_weights("best", params, {"step": here.step, "validation": errors})
        rate, minutes = learning_rate(self.config.optimizer, here.step, progress), self._clock.seconds / 60
        self._metrics.append(metrics_row(asdict(here), minutes, rate, loss, errors) | {"validation_loss": validation_loss})
        here.rows = self._metrics.rows
        self._report.line(epoch_line(asdict(here), minutes, rate, loss, errors))

    def _checkpoint(self, state: TrainState) -> None:
        """Checkpoint, averaged weights and, at most once a minute, plots."""
        self._read_losses()
        self.position.seconds = self._clock.seconds
        self._checkpoints.save(self.position.step, state, asdict(self.position))
        self.save_weights("last", jax.device_get(state.ema), {"step": self.position.step})
        if time.monotonic() - self._plotted > SECONDS_BETWEEN_PLOTS:
            self._plot()
            self._plotted = time.monotonic()

    def _plot(self) -> None:
        learning_curve(self._metrics.path, self.folder / "learning_curve.png")
        if self._pairs:
            parity_plot(self._pairs, self.folder / "parity.png")

    def _make_clock(self) -> StepClock | MinuteClock:
        stop = self.config.stop
        if stop.minutes is not None:
            return MinuteClock(stop.minutes, self.folder / "clock.csv", self.position.step)
        return StepClock(stop.steps or (stop.epochs or 1) * self.steps_per_epoch, self.position.seconds)
