"""The same run many times over: temperatures, fields, strains, seeds, parameters; vmapped on a device, spread over devices.

    fleet = run_replicas(enthalpy, params, state, [Langevin(temperature=T) for T in (200.0, 400.0, 600.0)], 10_000, key=key)

What is a list or ``stack([...])`` differs from replica to replica, everything else is shared.
Replicas do not talk to each other, so each device runs its own without waiting for the others.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from ferrojax.dynamics.protocols import Protocol, as_protocol, at
from ferrojax.dynamics.rollout import APPROACHES, BLOWN_UP, RUNNING, STALE, Integrator, Progress, Record, cell_of, rollout, start
from ferrojax.dynamics.stacking import Stacked, as_stacked, count_of, describe, widen
from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.topology import is_valid, narrow, rebuild

SEGMENT = 100  # steps in one compiled call, about: a replica that is stale rests for the remainder, so shorter than in a single run
AXIS = "replicas"
Report = Callable[[int, Record], None]


@dataclass
class Replicas:
    """Finished runs; each array has a leading replica axis.

    records: NumPy arrays (replicas, records, ...); ``fresh`` is False, and numbers NaN, where a replica ended before.
    state, progress: where each stands; ``one`` gives those of one replica, for ``run``.
    rebuilds: of each replica's topology. failures: what became of replicas that could not go on, by index.
    """

    records: Record
    state: State
    progress: Progress
    rebuilds: np.ndarray
    failures: dict[int, str]

    def __len__(self) -> int:
        return len(self.rebuilds)

    def one(self, index: int) -> tuple[State, Progress]:
        """State and progress of a replica."""
        return _one((self.state, self.progress), index)


def run_replicas(
    enthalpy: Enthalpy,
    params: Any,
    state: State | list[State] | Stacked,
    integrator: Integrator | list[Integrator] | Stacked,
    steps: int,
    *,
    key: Array | None = None,
    temperature: Any = None,
    field: Any = (0.0, 0.0, 0.0),
    strain: Any = None,
    every: int = 10,
    keep_positions: bool = True,
    after: Replicas | None = None,
    devices: Sequence[jax.Device] | None = None,
    report: Report | None = None,
) -> Replicas:
    """``run`` for many replicas at once, each with the numbers it has alone (to rounding).

    Args: as of ``run``, and each of params, state, integrator, temperature, field and strain may be ``stack([...])``, one
        item per replica (a list will do for states and integrators). Those must be of one kind: numbers differ, kinds do not.
        key: one, split into one per replica by ``jax.random.split``, or an array of them.
        after: earlier replicas, to go on from their end; ``state`` is then not used.
        devices: by default those of this process; replicas are dealt out evenly, the last device padded.
        report: called with (index, fresh records as NumPy arrays) after each segment, to write files.

    A replica that outruns its topology is rebuilt on the host and goes on where it stopped, in its own
    time. One that blows up stays at its last good step with a warning that gives index and settings, and the
    others go on. All replicas of a device compute side by side, so one at rest costs what a running one costs.

    Raises:
        FerrojaxError: numbers of replicas that disagree, replicas of different kind, neither key nor ``after``.
    """
    shared_state = state.tree if isinstance(state, Stacked) else state[0] if isinstance(state, list) else state
    dtype = shared_state.cell.dtype
    conditions = {"integrator": integrator, "field": _protocol(field), "strain": _protocol(strain), "temperature": temperature}
    settings = {name: as_stacked(item, dtype) for name, item in conditions.items()}
    settings |= {"params": params, "state": as_stacked(state, dtype), "key": Stacked(key) if key is not None and key.ndim else key}
    count = count_of(settings | ({} if after is None else {"after": Stacked(after.progress)}))
    fleet = _Fleet(enthalpy, settings, count, every, keep_positions, _mesh(devices, count), report)
    fleet.begin(after)
    fleet.drive(steps)
    return fleet.result()


class _Fleet:
    """Replicas under way: padded to a multiple of the devices, with what the host knows of each."""

    def __init__(self, enthalpy: Enthalpy, settings: dict[str, Any], count: int, every: int, keep: bool, mesh: Mesh, report: Report | None):
        self.enthalpy, self.count, self.every, self.keep, self.mesh, self.report = enthalpy, count, every, keep, mesh, report
        self.order = np.minimum(np.arange(-(-count // mesh.size) * mesh.size), count - 1)
        self.names = {k: v for k, v in settings.items() if k not in ("params", "state", "key")}
        self.settings = {name: self._place(item) for name, item in settings.items()}
        self.rebuilds, self.last_rebuild, self.tries = np.zeros(count, int), np.full(count, -1), np.zeros(count, int)
        self.parts: list[list[Record]] = [[] for _ in range(count)]
        self.failures: dict[int, str] = {}

    def begin(self, after: Replicas | None) -> None:
        """Topologies, momenta and first forces, or those of earlier replicas."""
        if after is not None:
            self.state, self.progress = (self._place(Stacked(tree)) for tree in (after.state, after.progress))
            self.rebuilds, self.failures = after.rebuilds.copy(), dict(after.failures)
        else:
            given = self.settings["state"]
            spread = lambda leaf: jnp.broadcast_to(leaf, (self.count, *leaf.shape))  # noqa: E731
            self.state = given if isinstance(given, Stacked) else self._place(Stacked(jax.tree.map(spread, given)))
        self._narrow()
        self.cells = self.state.tree.cell
        for k in np.flatnonzero(~np.asarray(_valid(self.state.tree))[: self.count]):
            self._rebuild(int(k), _one(self.state.tree, k))
        if after is None:
            self.progress = Stacked(self._first())
        # Those that only pad rest from the start.
        rest = jnp.asarray(np.arange(len(self.order)) >= self.count)
        progress = self.progress.tree
        self.progress = Stacked(progress.replace(verdict=jnp.where(rest, BLOWN_UP, progress.verdict)))

    def drive(self, steps: int) -> None:
        """Segments until each replica has arrived or failed."""
        stop = int(np.asarray(self.progress.tree.step).max()) + steps
        blocks = max(1, min(SEGMENT, steps) // self.every)
        s = self.settings
        while True:
            arguments = (s["integrator"], s["params"], self.state, self.progress, s["field"], s["strain"], jnp.asarray(stop, jnp.int32))
            progress, records, cells = _segment(self.enthalpy, self.every, blocks, self.keep, self.mesh, *arguments)
            self.progress, self.cells = Stacked(progress), cells
            self._collect(records)
            step, verdict = np.asarray(progress.step)[: self.count], np.asarray(progress.verdict)[: self.count]
            for k in np.flatnonzero(verdict == STALE):
                self._mend(int(k), int(step[k]))
            for k in np.flatnonzero(verdict == BLOWN_UP):
                self._fail(int(k), f"at step {step[k] + 1} a position is not finite or an atom jumps")
            if all(step[k] == stop or k in self.failures for k in range(self.count)):
                return

    def result(self) -> Replicas:
        """Without the padding."""
        progress = jax.tree.map(lambda leaf: leaf[: self.count], self.progress.tree)
        state = jax.tree.map(lambda leaf: leaf[: self.count], self.state.tree)
        state = state.replace(positions=progress.motion.position, cell=self.cells[: self.count])
        return Replicas(_joined(self.parts, self.blank), state, progress, self.rebuilds, self.failures)

    def _first(self) -> Progress:
        s, key = self.settings, self.settings["key"]
        if key is None or (s["temperature"] is None and not hasattr(_tree(s["integrator"]), "temperature")):
            raise FerrojaxError("new replicas need key=jax.random.key(seed) and, with NVE, the temperature of their initial momenta.")
        keys = key if isinstance(key, Stacked) else self._place(Stacked(jax.random.split(key, self.count)))
        arguments = (s["integrator"], s["params"], self.state, s["field"], keys, s["temperature"], s["strain"])
        return _begin(self.enthalpy, self.mesh, *arguments)

    def _place(self, item: Any) -> Any:
        """Padded and split over the devices if stacked."""
        if not isinstance(item, Stacked):
            return item
        return jax.device_put(item.pick(self.order), NamedSharding(self.mesh, PartitionSpec(AXIS)))

    def _collect(self, records: Record) -> None:
        """Fresh records of each replica to the host."""
        host = jax.tree.map(np.asarray, records)
        self.blank = jax.tree.map(lambda leaf: leaf[0, :0], host)
        for k in range(self.count):
            fresh = host.fresh[k]
            if fresh.any():
                part = jax.tree.map(lambda leaf: leaf[k][fresh], host)  # noqa: B023
                self.parts[k].append(part)
                if self.report is not None:
                    self.report(k, part)

    def _mend(self, k: int, step: int) -> None:
        """A new topology for a stale replica, which then goes on."""
        tries = self.tries[k] + 1 if self.last_rebuild[k] == step else 1
        if tries > len(APPROACHES):
            skin = self.state.tree.topology.skin
            return self._fail(k, f"at step {step + 1} atoms move farther than the skin of {skin:g} Å allows in one step")
        self.last_rebuild[k], self.tries[k] = step, tries
        self._rebuild(k, self._current(k), APPROACHES[tries - 1])
        return self._judge(k, RUNNING)

    def _narrow(self) -> None:
        """Evaluations look at the neighbours within the cutoff alone (``topology.narrow``), of as many as any replica needs."""
        tree = self.state.tree
        if tree.topology is not None and tree.topology.near is None:
            self.state = Stacked(narrow(tree))

    def _rebuild(self, k: int, state: State, approach: float = APPROACHES[0]) -> None:
        """Replace the topology of replica k; if it needs more room, so do those of all."""
        new, old = rebuild(state, approach).topology, self.state.tree.topology
        assert new.near is not None
        slots, kgrid = max(new.mask.shape[-1], old.mask.shape[-1]), tuple(np.maximum(new.kgrid, old.kgrid).tolist())
        if (slots, kgrid, new.near) != (old.mask.shape[-1], old.kgrid, old.near):
            old = widen(old, slots, kgrid, new.near)
        topology = _put(old, k, widen(new, slots, kgrid, new.near))
        self.state = Stacked(self.state.tree.replace(topology=topology))
        self.rebuilds[k] += 1

    def _current(self, k: int) -> State:
        here = _one(self.state.tree, k)
        return here.replace(positions=self.progress.tree.motion.position[k], cell=self.cells[k])

    def _judge(self, k: int, verdict: int) -> None:
        progress = self.progress.tree
        self.progress = Stacked(progress.replace(verdict=progress.verdict.at[k].set(verdict)))

    def _fail(self, k: int, what: str) -> None:
        if k in self.failures:
            return
        self.failures[k] = f"replica {k} ({describe(self.names, k)}): {what}; it is kept up to the step before."
        self._judge(k, BLOWN_UP)
        warnings.warn(self.failures[k], stacklevel=4)


def spread(function: Callable, mesh: Mesh, *arguments: Any) -> Any:
    """``function`` of each replica's own arguments (Stacked) and the shared ones: vmap on each device of the mesh."""
    own = [isinstance(a, Stacked) for a in arguments]
    specs = tuple(PartitionSpec(AXIS) if mine else PartitionSpec() for mine in own)
    local = jax.vmap(function, in_axes=tuple(0 if mine else None for mine in own))
    # No device talks to another: there is nothing to check about what varies over the mesh.
    sharded = jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(AXIS), check_vma=False)
    return sharded(*(_tree(a) for a in arguments))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _segment(enthalpy, every, blocks, keep, mesh, *arguments):
    def one(integrator, params, state, progress, field, strain, stop):
        strain = None if strain is None else as_protocol(strain)
        progress, records = rollout(enthalpy, integrator, params, state, progress, field, stop, every, blocks, keep, strain)
        return progress, records, cell_of(progress, state, strain, integrator.dt)

    return spread(one, mesh, *arguments)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _begin(enthalpy, mesh, *arguments):
    def one(integrator, params, state, field, key, temperature, strain):
        heat = at(integrator.temperature, jnp.zeros((), state.cell.dtype)) if temperature is None else temperature
        return start(enthalpy, integrator, params, state, field, key, heat, None if strain is None else as_protocol(strain))

    return spread(one, mesh, *arguments)


