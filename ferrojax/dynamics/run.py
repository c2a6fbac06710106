"""The driver: compiled segments, rebuilding the topology between them, and reports."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ferrojax.dynamics.checks import check_run
from ferrojax.dynamics.describe import checksum, describe
from ferrojax.dynamics.output import Folder, Output, Place, open_folder
from ferrojax.dynamics.protocols import Protocol, as_protocol, at
from ferrojax.dynamics.records import Records
from ferrojax.dynamics.rollout import APPROACHES, BLOWN_UP, STALE, FieldOfTime, Integrator, Progress, cell_of, rollout, start
from ferrojax.effective.lattice import LatticeState
from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.signals import caught_signals
from ferrojax.state import State
from ferrojax.topology import is_valid, narrow, rebuild

SEGMENT = 200  # steps in one compiled call, about; then records go to the host
SEGMENT_SECONDS = 5.0  # of one call at most, about, where a step takes long: a signal is heeded between calls


@dataclass
class Run:
    """A finished run: its records, the final state, and where the motion stands.

    Pass ``progress`` and ``state`` to another ``run`` to go on.
    """

    records: Records
    state: State | LatticeState
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
    state: State | LatticeState,
    integrator: Integrator,
    steps: int,
    *,
    key: Array | None = None,
    temperature: float | None = None,
    field: Sequence[float] | np.ndarray | FieldOfTime = (0.0, 0.0, 0.0),
    strain: Protocol | Callable[[Array], Array] | None = None,
    every: int = 10,
    progress: Progress | None = None,
    keep_positions: bool | None = None,
    output: Output | str | Path | None = None,
) -> Run:
    """Molecular dynamics in an electric field.

    Args:
        state: from ``model.prepare(atoms, skin=2.0)``; its precision is the run's. The skin only makes lists last: what lies in
            it is left out on the device (``topology.narrow``).
        integrator: NVE, Langevin, NoseHoover, NPT or LangevinNPT; its settings may change without recompilation.
        steps: time steps to take.
        key: of the initial momenta and the thermostat's noise; the same key gives the same run.
        temperature: of the initial momenta, K; by default the thermostat's.
        field: V/Å, a protocol, or a function of the time in fs made of JAX operations. Where the cell changes it is the
            field of the first cell: the potential drop along each lattice vector is what is held.
        strain: protocol of the strain (3 x 3) imposed on the first cell, atoms carried along.
        every: steps between records; the last step is recorded too.
        progress: of an earlier run, to go on from its end instead of drawing momenta.
        keep_positions: whether the records in memory hold positions; by default unless they go to an output folder. A run
            that was resumed has those of its first part only there.
        output: folder to write to, or an Output with more settings. Called again with the same arguments after a kill, the
            run goes on from its last checkpoint and ends with the same files, bit for bit; with more steps, it gets longer.
            SIGTERM and SIGINT then write a checkpoint and exit with status 128 + signal.

    A step that would outrun the neighbour topology is not taken: the topology is rebuilt
    and the step done again, so no pair is ever missed. Positions are never wrapped.

    Raises:
        DynamicsError: positions not finite, an atom that jumps, or a skin too small for
            one time step. Files and ``error.run`` hold the run up to the last good step.
        FerrojaxError: a setting makes no sense (see check_run), the folder cannot be written or holds another
            run, or there is neither key nor progress.
    """
    field, strain = as_protocol(field if callable(field) else jnp.asarray(field)), None if strain is None else as_protocol(strain)
    begun = 0 if progress is None else int(progress.step)
    check_run(state, integrator, steps, every, field, strain, temperature, begun)
    kelvin = _initial_temperature(integrator, key, temperature, progress)
    first = state if progress is None else _at(state, progress, strain, integrator)
    if first.topology is not None:
        first = narrow(first) if first.topology.near is None else first
        first = first if bool(is_valid(first)) else rebuild(first)

    def begin() -> Progress:
        return progress if progress is not None else _first(enthalpy, integrator, params, first, field, key, kelvin, strain)

    drive = _Drive(enthalpy, params, integrator, field, strain, every, begun + steps, bool(keep_positions))
    if output is None:
        drive.keep_positions = keep_positions is not False
        return drive.go(Place(begin(), first, 0), [])
    output = output if isinstance(output, Output) else Output(output)
    settings = {"integrator": integrator, "field": field, "strain": strain, "every": every, "temperature": kelvin, "key": key}
    settings |= {"enthalpy": enthalpy, "trajectory": output.trajectory, "kept": output.kept}
    described = describe(settings) | _material(params, state, progress)
    with open_folder(output, described, first, float(integrator.dt), begun + steps) as drive.folder:
        place, earlier = drive.folder.resume(lambda: jax.eval_shape(begin))
        return drive.go_on(place or Place(begin(), first, 0), earlier)


@dataclass
class _Drive:
    """The loop over segments of one run, in memory or into a folder."""

    enthalpy: Enthalpy
    params: Any
    integrator: Integrator
    field: Protocol
    strain: Protocol | None
    every: int
    stop: int
    keep_positions: bool
    folder: Folder | None = None
    caught: list[int] = dataclasses.field(default_factory=list)
    seconds: float = 0.0  # a step takes, of late

    def go_on(self, place: Place, earlier: list[Records]) -> Run:
        """The loop with files and signals; the folder is closed however it ends."""
        assert self.folder is not None
        status, message = "failed", ""
        try:
            with caught_signals() as self.caught:
                run = self.go(place, earlier)
            status = "finished"
            return run
        except FerrojaxError as error:
            message = str(error)
            raise
        except (SystemExit, KeyboardInterrupt):
            status = "stopped"
            raise
        finally:
            self.folder.close(status, message)

    def go(self, place: Place, parts: list[Records]) -> Run:
        """Segments until the last step, an error or a signal."""
        last_rebuild, tries = -1, 0
        place = place._replace(state=_at(place.state, place.progress, self.strain, self.integrator))
        while int(place.progress.step) < self.stop:
            place, new = self._segment(place)
            if self.folder is not None:
                self.folder.note(place, new)
            parts.append(new if self.keep_positions else new.without_atoms())
            step, verdict = int(place.progress.step), int(place.progress.verdict)
            place = place._replace(progress=place.progress.replace(verdict=jnp.zeros((), jnp.int32)))
            if verdict == BLOWN_UP:
                self._fail(_blown_up(step, self.integrator), place, parts)
            if verdict == STALE:
                assert isinstance(place.state, State)  # a lattice has no topology to outrun
                tries = tries + 1 if last_rebuild == step else 1
                if tries > len(APPROACHES):
                    self._fail(_outrun(step, place.state), place, parts)
                rebuilt = rebuild(place.state, APPROACHES[tries - 1])
                place, last_rebuild = place._replace(state=rebuilt, rebuilds=place.rebuilds + 1), step
            if self.folder is not None and self.caught:
                self._stop(place)
        if self.folder is not None:
            self.folder.save(place)
            self.folder.finish()
        return Run(Records.join(parts), place.state, place.progress, place.rebuilds)

    def _segment(self, place: Place) -> tuple[Place, Records]:
        """One compiled call."""
        kept, began = self.folder.output.kept if self.folder else (), time.monotonic()
        # The number of blocks does not depend on that of the steps, so that no run is compiled for its length.
        blocks = max(1, SEGMENT // self.every)
        keep = (self.keep_positions or "positions" in kept, bool({"velocities", "forces"} & set(kept)))
        arguments = (self.integrator, self.params, place.state, place.progress, self.field, self.strain, self._until(place, blocks))
        progress, device = _segment(self.enthalpy, self.every, blocks, keep, *arguments)
        new = Records.from_device(device, float(self.integrator.dt))
        self.seconds = (time.monotonic() - began) / max(1, int(progress.step - place.progress.step))
        return place._replace(progress=progress, state=_at(place.state, progress, self.strain, self.integrator)), new

    def _until(self, place: Place, blocks: int) -> int:
        """The step to stop at: fewer blocks where a step takes long, so that a signal need not wait."""
        affordable = SEGMENT_SECONDS / (self.seconds * self.every) if self.seconds else blocks
        return min(self.stop, (int(place.progress.step) // self.every + max(1, min(blocks, int(affordable)))) * self.every)

    def _stop(self, place: Place) -> NoReturn:
        """End as a signal asks, to be gone on with."""
        assert self.folder is not None
        self.folder.save(place)
        self.folder.finish()
        raise SystemExit(128 + self.caught[0])

    def _fail(self, message: str, place: Place, parts: list[Records]) -> NoReturn:
        """Keep everything up to the last good step."""
        if self.folder is not None:
            self.folder.save(place)
            self.folder.finish()
        raise DynamicsError(message, Run(Records.join(parts), place.state, place.progress, place.rebuilds))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _segment(enthalpy, every, blocks, keep, integrator, params, state, progress, field, strain, stop):
    positions, motion = keep
    return rollout(enthalpy, integrator, params, state, progress, field, stop, every, blocks, positions, strain, keep_motion=motion)


@functools.partial(jax.jit, static_argnums=0)
def _first(enthalpy, integrator, params, state, field, key, temperature, strain):
    return start(enthalpy, integrator, params, state, field, key, temperature, strain)


def _initial_temperature(integrator: Integrator, key: Array | None, temperature: Any, progress: Progress | None) -> Any:
    """Kelvin of the first momenta; None if the run goes on from another."""
    if progress is not None:
        return None
    if temperature is None and hasattr(integrator, "temperature"):
        temperature = at(integrator.temperature, jnp.zeros(()))
    if key is None or temperature is None:
        raise FerrojaxError("a new run needs key=jax.random.key(seed) and, with NVE, the temperature of its initial momenta.")
    return temperature


def _material(params: Any, state: State | LatticeState, progress: Progress | None) -> dict[str, Any]:
    """Model and start of a run, for the comparison with the one in its folder."""
    structure: dict[str, Any] = {"rows": len(state.coordinates), "precision": str(state.cell.dtype)}
    structure |= {"checksum": checksum((state.coordinates, state.cell, state.masses))}
    structure |= {} if state.topology is None else {"skin": state.topology.skin}
    return {"structure": structure, "params": checksum(params), "progress": None if progress is None else checksum(progress)}


def _at(state: State | LatticeState, progress: Progress, strain: Protocol | None, integrator: Integrator) -> State | LatticeState:
    """The state with the positions and cell that the run has come to."""
    return state.at(progress.motion.position, cell_of(progress, state, strain, integrator.dt))


def _blown_up(step: int, integrator: Integrator) -> str:
    return (
        f"dynamics: at step {step + 1} ({(step + 1) * float(integrator.dt):g} fs) a position is not finite or an atom jumps; "
        f"the run up to step {step} is kept. Relax the start, use a smaller time step, or train the model on frames this hot."
    )


def _outrun(step: int, state: State) -> str:
    return (
        f"dynamics: at step {step + 1} atoms move farther than the skin of {state.topology.skin:g} Å allows in one step; "
        "prepare the state with skin=2.0, or use a smaller time step."
    )
