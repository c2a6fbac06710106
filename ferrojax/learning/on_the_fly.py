"""Molecular dynamics that ends where the model does, to be labelled there and gone on with: on-the-fly learning."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ferrojax.dynamics import run
from ferrojax.dynamics.protocols import as_protocol, at
from ferrojax.dynamics.rollout import Integrator, Progress, start
from ferrojax.dynamics.run import DynamicsError
from ferrojax.enthalpy import shared_enthalpy
from ferrojax.learning.deviation import Measure
from ferrojax.learning.explore.check import is_open, name_of
from ferrojax.learning.explore.dynamics import frame_at, with_room
from ferrojax.state import State

FINER = 10  # times more often, where a look was too late


@dataclass
class Stretch:
    """One stretch of a run.

    frames: looked at, without those above the trust levels; if ``doubt``, the last is the one to label. left: where the run goes on,
    with momenta (ASE's) and its time (``info["time"]``, fs).
    """

    left: Atoms
    frames: list[Atoms] = dataclasses.field(default_factory=list)
    doubt: bool = False


def run_until_doubt(
    measure: Measure,
    params: Any,
    atoms: Atoms,
    integrator: Integrator,
    steps: int,
    levels: tuple[float, float],
    every: int = 50,
    field: Any = (0.0, 0.0, 0.0),
    seed: int = 0,
    skin: float = 2.0,
) -> Stretch:
    """Dynamics up to the first look at which ε_F is above the low trust level.

    Where one look jumps over the high level, finds atoms too close or comes after a run that broke off, the time since the look before is
    run again with looks ten times as often, in the end at every step; if that jumps too, the last structure below is the one to label.

    Args:
        measure: whose ``max_force`` is ε_F; its model moves the atoms, with ``params``.
        atoms: start; momenta and ``info["time"]`` of an earlier stretch are taken up, protocols go on in time.
        steps: of the whole run, earlier stretches counted. levels: low and high, eV/Å. every: steps between looks. field: V/Å.

    Raises FerrojaxError as ``run`` does, but for a run that blows up.
    """
    walk = _Walk(measure, params, integrator, field, every, atoms, _first_state(measure.model, atoms, skin))
    walk.begin(seed)
    frames, last, stride = [], walk.frame(), every
    while walk.step < steps:
        before = walk.state, walk.progress
        doubt = walk.take(min(stride, steps - walk.step))
        if doubt <= levels[0]:
            last = walk.frame()
            frames.append(last)
        elif doubt <= levels[1]:
            return Stretch(walk.frame(), [_bare(frame) for frame in [*frames, walk.frame()]], True)
        elif stride == 1:
            return Stretch(last, [_bare(frame) for frame in frames or [last]], True)
        else:
            stride = max(1, stride // FINER)
            walk.state, walk.progress = before
    return Stretch(last, [_bare(frame) for frame in frames])


@dataclass
class _Walk:
    """A run that is taken a few steps at a time."""

    measure: Measure
    params: Any
    integrator: Integrator
    field: Any
    every: int
    atoms: Atoms
    state: State
    progress: Progress | None = None

    @property
    def step(self) -> int:
        assert self.progress is not None
        return int(self.progress.step)

    def begin(self, seed: int) -> None:
        """Momenta of the structure if it has any, else of the thermostat's temperature."""
        taken = self.atoms.get_momenta() if self.atoms.has("momenta") else None
        begun = round(float(self.atoms.info.get("time", 0.0)) / float(self.integrator.dt))
        kelvin = at(self.integrator.temperature, jnp.asarray(begun * float(self.integrator.dt)))  # type: ignore[union-attr]
        momenta = None if taken is None else jnp.asarray(taken, self.state.cell.dtype)
        system = (shared_enthalpy(self.measure.model), self.integrator, self.params, self.state, as_protocol(self.field))
        self.progress = _start(*system, jax.random.key(seed), kelvin, None, momenta, begun)

    def take(self, steps: int) -> float:
        """So many steps; ε_F then, NaN, which is below no level, if there is no sound structure."""
        system = (shared_enthalpy(self.measure.model), self.params, self.state, self.integrator, steps)
        try:
            done = run(*system, progress=self.progress, field=self.field, every=self.every, keep_positions=False)
        except DynamicsError:
            return np.nan
        assert isinstance(done.state, State)
        self.state, self.progress = done.state, done.progress
        return float(_max_force(self.measure, self.state)) if is_open(self.frame()) else np.nan

    def frame(self) -> Atoms:
        """The present structure with momenta, wrapped."""
        assert self.progress is not None
        time = self.step * float(self.integrator.dt)
        made = frame_at(self.atoms, self.state.positions[: len(self.atoms)], self.state.cell, self.integrator, time)
        made.info["name"] = name_of(self.atoms)  # of the run, whatever is read back
        made.set_momenta(np.asarray(self.progress.motion.momentum, float)[: len(self.atoms)])
        return made


def _first_state(model: Any, atoms: Atoms, skin: float) -> State:
    return with_room(model, model.prepare(atoms, np.float32, skin=skin, name=name_of(atoms)))


def _bare(frame: Atoms) -> Atoms:
    """Without momenta, which belong to where a run goes on."""
    bare = frame.copy()
    del bare.arrays["momenta"]
    return bare


_start = jax.jit(start, static_argnums=0)


@jax.jit
def _max_force(measure: Measure, state: State) -> jax.Array:
    return jnp.asarray(measure.deviation(state).max_force)
