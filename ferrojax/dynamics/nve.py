"""Constant energy: jax-md's velocity Verlet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from flax import struct
from jax_md import simulate
from jaxtyping import Array, Float

from ferrojax.dynamics.motion import deformed_momenta, deforming_shift
from ferrojax.dynamics.system import System
from ferrojax.units import FEMTOSECOND


class NVE(struct.PyTreeNode):
    """Velocity Verlet at constant energy; ``dt`` in fs.

    Swope, Andersen, Berens and Wilson, J. Chem. Phys. 76, 637 (1982).
    """

    dt: float | Float[Array, ""] = 1.0
    drifts: ClassVar[int] = 1  # of the positions in a step

    def build(self, system: System) -> tuple[Callable, Callable]:
        """``init(key, position, cell, mass, momenta, **conditions)`` and ``apply(motion, time, **conditions)``.

        conditions: ``field``, and ``cell`` and ``deform`` if the cell is strained from outside. Every
        integrator has this form.
        """
        start, step = simulate.nve(system.forces, deforming_shift, self.dt * FEMTOSECOND)

        def init(key: Array, position: Array, cell: Array, mass: Array, momenta: Array, **conditions: Any) -> Any:
            return start(key, position, kT=0.0, mass=mass, momenta=momenta, cell=cell, **conditions)

        def apply(motion: Any, time: Array, **conditions: Any) -> Any:
            motion = step(motion, **conditions)
            return motion.set(momentum=deformed_momenta(motion.momentum, conditions.get("deform")))

        return init, apply

    def conserved(self, motion: Any, total: Array, time: Array) -> Float[Array, ""]:
        """Potential and kinetic energy, eV."""
        return total
