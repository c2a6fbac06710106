"""Many of a thing as one pytree with a leading axis: integrators, protocols, parameters, and states with common shapes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ferrojax.distributed.layout import Whole
from ferrojax.dynamics.protocols import as_protocol
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.topology import Topology, narrow


class Stacked(struct.PyTreeNode):
    """One per replica: every leaf of ``tree`` has a leading replica axis."""

    tree: Any

    @property
    def count(self) -> int:
        """Replicas."""
        return int(jax.tree.leaves(self.tree)[0].shape[0])

    def pick(self, order: Any) -> Stacked:
        """Replicas by index, in any order and as often as wanted."""
        return Stacked(jax.tree.map(lambda leaf: leaf[order], self.tree))


def stack(items: Sequence[Any]) -> Stacked:
    """One thing per replica: integrators, protocols, vectors, parameters or states.

    Numbers may differ, kinds may not. States get common shapes: as many neighbour slots and
    reciprocal vectors as the largest needs, so each may be rebuilt alone.

    Raises:
        FerrojaxError: nothing to stack, or items of different kind, shape, skin or cutoff.
    """
    items = [as_protocol(item) if callable(item) else item for item in items]
    if not items:
        raise FerrojaxError("stack: nothing to stack; give one item per replica.")
    if isinstance(items[0], State):
        items = common_shapes(items)
    kinds: list[Any] = [jax.tree.structure(item) for item in items]
    shapes = [[jnp.shape(leaf) for leaf in jax.tree.leaves(item)] for item in items]
    for k, (kind, shape) in enumerate(zip(kinds, shapes)):
        if kind != kinds[0] or shape != shapes[0]:
            raise FerrojaxError(f"stack: item {k} is not of the kind and shape of item 0, so they cannot run side by side: {kind}.")
    return Stacked(jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *items))


def common_shapes(states: Sequence[State]) -> list[State]:
    """The states with topologies of the same slots and reciprocal box. Raises FerrojaxError if they are of different kind."""
    for k, state in enumerate(states):
        if state.topology is None or not isinstance(state.topology.layout, Whole):
            raise FerrojaxError(f"stack: state {k} has no topology of its own on one device; make it with model.prepare(atoms, skin=1.0).")
        if state.positions.shape != states[0].positions.shape:
            raise FerrojaxError(f"stack: state {k} has {len(state.positions)} atoms, state 0 has {len(states[0].positions)}; pad them.")
        for name in ("cutoff", "skin", "k_cutoff"):
            here, first = getattr(state.topology, name), getattr(states[0].topology, name)
            if here != first:
                raise FerrojaxError(f"stack: the {name} of state {k} is {here:g}, of state 0 {first:g}; prepare them alike.")
    slots = max(state.topology.neighbors.shape[1] for state in states)
    boxes = np.array([state.topology.kgrid for state in states]).max(0)
    kgrid = (int(boxes[0]), int(boxes[1]), int(boxes[2]))
    if any(state.topology.near is not None for state in states):
        states = [narrow(state, state.topology.near or 0) for state in states]
    near = max((state.topology.near for state in states), key=lambda places: places or 0)
    return [state.replace(topology=widen(state.topology, slots, kgrid, near)) for state in states]


def widen(topology: Topology, slots: int, kgrid: tuple[int, int, int], near: int | None) -> Topology:
    """The topology, of one state or stacked, with empty slots and a larger reciprocal box, and places for near pairs: the same energy."""
    missing = slots - topology.mask.shape[-1]

    def padded(leaf: Any, axis: int) -> Any:
        room = [(0, 0)] * leaf.ndim
        room[axis] = (0, missing)
        return jnp.pad(leaf, room)

    neighbors, shifts, mask = padded(topology.neighbors, -1), padded(topology.shifts, -2), padded(topology.mask, -1)
    return dataclasses.replace(topology, neighbors=neighbors, shifts=shifts, mask=mask, kgrid=kgrid, near=near)


def as_stacked(item: Any, dtype: Any) -> Any:
    """A list made into ``Stacked``, its floating-point leaves in the precision of the run; a shared item as it is."""
    if isinstance(item, list):
        item = stack(item)
    if not isinstance(item, Stacked):
        return item
    # Stacked numbers lose the adaptable precision of plain Python ones, and would lift a float32 run to float64.
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, item)


def count_of(items: dict[str, Any]) -> int:
    """How many replicas; FerrojaxError if no item is stacked, or they disagree."""
    counts = {name: item.count for name, item in items.items() if isinstance(item, Stacked)}
    if not counts:
        raise FerrojaxError(f"replicas: nothing tells how many; give a list, or stack([...]), of at least one of {', '.join(items)}.")
    if len(set(counts.values())) > 1:
        raise FerrojaxError(f"replicas: {', '.join(f'{n} of {name}' for name, n in counts.items())}; give the same number of each.")
    return next(iter(counts.values()))


def describe(items: dict[str, Any], index: int) -> str:
    """The small numbers that are a replica's own, as name=value."""
    found = []
    for name, item in items.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(item.tree) if isinstance(item, Stacked) else []:
            if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) and leaf[0].size <= 9:
                label = ".".join([name, *(str(getattr(p, "name", getattr(p, "key", getattr(p, "idx", p)))) for p in path)])
                found.append(f"{label}={np.array2string(np.asarray(leaf[index]), precision=6, separator=', ')}".replace("\n", ""))
    return ", ".join(found) or "the settings of all"
