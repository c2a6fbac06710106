"""Frames packed into few array shapes: integers and labels on the host, batches by indexing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from ferrojax.data import Frame, reference_energy
from ferrojax.data.frame import LABELS, require_valid
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.topology import Topology
from ferrojax.training.buckets import Shape, plan_buckets
from ferrojax.training.heads import Heads

if TYPE_CHECKING:
    from ferrojax.potential.model import Model


class Batch(struct.PyTreeNode):
    """Structures of one padded shape with their labels, on a leading axis.

    neighbors, shifts and degree are the topology in compact integers (degree: slots in
    use of each atom). labels holds only what some frame of the bucket has; weights says,
    for each of them, how much each frame counts (0 where it has no such label). head is the
    number of the energy readout that serves the frame, 0 where there is one only.
    """

    positions: Float[Array, "batch atoms 3"]
    cell: Float[Array, "batch 3 3"]
    numbers: Int[Array, "batch atoms"]
    neighbors: Int[Array, "batch atoms slots"]
    shifts: Int[Array, "batch atoms slots 3"]
    degree: Int[Array, "batch atoms"]
    head: Int[Array, " batch"]
    labels: dict[str, Any]
    weights: dict[str, Any]
    cutoff: float = struct.field(pytree_node=False)
    kgrid: tuple[int, int, int] = struct.field(pytree_node=False)
    k_cutoff: float = struct.field(pytree_node=False)

    @property
    def size(self) -> int:
        """Number of structures."""
        return len(self.positions)

    @property
    def states(self) -> State:
        """State with a leading batch axis, to be used under vmap; jit-safe."""
        positions, cell = jnp.asarray(self.positions), jnp.asarray(self.cell)
        slots = self.neighbors.shape[-1]
        topology = Topology(
            neighbors=self.neighbors.astype(jnp.int32),
            shifts=jnp.asarray(self.shifts),
            mask=jnp.arange(slots) < self.degree[..., None],
            reference_positions=positions,
            reference_cell=cell,
            overflow=jnp.zeros(len(positions), bool),
            cutoff=self.cutoff,
            skin=0.0,
            kgrid=self.kgrid,
            k_cutoff=self.k_cutoff,
        )
        return State(positions=positions, cell=cell, numbers=self.numbers.astype(jnp.int32), topology=topology)

    def take(self, indices: np.ndarray) -> Batch:
        """The structures at these places, by indexing on the host."""
        return jax.tree.map(lambda leaf: leaf[indices], self)


@dataclass(frozen=True)
class Dataset:
    """All frames, packed: one Batch for each bucket, and which frames it holds."""

    frames: Sequence[Frame]
    buckets: tuple[Batch, ...]
    members: tuple[np.ndarray, ...]


def pack(
    frames: Sequence[Frame],
    model: Model,
    references: Mapping[str, Mapping[str, float]] | None = None,
    weights: Sequence[float] | None = None,
    dtype: type = np.float32,
    max_buckets: int = 3,
    heads: Heads = Heads(),
) -> Dataset:
    """Topologies of all frames, built once, in at most ``max_buckets`` padded shapes for each kind of label set.

    Args:
        frames: labelled structures.
        model: gives cutoff and reciprocal box.
        references: energy of each element and data set, eV; subtracted in float64. A
            frame of a data set not listed has no energy label.
        weights: one factor a frame on all its labels, 1 by default.
        dtype: of positions and labels.
        heads: which energy readout serves which data set.

    Raises:
        FerrojaxError: no frames, an unusable frame, or an element unknown to the model.
    """
    if not frames:
        raise FerrojaxError("there are no frames; check the path, the element filter and the validation split.")
    for frame in frames:
        require_valid(frame)
    states = [model.prepare(frame.atoms, dtype=dtype, name=frame.source) for frame in frames]
    shapes = [_shape(state, frame) for state, frame in zip(states, frames)]
    factors = np.ones(len(frames)) if weights is None else np.asarray(weights, float)
    plan = plan_buckets(shapes, max_buckets)
    rows = [_labels(frame, references, dtype) for frame in frames]
    served = np.array([heads.of(frame.dataset) for frame in frames], np.int32)
    buckets = tuple(
        _bucket(shape, [states[i] for i in own], [rows[i] for i in own], factors[own], served[own], dtype) for shape, own in plan
    )
    return Dataset(frames=frames, buckets=buckets, members=tuple(own for _, own in plan))


def epoch_order(dataset: Dataset, batch_size: int, seed: int, epoch: int) -> list[tuple[int, np.ndarray]]:
    """Batches of one epoch as (bucket, places in it), a function of seed and epoch alone.

    Every batch is full: the last one of a bucket is filled up from the start of its permutation.
    """
    rng = np.random.default_rng((seed, epoch))
    order = []
    for bucket, members in enumerate(dataset.members):
        batches = -(-len(members) // batch_size)
        places = np.resize(rng.permutation(len(members)), batches * batch_size)
        order += [(bucket, part) for part in places.reshape(batches, batch_size)]
    return [order[i] for i in rng.permutation(len(order))]


def _shape(state: State, frame: Frame) -> Shape:
    assert state.topology is not None
    atoms, slots = state.topology.neighbors.shape
    return Shape(atoms, slots, state.topology.kgrid, frame.born_charges is not None)


def _labels(frame: Frame, references: Mapping[str, Mapping[str, float]] | None, dtype: type) -> dict[str, np.ndarray]:
    """Labels a frame has, the energy less its reference."""
    values = frame.labels()
    if "energy" in values and references is not None and frame.dataset in references:
        values["energy"] = values["energy"] - reference_energy(frame, references)
    else:
        values.pop("energy", None)
    return {name: np.asarray(value, dtype) for name, value in values.items()}


def _bucket(
    shape: Shape, states: list[State], rows: list[dict[str, np.ndarray]], factors: np.ndarray, head: np.ndarray, dtype: type
) -> Batch:
    names = [name for name in LABELS if any(name in row for row in rows)]
    topologies = [_topology(state) for state in states]
    return Batch(
        positions=_stack([s.positions for s in states], (shape.atoms, 3), dtype),
        cell=_stack([s.cell for s in states], (3, 3), dtype),
        numbers=_stack([s.numbers for s in states], (shape.atoms,), np.uint8),
        neighbors=_stack([t.neighbors for t in topologies], (shape.atoms, shape.slots), _index_type(shape.atoms)),
        shifts=_stack([t.shifts for t in topologies], (shape.atoms, shape.slots, 3), np.int8),
        degree=_stack([np.asarray(t.mask).sum(-1) for t in topologies], (shape.atoms,), _index_type(shape.slots + 1)),
        head=head,  # type: ignore[arg-type]
        labels={name: _stack([row.get(name) for row in rows], _label_shape(name, shape.atoms), dtype) for name in names},
        weights={name: np.array([f if name in row else 0.0 for f, row in zip(factors, rows)]).astype(dtype) for name in names},
        cutoff=topologies[0].cutoff,
        kgrid=shape.kgrid,
        k_cutoff=topologies[0].k_cutoff,
    )


def _topology(state: State) -> Topology:
    topology = state.topology
    assert topology is not None
    if np.abs(np.asarray(topology.shifts)).max(initial=0) > 127:
        raise FerrojaxError("a cell image is more than 127 cells away: positions are far outside the cell; wrap them (atoms.wrap()).")
    return topology


def _stack(arrays: list[Any], shape: tuple[int, ...], dtype: Any) -> Any:
    """Arrays, zero-padded at the end of each axis, on a leading axis; None gives zeros."""
    out = np.zeros((len(arrays), *shape), dtype)
    for row, array in enumerate(arrays):
        if array is not None:
            values = np.asarray(array)
            place: Any = (row, *(slice(n) for n in values.shape))
            out[place] = values
    return out


def _label_shape(name: str, atoms: int) -> tuple[int, ...]:
    shapes: dict[str, tuple[int, ...]] = {"energy": (), "forces": (atoms, 3), "dipole": (3,), "born_charges": (atoms, 3, 3)}
    return shapes.get(name, (3, 3))


def _index_type(limit: int) -> type:
    return np.uint8 if limit <= 256 else np.uint16 if limit <= 65536 else np.int32
