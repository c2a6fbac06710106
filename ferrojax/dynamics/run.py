"""The driver: compiled segments, rebuilding the topology between them, and reports."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ferrojax.dynamics.protocols import Protocol, as_protocol, at
from ferrojax.dynamics.reporters import Records, Reporter
from ferrojax.dynamics.rollout import BLOWN_UP, STALE, FieldOfTime, Integrator, Progress, cell_of, rollout, start
from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.state import State, to_ase
from ferrojax.topology import is_valid, rebuild

SEGMENT = 200  # steps in one compiled call, about; then records go to the host


@dataclass
class Run:
    """A finished run: its records, the final state, and where the motion stands.

    Pass ``progress`` and ``state`` to another ``run`` to go on.
    """

    records: Records
    state: State
    progress: Progress
    rebuilds: int


class DynamicsError(FerrojaxError):
    """A run that cannot go on; ``run`` holds everything up to the last good step."""

    def __init__(self, message: str, run: Run) -> None:
        super().__init__(message)
        self.run = run


def run(
    enthalpy: Enthalpy,
    params: Any,
    state: State,
    integrator: Integrator,
    steps: int,
    *,
    key: Array | None = None,
    temperature: float | None = None,
    field: Sequence[float] | np.ndarray | FieldOfTime = (0.0, 0.0, 0.0),
    strain: Protocol | Callable[[Array], Array] | None = None,
    every: int = 10,
    progress: Progress | None = None,
    keep_positions: bool = True,
    trajectory: str | Path | None = None,
    log: str | Path | None = None,
) -> Run:
    """Molecular dynamics in an electric field.

    Args:
        state: from ``model.prepare(atoms, skin=1.0)``; its precision is the run's.
        integrator: NVE, Langevin, NoseHoover, NPT or LangevinNPT; its settings may change without recompilation.
        steps: time steps to take.
        key: of the initial momenta and the thermostat's noise; the same key gives the same run.
        temperature: of the initial momenta, K; by default the thermostat's.
        field: V/Å, a protocol, or a function of the time in fs made of JAX operations. Where the cell changes it is the
            field of the first cell: the potential drop along each lattice vector is what is held.
        strain: protocol of the strain (3 x 3) imposed on the first cell, atoms carried along.
        every: steps between records; the last step is recorded too.
        progress: of an earlier run, to go on from its end instead of drawing momenta.
        keep_positions: whether the records hold positions.
        trajectory, log: extended XYZ and CSV files to write.

    A step that would outrun the neighbour topology is not taken: the topology is rebuilt
    and the step done again, so no pair is ever missed. Positions are never wrapped.

    Raises:
        DynamicsError: positions not finite, an atom that jumps, or a skin too small for
            one time step. Files and ``error.run`` hold the run up to the last good step.
        FerrojaxError: a file cannot be written, or there is neither key nor progress.
    """
    field, strain = as_protocol(field if callable(field) else jnp.asarray(field)), None if strain is None else as_protocol(strain)
    if progress is not None:
        state = _at(state, progress, strain, integrator)
    if not bool(is_valid(state)):
        state = rebuild(state)
    if progress is None:
        progress = _begin(enthalpy, integrator, params, state, field, strain, key, temperature)
    reporter = Reporter(to_ase(state), trajectory, log)
    try:
        return _drive(enthalpy, params, state, integrator, steps, field, strain, every, progress, keep_positions, reporter)
    finally:
        reporter.close()


def _drive(enthalpy, params, state, integrator, steps, field, strain, every, progress, keep_positions, reporter) -> Run:
    stop, rebuilds, parts, last_rebuild = int(progress.step) + steps, 0, [], -1
    blocks = max(1, SEGMENT // every)  # whatever the number of steps, so that no run is compiled for its length
    keep = keep_positions or reporter.trajectory is not None
    while True:
        progress, device = _segment(enthalpy, every, blocks, keep, integrator, params, state, progress, field, strain, stop)
        new = Records.from_device(device, float(integrator.dt))
        reporter.write(new)
        parts.append(new if keep_positions else _without_positions(new))
        state = _at(state, progress, strain, integrator)
        step, verdict = int(progress.step), int(progress.verdict)
        so_far = functools.partial(Run, state=state, progress=progress, rebuilds=rebuilds)
        if verdict == BLOWN_UP:
            raise DynamicsError(_blown_up(step, integrator), so_far(Records.join(parts)))
        if verdict == STALE and last_rebuild == step:
            raise DynamicsError(_outrun(step, state), so_far(Records.join(parts)))
        if verdict == STALE:
            state, rebuilds, last_rebuild = rebuild(state), rebuilds + 1, step
            progress = progress.replace(verdict=jnp.zeros((), jnp.int32))
        elif step == stop:
            return so_far(Records.join(parts))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _segment(enthalpy, every, blocks, keep, integrator, params, state, progress, field, strain, stop):
    return rollout(enthalpy, integrator, params, state, progress, field, stop, every, blocks, keep, strain)


@functools.partial(jax.jit, static_argnums=0)
def _first(enthalpy, integrator, params, state, field, key, temperature, strain):
    return start(enthalpy, integrator, params, state, field, key, temperature, strain)


def _begin(enthalpy, integrator, params, state, field, strain, key, temperature) -> Progress:
    if temperature is None and hasattr(integrator, "temperature"):
        temperature = at(integrator.temperature, jnp.zeros((), state.cell.dtype))
    if key is None or temperature is None:
        raise FerrojaxError("a new run needs key=jax.random.key(seed) and, with NVE, the temperature of its initial momenta.")
    return _first(enthalpy, integrator, params, state, field, key, temperature, strain)


def _at(state: State, progress: Progress, strain: Protocol | None, integrator: Integrator) -> State:
    """The state with the positions and cell that the run has come to."""
    return state.replace(positions=progress.motion.position, cell=cell_of(progress, state, strain, integrator.dt))


def _without_positions(records: Records) -> Records:
    records.positions = None
    return records


def _blown_up(step: int, integrator: Integrator) -> str:
    return (
        f"dynamics: at step {step + 1} ({(step + 1) * float(integrator.dt):g} fs) a position is not finite or an atom jumps; "
        f"the run up to step {step} is kept. Relax the start, use a smaller time step, or train the model on frames this hot."
    )


def _outrun(step: int, state: State) -> str:
    return (
        f"dynamics: at step {step + 1} atoms move farther than the skin of {state.topology.skin:g} Å allows in one step; "
        "prepare the state with skin=1.0, or use a smaller time step."
    )
