"""Constant temperature, deterministic: velocity Verlet between two half steps of a Nose-Hoover chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from flax import struct
from jax_md import simulate
from jaxtyping import Array, Float

from ferrojax.dynamics.chain import Chain, chain_energy, half_step, start_chain
from ferrojax.dynamics.motion import deformed_momenta, deforming_shift, degrees_of_freedom, kinetic_energy
from ferrojax.dynamics.protocols import Temperature, at
from ferrojax.dynamics.system import System
from ferrojax.units import BOLTZMANN, FEMTOSECOND


class NoseHooverMotion(struct.PyTreeNode):
    """jax-md's state of constant-energy dynamics and the chain."""

    inner: Any
    chain: Chain

    @property
    def position(self) -> Array:
        """Å."""
        return self.inner.position

    @property
    def momentum(self) -> Array:
        """√(amu eV)."""
        return self.inner.momentum

    @property
    def mass(self) -> Array:
        """Amu."""
        return self.inner.mass


class NoseHoover(struct.PyTreeNode):
    """Nose-Hoover chain dynamics; ``dt`` and the thermostat's period ``tau`` in fs, ``temperature`` K (a number or a protocol).

    Martyna, Klein and Tuckerman, J. Chem. Phys. 97, 2635 (1992).
    """

    dt: float | Float[Array, ""] = 1.0
    temperature: Temperature = 300.0
    tau: float | Float[Array, ""] = 100.0
    drifts: ClassVar[int] = 1

    def build(self, system: System) -> tuple[Callable, Callable]:
        """``init`` and ``apply`` (see NVE.build)."""
        dt, state = self.dt * FEMTOSECOND, system.state
        start, step = simulate.nve(system.forces, deforming_shift, dt)

        def init(key: Array, position: Array, cell: Array, mass: Array, momenta: Array, **conditions: Any) -> NoseHooverMotion:
            inner = start(key, position, kT=0.0, mass=mass, momenta=momenta, cell=cell, **conditions)
            return NoseHooverMotion(inner, start_chain(degrees_of_freedom(state), self.tau * FEMTOSECOND, cell.dtype))

        def bath(motion: NoseHooverMotion, heat: Array) -> NoseHooverMotion:
            chain, scale = half_step(motion.chain, kinetic_energy(motion.momentum, state), heat, dt)
            return NoseHooverMotion(motion.inner.set(momentum=motion.momentum * scale), chain)

        def apply(motion: NoseHooverMotion, time: Array, **conditions: Any) -> NoseHooverMotion:
            heat = BOLTZMANN * at(self.temperature, time)
            motion = bath(motion, heat)
            inner = step(motion.inner, **conditions)
            inner = inner.set(momentum=deformed_momenta(inner.momentum, conditions.get("deform")))
            return bath(motion.replace(inner=inner), heat)

        return init, apply

    def conserved(self, motion: NoseHooverMotion, total: Array, time: Array) -> Float[Array, ""]:
        """Potential, kinetic and chain energy, eV."""
        return total + chain_energy(motion.chain, BOLTZMANN * at(self.temperature, time))