_valid = jax.jit(jax.vmap(is_valid))


@jax.jit
def _put(tree, index, item):
    return jax.tree.map(lambda leaf, new: leaf.at[index].set(new), tree, item)


def _mesh(devices: Sequence[jax.Device] | None, count: int) -> Mesh:
    """No more devices than replicas."""
    devices = jax.local_devices() if devices is None else list(devices)
    if not devices:
        raise FerrojaxError("replicas: an empty list of devices; leave it out for all of this process.")
    return Mesh(np.asarray(devices[:count]), (AXIS,))


def _protocol(value: Any) -> Any:
    if value is None or isinstance(value, Protocol | Stacked):
        return value
    return as_protocol(value if callable(value) else jnp.asarray(value))


def _one(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _tree(item: Any) -> Any:
    return item.tree if isinstance(item, Stacked) else item


def _joined(parts: list[list[Record]], blank: Record) -> Record:
    """Records of all replicas side by side, the shorter ones filled up with NaN."""
    columns = [jax.tree.map(lambda *xs: np.concatenate(xs), blank, *own) for own in parts]
    longest = max(len(column.fresh) for column in columns)

    def fill(leaf: np.ndarray) -> np.ndarray:
        empty = np.nan if np.issubdtype(leaf.dtype, np.floating) else 0
        return np.concatenate([leaf, np.full((longest - len(leaf), *leaf.shape[1:]), empty, leaf.dtype)])

    return jax.tree.map(lambda *leaves: np.stack([fill(leaf) for leaf in leaves]), *columns)
