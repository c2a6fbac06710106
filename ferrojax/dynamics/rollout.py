"""A stretch of dynamics as one pure function: jit it, or differentiate through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.motion import draw_momenta, kinetic_energy, masses, temperature
from ferrojax.dynamics.nve import NVE
from ferrojax.enthalpy import Enthalpy
from ferrojax.response.first import energy_dipole, forces
from ferrojax.state import State
from ferrojax.topology import is_valid

Integrator = NVE | Langevin
FieldOfTime = Callable[[Array], Float[Array, "3"]]

RUNNING, STALE, BLOWN_UP = 0, 1, 2
MAX_STEP = 0.5  # Å; an atom that moves farther in one time step is running away


class Progress(struct.PyTreeNode):
    """Where a run stands.

    motion: jax-md's state: position, momentum, force, mass (and rng).
    step: steps taken so far.
    verdict: RUNNING; STALE if the next step would leave the topology's skin; BLOWN_UP
        if it is not finite or an atom jumps by more than MAX_STEP. That step is not
        taken: the motion is the last good one.
    """

    motion: Any
    step: Int[Array, ""]
    verdict: Int[Array, ""]


class Record(struct.PyTreeNode):
    """Observables at one step; ``fresh`` is False for a place that holds none.

    potential: the enthalpy F, eV; total: F plus kinetic energy. temperature: K.
    dipole: M = -∂F/∂E, e Å, continuous in time. field: V/Å. positions: Å, None unless kept.
    """

    fresh: Bool[Array, "..."]
    step: Int[Array, "..."]
    potential: Float[Array, "..."]
    total: Float[Array, "..."]
    temperature: Float[Array, "..."]
    dipole: Float[Array, "... 3"]
    field: Float[Array, "... 3"]
    positions: Float[Array, "... atoms 3"] | None


def start(
    enthalpy: Enthalpy,
    integrator: Integrator,
    params: Any,
    state: State,
    field: FieldOfTime,
    key: Array,
    temperature: float | Float[Array, ""],
) -> Progress:
    """A run at step 0 with Maxwell-Boltzmann momenta at ``temperature`` (K)."""
    init, _ = integrator.build(_forces(enthalpy, params, state), state)
    draw, noise = jax.random.split(key)
    momenta, time = draw_momenta(draw, state, temperature), jnp.zeros((), state.cell.dtype)
    motion = init(noise, state.positions, mass=masses(state), momenta=momenta, field=_at(field, time))
    return Progress(motion, jnp.zeros((), jnp.int32), jnp.full((), RUNNING, jnp.int32))


def rollout(
    enthalpy: Enthalpy,
    integrator: Integrator,
    params: Any,
    state: State,
    progress: Progress,
    field: FieldOfTime,
    stop: int | Int[Array, ""],
    every: int = 10,
    blocks: int = 1,
    keep_positions: bool = False,
) -> tuple[Progress, Record]:
    """Steps from ``progress`` to step ``stop``, at most ``every * blocks`` of them.

    A record is made at each multiple of ``every`` and at ``stop``. A scan over scans,
    without host round trips; differentiable in forward and reverse mode with respect
    to params, state, progress, the integrator's settings and whatever ``field`` closes
    over. Once the verdict is not RUNNING nothing more happens.

    Args:
        state: gives cell, species and topology; its positions are not used.
        field: E(t) in V/Å for t in fs, traced with the rest.
    """
    _, apply = integrator.build(_forces(enthalpy, params, state), state)

    def advance(progress: Progress) -> Progress:
        time = (progress.step + 1).astype(state.cell.dtype) * integrator.dt
        after = apply(progress.motion, field=_at(field, time))
        verdict = _verdict(progress.motion, after, state)
        motion = jax.tree.map(lambda old, new: jnp.where(verdict == RUNNING, new, old), progress.motion, after)
        return Progress(motion, progress.step + (verdict == RUNNING), verdict)

    def observe(progress: Progress) -> Record:
        here = state.replace(positions=progress.motion.position)
        e = _at(field, progress.step.astype(state.cell.dtype) * integrator.dt)
        potential, dipole = energy_dipole(enthalpy, params, here, e)
        momenta = progress.motion.momentum
        total, kelvin = potential + kinetic_energy(momenta, state), temperature(momenta, state)
        kept = here.positions if keep_positions else None
        return Record(jnp.array(True), progress.step, potential, total, kelvin, dipole, e, kept)

    def block(before: Progress, _: None) -> tuple[Progress, Record]:
        end = jnp.minimum((before.step // every + 1) * every, stop)

        def step(progress: Progress, _: None) -> tuple[Progress, None]:
            go = (progress.verdict == RUNNING) & (progress.step < end)
            return lax.cond(go, advance, lambda p: p, progress), None

        after, _ = lax.scan(step, before, length=every)
        fresh = (after.step == end) & (before.step < end)
        return after, lax.cond(fresh, observe, lambda p: _blank(observe, p), after)

    return lax.scan(block, progress, length=blocks)


def _verdict(before: Any, after: Any, state: State) -> Int[Array, ""]:
    before, after = lax.stop_gradient((before.position, before.momentum)), lax.stop_gradient((after.position, after.momentum))
    jump = jnp.max(jnp.where((state.numbers > 0)[:, None], jnp.abs(after[0] - before[0]), 0.0))
    # A comparison with NaN is False, so NaN counts as a jump.
    good = (jump < MAX_STEP) & jnp.isfinite(after[1]).all()
    fits = is_valid(lax.stop_gradient(state).replace(positions=after[0]))
    return jnp.where(good, jnp.where(fits, RUNNING, STALE), BLOWN_UP).astype(jnp.int32)


def _forces(enthalpy: Enthalpy, params: Any, state: State) -> Callable[..., Array]:
    def of(positions: Array, field: Array, **_: Any) -> Array:
        return forces(enthalpy, params, state.replace(positions=positions), field)

    return of


def _at(field: FieldOfTime, time: Array) -> Float[Array, "3"]:
    return jnp.asarray(field(time), time.dtype)


def _blank(observe: Callable[[Progress], Record], progress: Progress) -> Record:
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(observe, progress))
