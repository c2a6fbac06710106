"""How far predictions of a structure may be off, whatever tells it, and its evaluation over many structures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Protocol

import jax
import numpy as np
from ase import Atoms
from flax import struct
from jaxtyping import Array, Float

from ferrojax.data import Frame
from ferrojax.potential import Model
from ferrojax.state import State
from ferrojax.training.batches import Batch, Dataset, pack

Structures = Sequence[Atoms] | Sequence[Frame]


class Deviation(struct.PyTreeNode):
    """Standard deviations of the predictions for a structure.

    energy: eV/atom. forces: of each component, eV/Å, zero for padding atoms. stress: of each component, eV/Å³.
    """

    energy: Float[Array | np.ndarray, "..."]
    forces: Float[Array | np.ndarray, "... atoms 3"]
    stress: Float[Array | np.ndarray, "... 3 3"]

    @property
    def per_atom(self) -> Float[Array | np.ndarray, "... atoms"]:
        """ε_i = √<|F_i - <F_i>|²>, eV/Å: the components' variances summed."""
        return (self.forces**2).sum(-1) ** 0.5

    @property
    def max_force(self) -> Float[Array | np.ndarray, "..."] | float:
        """ε_F = max_i ε_i, eV/Å: Zhang et al., Comput. Phys. Commun. 253, 107206 (2020) (DP-GEN)."""
        return self.per_atom.max(-1)


class Measure(Protocol):
    """What tells a deviation: a committee, or the last layer's posterior. A pytree, so it passes through jit."""

    atoms_per_batch: ClassVar[int]

    @property
    def model(self) -> Model:
        """The potential it belongs to."""

    def deviation(self, state: State) -> Deviation:
        """Deviations for one state; jit-safe."""


def evaluate(measure: Measure, structures: Structures, dtype: type = np.float32, max_buckets: int = 3) -> list[Deviation]:
    """Deviations of every structure as NumPy arrays in their order, computed in few padded shapes.

    Raises FerrojaxError for no structures, an unusable one, or an element the model does not know.
    """
    dataset = pack(as_frames(structures), measure.model, dtype=dtype, max_buckets=max_buckets)
    results: list[Any] = [None] * len(structures)
    for own, values in each_batch(functools.partial(_deviations, measure), dataset, measure.atoms_per_batch):
        for row, k in enumerate(own):
            one = jax.tree.map(lambda leaf: np.asarray(leaf[row], np.float64), values)  # noqa: B023
            results[k] = one.replace(forces=one.forces[: len(dataset.frames[k].atoms)])
    return results


def max_forces(deviations: Sequence[Deviation]) -> Float[np.ndarray, " frames"]:
    """ε_F of each structure, eV/Å."""
    return np.array([deviation.max_force for deviation in deviations], float)


def as_frames(structures: Structures) -> list[Frame]:
    """Frames as they are, atoms as frames without labels, named by their place in the list."""
    return [s if isinstance(s, Frame) else Frame(s, source=f"structure {k}") for k, s in enumerate(structures)]


def each_batch(function: Callable[[Batch], Any], dataset: Dataset, limit: int) -> Iterator[tuple[np.ndarray, Any]]:
    """(indices of frames, values for these on the host) of all buckets, at most about ``limit`` atoms at a time.

    The last batch of a bucket is filled up with repetitions, whose values are dropped, so that all have one shape.
    """
    for bucket, members in zip(dataset.buckets, dataset.members):
        size = min(max(1, limit // bucket.numbers.shape[1]), bucket.size)
        for start in range(0, bucket.size, size):
            places = np.arange(start, start + size)
            values = jax.device_get(function(bucket.take(places % bucket.size)))
            own = members[places[places < bucket.size]]
            yield own, jax.tree.map(lambda leaf: leaf[: len(own)], values)  # noqa: B023


@jax.jit
def _deviations(measure: Measure, batch: Batch) -> Deviation:
    return jax.vmap(measure.deviation)(batch.states)
