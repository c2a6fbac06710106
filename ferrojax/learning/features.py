"""Energy, forces and stress as linear functions of the weights of the energy readouts."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float

from ferrojax.effective.lattice import VOIGT, strain_tensor
from ferrojax.errors import FerrojaxError
from ferrojax.potential import Model
from ferrojax.state import State, apply_strain
from ferrojax.training.batches import Batch
from ferrojax.training.loss import predict

READOUT = ("_energy", "out")  # name of a readout ends so, and of its last matrix


class Features(NamedTuple):
    """Derivatives of the predictions by the readout weights: energy a atom, forces, stress (Voigt)."""

    energy: Float[Array, " features"]
    forces: Float[Array, "atoms 3 features"]
    stress: Float[Array, "6 features"]


def readout_weights(params: Any) -> Float[Array, " features"]:
    """The last matrices of all energy readouts, joined. Raises FerrojaxError if there are none."""
    return jnp.concatenate([jnp.ravel(weight) for _, weight in _readouts(params)])


def with_readout(params: Any, weights: Float[Array, " features"]) -> Any:
    """The parameters with other readout weights."""
    flat, start = dict(flatten_dict(params)), 0
    for name, old in _readouts(params):
        flat[name] = jnp.reshape(weights[start : start + old.size], old.shape)
        start += old.size
    return unflatten_dict(flat)


def features(model: Model, params: Any, state: State) -> Features:
    """φ = ∂E/∂w and its derivatives by positions and strain, in one forward-mode pass of 3N + 6 directions; jit-safe.

    Returns φ/N; -∂φ/∂R, 1/Å; (∂φ/∂ε)/V, 1/Å³.
    """
    weights = readout_weights(params).astype(state.cell.dtype)

    def slopes(positions: Array, strain: Array) -> Array:
        strained = apply_strain(state.replace(positions=positions), strain_tensor(strain))
        return jax.grad(lambda w: model.terms(with_readout(params, w), strained).short_range)(weights)

    zero = jnp.zeros(6, state.cell.dtype)
    by_position, by_strain = jax.jacfwd(slopes, (0, 1))(state.positions, zero)
    energy = slopes(state.positions, zero) / jnp.sum(state.numbers > 0)
    return Features(energy, -jnp.moveaxis(by_position, 0, -1), by_strain.T / state.volume)


def fixed_parts(model: Model, params: Any, state: State) -> tuple[Float[Array, ""], Float[Array, "atoms 3"], Float[Array, "6"]]:
    """Energy a atom, forces and stress (Voigt) without the readouts: what the weights add to."""
    values = predict(model, with_readout(params, jnp.zeros_like(readout_weights(params))), state, born=False)
    stress = jnp.stack([values["stress"][pair] for pair in VOIGT])
    return values["energy"] / jnp.sum(state.numbers > 0), values["forces"], stress


@functools.partial(jax.jit, static_argnums=0)
def batch_features(model: Model, params: Any, batch: Batch) -> Features:
    """``features`` along the batch axis."""
    return jax.vmap(lambda state: features(model, params, state))(batch.states)


@functools.partial(jax.jit, static_argnums=0)
def batch_fixed_parts(model: Model, params: Any, batch: Batch) -> tuple[Array, Array, Array]:
    """``fixed_parts`` along the batch axis."""
    return jax.vmap(lambda state: fixed_parts(model, params, state))(batch.states)


def _readouts(params: Any) -> list[tuple[tuple[str, ...], Array]]:
    ending, last = READOUT
    found = [(name, weight) for name, weight in sorted(flatten_dict(params).items()) if name[-1] == last and name[-2].endswith(ending)]
    if not found:
        raise FerrojaxError("last layer: these parameters have no energy readout; give those of a model of ferrojax.potential.")
    return found
