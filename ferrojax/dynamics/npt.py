"""Constant stress and temperature for the enthalpy: the two full-cell integrators in fs, K and eV/Å³."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from ferrojax.dynamics.motion import degrees_of_freedom, remove_drift
from ferrojax.dynamics.npt_langevin import npt_langevin
from ferrojax.dynamics.npt_nose_hoover import npt_nose_hoover, npt_nose_hoover_invariant
from ferrojax.dynamics.protocols import Protocol, Temperature, at
from ferrojax.dynamics.system import System
from ferrojax.units import BOLTZMANN, FEMTOSECOND

Stress = Any  # a number, Voigt components, a matrix, or a protocol of one of these; eV/Å³, tension positive


class NPT(struct.PyTreeNode):
    """Full-cell Martyna-Tobias-Klein dynamics with Nose-Hoover chains (see npt_nose_hoover).

    dt, tau (thermostat) and tau_cell (barostat): fs. temperature: K. stress: from outside, eV/Å³, tension
    positive (pressure p is -p); temperature and stress may be protocols. cell: what may change, "triclinic", "orthorhombic",
    "isotropic", "film" (a and b held: epitaxy) or "uniaxial" (only the height).
    A field is held as a potential drop along each lattice vector, so neither cell nor stress depends on the branch
    of the dipole; give E for the cell the run starts from.
    """

    dt: float | Float[Array, ""] = 1.0
    temperature: Temperature = 300.0
    stress: Stress = 0.0
    tau: float | Float[Array, ""] = 100.0
    tau_cell: float | Float[Array, ""] = 1000.0
    cell: str = struct.field(pytree_node=False, default="triclinic")
    drifts: ClassVar[int] = 1

    def build(self, system: System) -> tuple[Callable, Callable]:
        """``init`` and ``apply`` (see NVE.build)."""
        times = (self.tau * FEMTOSECOND, self.tau_cell * FEMTOSECOND)
        init, step = npt_nose_hoover(
            system.energy, self.dt * FEMTOSECOND, 1.0, 0.0, self.cell, *times, follows_cell=system.state.follows_cell
        )
        return _with_conditions(self, system, init, step)

    def conserved(self, motion: Any, total: Array, time: Array) -> Float[Array, ""]:
        """The enthalpy with kinetic, cell and chain energy, eV (see npt_nose_hoover_invariant)."""
        return npt_nose_hoover_invariant(motion, BOLTZMANN * at(self.temperature, time), _stress(self, time))


class LangevinNPT(struct.PyTreeNode):
    """Stochastic full-cell dynamics (see npt_langevin); ``friction`` and ``friction_cell`` in 1/fs, the rest as in NPT."""

    dt: float | Float[Array, ""] = 1.0
    temperature: Temperature = 300.0
    stress: Stress = 0.0
    friction: float | Float[Array, ""] = 0.002
    friction_cell: float | Float[Array, ""] = 0.002
    tau_cell: float | Float[Array, ""] = 1000.0
    cell: str = struct.field(pytree_node=False, default="triclinic")
    drifts: ClassVar[int] = 1  # the integrator halves an imposed deformation itself

    def build(self, system: System) -> tuple[Callable, Callable]:
        """``init`` and ``apply`` (see NVE.build)."""
        rates = (self.friction / FEMTOSECOND, self.friction_cell / FEMTOSECOND, self.tau_cell * FEMTOSECOND)
        rest = lambda momenta, mass: remove_drift(momenta, system.state)  # noqa: E731
        init, step = npt_langevin(
            system.energy, self.dt * FEMTOSECOND, 1.0, 0.0, self.cell, *rates, constrain=rest, follows_cell=system.state.follows_cell
        )
        return _with_conditions(self, system, init, step)

    def conserved(self, motion: Any, total: Array, time: Array) -> Float[Array, ""]:
        """NaN: noise conserves nothing."""
        return jnp.full_like(total, jnp.nan)


def _with_conditions(integrator: NPT | LangevinNPT, system: System, init: Callable, step: Callable) -> tuple[Callable, Callable]:
    """Init and apply that look temperature and stress up; the run's own cell argument is not needed."""

    def begin(key: Array, position: Array, cell: Array, mass: Array, momenta: Array, **conditions: Any) -> Any:
        heat = BOLTZMANN * at(integrator.temperature, jnp.zeros((), cell.dtype))
        return init(key, position, cell, mass, momenta, freedom=degrees_of_freedom(system.state), kT=heat, **conditions)

    def apply(motion: Any, time: Array, cell: Array | None = None, **conditions: Any) -> Any:
        heat = BOLTZMANN * at(integrator.temperature, time)
        return step(motion, kT=heat, stress=_stress(integrator, time), **conditions)

    return begin, apply


def _stress(integrator: NPT | LangevinNPT, time: Array) -> Array:
    stress = integrator.stress
    return stress(time) if isinstance(stress, Protocol) else jnp.asarray(stress, time.dtype)
