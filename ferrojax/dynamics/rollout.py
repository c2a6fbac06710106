"""A stretch of dynamics as one pure function: jit it, or differentiate through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ferrojax.dynamics.hybrid import HybridMonteCarlo
from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.monte_carlo import MonteCarlo
from ferrojax.dynamics.motion import draw_momenta, kinetic_energy, temperature
from ferrojax.dynamics.nose_hoover import NoseHoover
from ferrojax.dynamics.npt import NPT, LangevinNPT
from ferrojax.dynamics.nve import NVE
from ferrojax.dynamics.protocols import Protocol, as_protocol
from ferrojax.dynamics.system import System
from ferrojax.effective.lattice import LatticeState
from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.matrix import inverse, square_root
from ferrojax.state import State
from ferrojax.topology import APPROACH, is_valid
from ferrojax.units import FEMTOSECOND

Integrator = NVE | Langevin | NoseHoover | NPT | LangevinNPT | HybridMonteCarlo | MonteCarlo
FieldOfTime = Protocol | Callable[[Array], Float[Array, "3"]] | Float[Array, "3"]

RUNNING, STALE, BLOWN_UP = 0, 1, 2
MAX_STEP = 0.5  # Å; an atom that moves farther in one time step is running away
APPROACHES = (APPROACH, 2 * MAX_STEP)  # Å, of ``rebuild``: where one step brings a whole shell of neighbours within the cutoff, the second


class Progress(struct.PyTreeNode):
    """Where a run stands.

    motion: the integrator's state: position, momentum, force, mass, and what else it carries.
    step: steps taken so far.
    verdict: RUNNING; STALE if the next step would leave the topology's skin; BLOWN_UP
        if it is not finite or an atom jumps by more than MAX_STEP. That step is not
        taken: the motion is the last good one.
    reference: the cell at step 0, if the cell changes: strain, field and deviatoric stress refer to it.
    """

    motion: Any
    step: Int[Array, ""]
    verdict: Int[Array, ""]
    reference: Float[Array, "3 3"] | None = None


class Record(struct.PyTreeNode):
    """Observables at one step; ``fresh`` is False for a place that holds none.

    potential: the enthalpy F, eV; total: F plus kinetic energy. conserved: what the integrator conserves, eV
    (NaN for a stochastic one). temperature: K. dipole: M = -∂F/∂E, e Å, continuous in time. field: V/Å, of the
    reference cell. stress: inside, kinetic part included, eV/Å³, Voigt, tension positive. cell: Å.
    positions: Å; velocities: Å/fs, those relative to a changing cell; forces: eV/Å; None unless kept.
    """

    fresh: Bool[Array, "..."]
    step: Int[Array, "..."]
    potential: Float[Array, "..."]
    total: Float[Array, "..."]
    conserved: Float[Array, "..."]
    temperature: Float[Array, "..."]
    dipole: Float[Array, "... 3"]
    field: Float[Array, "... 3"]
    stress: Float[Array, "... 6"]
    cell: Float[Array, "... 3 3"]
    positions: Float[Array, "... atoms 3"] | None
    velocities: Float[Array, "... atoms 3"] | None = None
    forces: Float[Array, "... atoms 3"] | None = None


def start(
    enthalpy: Enthalpy,
    integrator: Integrator,
    params: Any,
    state: State | LatticeState,
    field: FieldOfTime,
    key: Array,
    temperature: float | Float[Array, ""],
    strain: Protocol | None = None,
    momenta: Float[Array, "rows 3"] | None = None,
    step: int | Int[Array, ""] = 0,
) -> Progress:
    """A run at ``step`` with Maxwell-Boltzmann momenta at ``temperature`` (K), or with those given (√(amu eV), as ASE's)."""
    reference = state.cell if strain is not None or isinstance(integrator, NPT | LangevinNPT) else None
    init, _ = integrator.build(System(enthalpy, params, state, reference))
    draw, noise = jax.random.split(key)
    steps, dtype = jnp.asarray(step, jnp.int32), state.cell.dtype
    time = steps.astype(dtype) * jnp.asarray(integrator.dt, dtype)
    momenta = draw_momenta(draw, state, temperature) if momenta is None else momenta
    motion = init(noise, state.coordinates, state.cell, state.masses, momenta, field=as_protocol(field)(time))
    return Progress(motion, steps, jnp.full((), RUNNING, jnp.int32), reference)


def rollout(
    enthalpy: Enthalpy,
    integrator: Integrator,
    params: Any,
    state: State | LatticeState,
    progress: Progress,
    field: FieldOfTime,
    stop: int | Int[Array, ""],
    every: int = 10,
    blocks: int = 1,
    keep_positions: bool = False,
    strain: Protocol | None = None,
    remat: bool = False,
    keep_motion: bool = False,
) -> tuple[Progress, Record]:
    """Steps from ``progress`` to step ``stop``, at most ``every * blocks`` of them.

    A record is made at each multiple of ``every`` and at ``stop``. A scan over scans,
    without host round trips; differentiable in forward and reverse mode with respect
    to params, state, progress, the integrator's settings and the numbers of the protocols.
    Once the verdict is not RUNNING nothing more happens.

    Args:
        state: gives cell, species and topology; its positions are not used.
        field: E(t) in V/Å for t in fs: a constant, a protocol or a function.
        strain: ε(t) imposed on the reference cell (3 x 3), atoms carried along; the run must have begun with it.
        remat: in reverse mode keep only the motion at each block and, within one block at a time, at each step, and
            compute the rest again: memory ~ blocks + every instead of steps times a whole energy, least at
            every ~ sqrt(steps), in about the same time. It changes nothing else.
        keep_positions, keep_motion: whether records hold positions; velocities and forces.
    """
    field, dtype = as_protocol(field), state.cell.dtype
    system = System(enthalpy, params, state, progress.reference)
    _, apply = integrator.build(system)

    def time_of(step: Array) -> Array:
        return step.astype(dtype) * jnp.asarray(integrator.dt, dtype)

    def conditions(step: Array) -> dict[str, Array]:
        time = time_of(step + 1)
        if strain is None:
            return {"time": time, "field": field(time)}
        after = _strained(progress, strain, time)
        deform = inverse(_strained(progress, strain, time_of(step))) @ after
        if not state.follows_cell:
            return {"time": time, "field": field(time), "cell": after}
        deform = square_root(deform) if integrator.drifts == 2 else deform
        return {"time": time, "field": field(time), "cell": after, "deform": deform}

    def advance(before: Progress) -> Progress:
        after = before.replace(motion=apply(before.motion, **conditions(before.step)), step=before.step + 1)
        verdict = _verdict(
            before.motion, after.motion, state, cell_of(after, state, strain, integrator.dt), getattr(integrator, "max_step", MAX_STEP)
        )
        kept = jax.tree.map(lambda old, new: jnp.where(verdict == RUNNING, new, old), before, after)
        return kept.replace(verdict=verdict)

    def observe(progress: Progress) -> Record:
        motion, time, cell = progress.motion, time_of(progress.step), cell_of(progress, state, strain, integrator.dt)
        potential, dipole, torsion = system.observe(motion.position, field(time), None if progress.reference is None else cell)
        flux = motion.momentum.T @ (motion.momentum / motion.mass)
        flux = flux if state.follows_cell else jnp.zeros_like(flux)
        stress = ((torsion + torsion.T) / 2 - flux) / jnp.linalg.det(cell)
        total = potential + kinetic_energy(motion.momentum, state)
        return Record(
            fresh=jnp.array(True),
            step=progress.step,
            potential=potential,
            total=total,
            conserved=integrator.conserved(motion, total, time),
            temperature=temperature(motion.momentum, state),
            dipole=dipole,
            field=field(time),
            stress=stress[jnp.array([0, 1, 2, 1, 0, 0]), jnp.array([0, 1, 2, 2, 2, 1])],
            cell=system.observed_cell(motion.position, cell),
            positions=motion.position if keep_positions else None,
            velocities=motion.momentum / motion.mass * FEMTOSECOND if keep_motion else None,
            forces=getattr(motion, "inner", motion).force if keep_motion else None,
        )

    def again(body: Callable) -> Callable:
        # Within a scan nothing can be merged across the checkpoint, so the barrier against that is not needed.
        return jax.checkpoint(body, prevent_cse=False) if remat else body

    def block(before: Progress, _: None) -> tuple[Progress, Record]:
        end = jnp.minimum((before.step // every + 1) * every, stop)

        def step(progress: Progress, _: None) -> tuple[Progress, None]:
            go = (progress.verdict == RUNNING) & (progress.step < end)
            return lax.cond(go, advance, lambda p: p, progress), None

        after, _ = lax.scan(again(step), before, length=every)
        fresh = (after.step == end) & (before.step < end)
        return after, lax.cond(fresh, observe, lambda p: _blank(observe, p), after)

    return lax.scan(again(block), progress, length=blocks)


def cell_of(progress: Progress, state: State | LatticeState, strain: Protocol | None, dt: Any) -> Float[Array, "3 3"]:
    """The cell a run has come to: the integrator's own, that of the strain protocol, or that of the state."""
    if hasattr(progress.motion, "cell"):
        return progress.motion.cell
    return state.cell if strain is None else _strained(progress, strain, progress.step.astype(state.cell.dtype) * dt)


def _strained(progress: Progress, strain: Protocol, time: Array) -> Float[Array, "3 3"]:
    if progress.reference is None:
        raise FerrojaxError("a strain protocol must be given from the first step of a run on, not only when it goes on.")
    return progress.reference @ (jnp.eye(3, dtype=time.dtype) + strain(time)).T


def _verdict(before: Any, after: Any, state: State | LatticeState, cell: Array, max_step: float) -> Int[Array, ""]:
    """What to make of the step from one motion to the next, which ends in ``cell``."""
    before, after = lax.stop_gradient((before.position, before.momentum)), lax.stop_gradient((after.position, after.momentum))
    jump = jnp.max(jnp.where(state.mobile[:, None], jnp.abs(after[0] - before[0]), 0.0))
    # A comparison with NaN is False, so NaN counts as a jump.
    good = (jump < max_step) & jnp.isfinite(after[1]).all() & jnp.isfinite(cell).all()
    fits = state.topology is None or is_valid(lax.stop_gradient(state.at(after[0], cell)))
    return jnp.where(good, jnp.where(fits, RUNNING, STALE), BLOWN_UP).astype(jnp.int32)


def _blank(observe: Callable[[Progress], Record], progress: Progress) -> Record:
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(observe, progress))
