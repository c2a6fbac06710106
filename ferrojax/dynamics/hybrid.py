"""Hybrid Monte Carlo: short runs at constant energy, each kept or rejected as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Float

from ferrojax.dynamics.motion import draw_momenta, kinetic_energy
from ferrojax.dynamics.protocols import Temperature, at
from ferrojax.dynamics.system import System
from ferrojax.units import BOLTZMANN, FEMTOSECOND

RECENT = 0.05  # weight of the last trajectory in the running acceptance
JITTER = 0.2  # of the time step from one trajectory to the next, so that none comes back to its start for ever


class SampledMotion(struct.PyTreeNode):
    """Where a Monte Carlo run stands; ``acceptance`` is the share of its latest moves that was accepted.

    The momenta belong to no trajectory of the run: drawn at its temperature, they make the records complete.
    """

    position: Array
    momentum: Array
    force: Array
    mass: Array
    acceptance: Array
    rng: Array


class HybridMonteCarlo(struct.PyTreeNode):
    """Hybrid Monte Carlo: samples exp(-F/kT) exactly, whatever the time step.

    One step of a run is one trajectory of velocity Verlet from fresh momenta, ``dt`` fs long in ``leaps`` time
    steps, accepted with probability min(1, exp(-ΔH/kT)). ``temperature``: K, a number or a protocol. Works on
    atoms and lattices. Errors of H grow with the system, so large ones need smaller time steps: aim at an
    ``acceptance`` of 0.6 to 0.9. Duane, Kennedy, Pendleton and Roweth, Phys. Lett. B 195, 216 (1987).
    """

    dt: float | Float[Array, ""] = 40.0
    temperature: Temperature = 300.0
    leaps: int = struct.field(pytree_node=False, default=20)
    drifts: ClassVar[int] = 1
    max_step: ClassVar[float] = np.inf  # a move may be as long as it likes

    def build(self, system: System) -> tuple[Callable, Callable]:
        """``init`` and ``apply`` (see NVE.build)."""
        both = jax.value_and_grad(system.energy)

        def init(key: Array, position: Array, cell: Array, mass: Array, momenta: Array, **_: Any) -> SampledMotion:
            return SampledMotion(position, momenta, jnp.zeros_like(position), mass, jnp.ones((), position.dtype), key)

        def apply(
            motion: SampledMotion, time: Array, field: Array, cell: Array | None = None, deform: Array | None = None
        ) -> SampledMotion:
            rng, draw, jitter, chance = jax.random.split(motion.rng, 4)
            kelvin = jnp.asarray(at(self.temperature, time), motion.position.dtype)
            begin = motion.position if deform is None else motion.position @ deform
            stretch = 1 + JITTER * jax.random.uniform(jitter, (), begin.dtype, -1.0, 1.0)
            leap = stretch * jnp.asarray(self.dt, begin.dtype) * FEMTOSECOND / self.leaps
            before, slope = both(begin, field, cell)
            momenta = draw_momenta(draw, system.state, kelvin)
            still = ~system.state.mobile[:, None]

            def step(_: Any, carry: tuple) -> tuple:
                position, momentum, slope, _ = carry
                momentum = momentum - 0.5 * leap * jnp.where(still, 0.0, slope)
                position = position + leap * momentum / motion.mass
                value, slope = both(position, field, cell)
                return position, momentum - 0.5 * leap * jnp.where(still, 0.0, slope), slope, value

            end, last, end_slope, after = lax.fori_loop(0, self.leaps, step, (begin, momenta, slope, before))
            change = after - before + kinetic_energy(last, system.state) - kinetic_energy(momenta, system.state)
            # A comparison with NaN is False: a trajectory that blew up is rejected.
            accept = jnp.log(jax.random.uniform(chance, (), begin.dtype)) < -change / (BOLTZMANN * kelvin)
            return SampledMotion(
                position=jnp.where(accept, end, begin),
                momentum=momenta,
                force=-jnp.where(accept, end_slope, slope),
                mass=motion.mass,
                acceptance=motion.acceptance + RECENT * (accept.astype(begin.dtype) - motion.acceptance),
                rng=rng,
            )

        return init, apply

    def conserved(self, motion: SampledMotion, total: Array, time: Array) -> Float[Array, ""]:
        """NaN: nothing is conserved."""
        return jnp.full_like(total, jnp.nan)
