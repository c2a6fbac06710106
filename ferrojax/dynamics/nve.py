"""Constant energy: jax-md's velocity Verlet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import struct
from jax_md import simulate
from jaxtyping import Array, Float

from ferrojax.dynamics.motion import free_shift
from ferrojax.state import State
from ferrojax.units import FEMTOSECOND


class NVE(struct.PyTreeNode):
    """Velocity Verlet at constant energy; ``dt`` in fs.

    Swope, Andersen, Berens and Wilson, J. Chem. Phys. 76, 637 (1982).
    """

    dt: float | Float[Array, ""] = 1.0

    def build(self, forces: Callable[..., Array], state: State) -> tuple[Callable, Callable]:
        """``init(key, positions, mass, momenta, **kwargs)`` and ``apply(motion, **kwargs)``.

        kwargs, the field among them, are passed on to ``forces(positions, **kwargs)``.
        """
        start, apply = simulate.nve(forces, free_shift, self.dt * FEMTOSECOND)

        def init(key: Array, positions: Array, mass: Array, momenta: Array, **kwargs: Any) -> Any:
            return start(key, positions, kT=0.0, mass=mass, momenta=momenta, **kwargs)

        return init, apply
