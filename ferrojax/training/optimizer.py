"""One optimisation step: clipped Adam, exponential moving average, non-finite steps skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from ferrojax.errors import FerrojaxError
from ferrojax.training.batches import Batch
from ferrojax.training.loss import LossSettings, batch_loss
from ferrojax.training.rates import rate_factors

if TYPE_CHECKING:
    from ferrojax.potential.model import Model
    from ferrojax.training.config import OptimizerConfig


@struct.dataclass
class TrainState:
    """Everything a step changes: parameters, optimiser state, averaged parameters."""

    params: Any
    optimizer: Any
    ema: Any


Step = Callable[[TrainState, Batch, Float[Array, ""]], tuple[TrainState, Float[Array, ""]]]


def learning_rate(config: OptimizerConfig, step: int, progress: float) -> float:
    """Linear warm-up in steps, times a cosine in the share of the training done, down to ``floor`` of the peak."""
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    cosine = 0.5 * (1.0 + np.cos(np.pi * min(max(progress, 0.0), 1.0))) if config.schedule == "cosine" else 1.0
    return float(config.peak_rate * warmup * (cosine * (1.0 - config.floor) + config.floor))


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Clipping by global norm, Adam, decoupled weight decay; the step multiplies by the learning rate."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.scale_by_adam(),
        optax.add_decayed_weights(config.weight_decay),
    )


def init_state(params: Any, config: OptimizerConfig) -> TrainState:
    """State before the first step; the average starts at the parameters.

    Raises FerrojaxError for a pattern of ``config.rates`` that matches no parameter.
    """
    rate_factors(params, config.rates)
    # Copies: each buffer is donated to the step, and one buffer cannot be donated twice.
    return TrainState(params, make_optimizer(config).init(params), jax.tree.map(jnp.copy, params))


def make_loss_gradient(model: Model, settings: LossSettings, mesh: Mesh | None = None):
    """(params, batch) -> (loss, gradient), the batch axis split over the devices of ``mesh``."""

    def local(params, batch):
        return batch_loss(model, settings, params, batch)

    if mesh is None or mesh.size == 1:
        return jax.value_and_grad(local)
    replicated, split = PartitionSpec(), PartitionSpec("batch")
    mean = jax.shard_map(
        lambda params, batch: jax.lax.pmean(local(params, batch), "batch"),
        mesh=mesh,
        in_specs=(replicated, split),
        out_specs=replicated,
    )
    return jax.value_and_grad(mean)


def make_step(model: Model, settings: LossSettings, config: OptimizerConfig, mesh: Mesh | None = None) -> Step:
    """Compiled (state, batch, rate) -> (state, loss); the old state's buffers are reused.

    A step whose loss or gradient is not finite changes nothing and returns NaN. A parameter of rate 0 stays
    as it is to the bit, and so does its average; its gradient is not computed and does not count in the clipping.
    """
    gradient = make_loss_gradient(model, settings, mesh)
    optimizer = make_optimizer(config)

    def step(state: TrainState, batch: Batch, rate: Float[Array, ""]) -> tuple[TrainState, Float[Array, ""]]:
        factors = rate_factors(state.params, config.rates)
        loss, slope = gradient(state.params, batch)
        slope = jax.tree.map(lambda f, s: s if f else jnp.zeros_like(s), factors, slope)
        finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(slope))
        updates, optimizer_state = optimizer.update(slope, state.optimizer, state.params)
        params = jax.tree.map(lambda f, p, u: p - f * rate.astype(p.dtype) * u if f else p, factors, state.params, updates)
        ema = jax.tree.map(lambda f, a, p: config.ema * a + (1 - config.ema) * p if f else a, factors, state.ema, params)
        new = jax.tree.map(lambda a, b: jnp.where(finite, a, b), (params, optimizer_state, ema), (state.params, state.optimizer, state.ema))
        return TrainState(*new), jnp.where(finite, loss, jnp.nan)

    return jax.jit(step, donate_argnums=0)


def device_mesh(batch_size: int, devices: int | None = None) -> Mesh:
    """Mesh of the first ``devices`` devices (all by default) along the axis "batch".

    Raises FerrojaxError if there are not so many, or the batch does not divide evenly.
    """
    available = jax.devices()
    count = len(available) if devices is None else devices
    if not 1 <= count <= len(available):
        raise FerrojaxError(f"devices: {count} asked for, but {len(available)} are present; lower it or leave it out.")
    if batch_size % count:
        raise FerrojaxError(f"optimizer.batch_size: {batch_size} does not divide over {count} devices; make it a multiple of {count}.")
    return Mesh(np.asarray(available[:count]), ("batch",))


def place(batch: Batch, mesh: Mesh) -> Batch:
    """The batch on the devices, split along its leading axis."""
    if mesh.size == 1:
        return batch
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec("batch")))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The tree on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))
