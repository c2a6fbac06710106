"""Constant temperature: jax-md's BAOAB Langevin integrator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import struct
from jax_md import simulate
from jaxtyping import Array, Float

from ferrojax.dynamics.motion import free_shift, remove_drift
from ferrojax.state import State
from ferrojax.units import BOLTZMANN, FEMTOSECOND


class Langevin(struct.PyTreeNode):
    """Langevin dynamics, BAOAB splitting; ``dt`` fs, ``temperature`` K, ``friction`` 1/fs (above zero).

    The centre of mass is kept at rest, which jax-md's ``center_velocity`` promises but
    does not do. Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013).
    """

    dt: float | Float[Array, ""] = 1.0
    temperature: float | Float[Array, ""] = 300.0
    friction: float | Float[Array, ""] = 0.002

    def build(self, forces: Callable[..., Array], state: State) -> tuple[Callable, Callable]:
        """``init(key, positions, mass, momenta, **kwargs)`` and ``apply(motion, **kwargs)`` (see NVE.build)."""
        thermal = BOLTZMANN * self.temperature
        init, step = simulate.nvt_langevin(forces, free_shift, self.dt * FEMTOSECOND, thermal, self.friction / FEMTOSECOND)

        def apply(motion: Any, **kwargs: Any) -> Any:
            motion = step(motion, **kwargs)
            return motion.set(momentum=remove_drift(motion.momentum, state))

        return init, apply
