"""Structures that differ: descriptors from the model's own invariants, and farthest-point sampling."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ferrojax.errors import FerrojaxError
from ferrojax.learning.deviation import Structures, as_frames, each_batch
from ferrojax.learning.features import READOUT
from ferrojax.potential import Model
from ferrojax.potential.readout import SpeciesMLP
from ferrojax.state import State
from ferrojax.training.batches import Batch, pack

ATOMS = 1024  # in one batch


def invariants_of(model: Model, params: Any, state: State) -> Float[Array, "atoms invariants"]:
    """The scalars that the energy readouts see, those of all layers joined; jit-safe."""
    seen: list[Any] = []

    def listen(call, args, kwargs, context):
        if isinstance(context.module, SpeciesMLP) and str(context.module.name).endswith(READOUT[0]):
            seen.append(args[0])
        return call(*args, **kwargs)

    with nn.intercept_methods(listen):
        model.terms(params, state)
    return jnp.concatenate(seen, -1)


def descriptor(model: Model, params: Any, state: State) -> Float[Array, " entries"]:
    """Mean and standard deviation of each invariant over the atoms of each element; blind to rotation, order and repetition of the cell."""
    values = invariants_of(model, params, state)
    elements = jnp.arange(len(model.config.elements))[:, None]
    members = ((model.species(state) == elements) & (state.numbers > 0)).astype(values.dtype)
    share = members / jnp.maximum(members.sum(1, keepdims=True), 1.0)
    mean = share @ values
    variance = jnp.einsum("ei,eik->ek", share, (values - mean[:, None]) ** 2)
    return jnp.concatenate([mean, jnp.sqrt(variance)]).ravel()


def descriptors(model: Model, params: Any, structures: Structures, dtype: type = np.float32) -> Float[np.ndarray, "structures entries"]:
    """``descriptor`` of every structure, in few padded shapes. Raises FerrojaxError as ``pack`` does."""
    frames = as_frames(structures)
    found: list[Any] = [None] * len(frames)
    for own, values in each_batch(lambda batch: _descriptors(model, params, batch), pack(frames, model, dtype=dtype), ATOMS):
        for k, value in zip(own, values):
            found[k] = value
    return np.asarray(found, np.float64)


def farthest_points(
    pool: Float[np.ndarray, "pool entries"],
    count: int,
    taken: Float[np.ndarray, "taken entries"] | None = None,
    minimum: float = 0.0,
) -> tuple[Int[np.ndarray, " chosen"], Float[np.ndarray, " chosen"]]:
    """Greedy choice of points, each the farthest from all taken and chosen before it, until ``count`` or no distance exceeds ``minimum``.

        d(x, y) = √<((x_k - y_k)/s_k)²>_k,   s_k the standard deviation of entry k over pool and taken

    so that ``minimum`` is in standard deviations. Without ``taken`` the first is the point nearest to the mean of the pool.
    Gonzalez, Theor. Comput. Sci. 38, 293 (1985): the largest gap left is at most twice the best possible.

    Returns the places of the chosen points in order, and the distance of each from those before (infinite for a first one).
    Raises FerrojaxError for entries that are not finite.
    """
    taken = np.zeros((0, pool.shape[1])) if taken is None else taken
    if not (np.isfinite(pool).all() and np.isfinite(taken).all()):
        raise FerrojaxError("farthest_points: a descriptor is not finite; leave structures that the model cannot evaluate out.")
    scaled, fixed = _standardized(pool, taken)
    distance = np.full(len(scaled), np.inf)
    for point in fixed:
        distance = np.minimum(distance, _distances(scaled, point))
    chosen: list[int] = []
    gaps: list[float] = []
    while len(chosen) < min(count, len(scaled)):
        first = not (chosen or len(fixed))
        k = int(np.argmin(_distances(scaled, scaled.mean(0))) if first else np.argmax(distance))
        if not distance[k] > minimum:
            break
        chosen.append(k)
        gaps.append(float(distance[k]))
        distance = np.minimum(distance, _distances(scaled, scaled[k]))
        distance[k] = -np.inf
    return np.array(chosen, int), np.array(gaps)


def _standardized(pool: np.ndarray, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries that vary, in units of their standard deviation."""
    spread = np.concatenate([pool, taken]).std(0)
    # Rounding alone makes an entry vary that is zero by symmetry.
    varies = spread > 1e-5 * max(spread.max(initial=0.0), 1e-300)
    return pool[:, varies] / spread[varies], taken[:, varies] / spread[varies]


def _distances(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean((points - point) ** 2, axis=1)) if points.shape[1] else np.zeros(len(points))


@functools.partial(jax.jit, static_argnums=0)
def _descriptors(model: Model, params: Any, batch: Batch) -> Float[Array, "batch entries"]:
    return jax.vmap(lambda state: descriptor(model, params, state))(batch.states)
