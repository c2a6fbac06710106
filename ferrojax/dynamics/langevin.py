"""Constant temperature: jax-md's BAOAB Langevin integrator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import struct
from jax_md import simulate
from jaxtyping import Array, Float

from ferrojax.dynamics.motion import deformed_momenta, deforming_shift, remove_drift
from ferrojax.dynamics.protocols import Temperature, at
from ferrojax.dynamics.system import System
from ferrojax.units import BOLTZMANN, FEMTOSECOND


class Langevin(struct.PyTreeNode):
    """Langevin dynamics, BAOAB splitting; ``dt`` fs, ``temperature`` K (a number or a protocol), ``friction`` 1/fs (above zero).

    The centre of mass is kept at rest, which jax-md's ``center_velocity`` promises but
    does not do. Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013).
    """

    dt: float | Float[Array, ""] = 1.0
    temperature: Temperature = 300.0
    friction: float | Float[Array, ""] = 0.002
    drifts: ClassVar[int] = 2

    def build(self, system: System) -> tuple[Callable, Callable]:
        """``init`` and ``apply`` (see NVE.build)."""
        start, step = simulate.nvt_langevin(system.forces, deforming_shift, self.dt * FEMTOSECOND, 0.0, self.friction / FEMTOSECOND)

        def init(key: Array, position: Array, cell: Array, mass: Array, momenta: Array, **conditions: Any) -> Any:
            return start(key, position, mass=mass, momenta=momenta, cell=cell, **conditions)

        def apply(motion: Any, time: Array, **conditions: Any) -> Any:
            motion = step(motion, kT=BOLTZMANN * at(self.temperature, time), **conditions)
            half = conditions.get("deform")  # of half a step: the positions drift twice
            momentum = deformed_momenta(deformed_momenta(motion.momentum, half), half)
            return motion.set(momentum=remove_drift(momentum, system.state))

        return init, apply

    def conserved(self, motion: Any, total: Array, time: Array) -> Float[Array, ""]:
        """NaN: noise conserves nothing."""
        return jnp.full_like(total, jnp.nan)
