"""Electric boundary conditions, per Cartesian axis."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from ferrojax.errors import FerrojaxError
from ferrojax.units import EPSILON_0


@struct.dataclass
class Boundary:
    """What is held fixed along x, y and z.

    kinds: for each axis "E" (the macroscopic field: short-circuited electrodes, a
        tin-foil Ewald sum) or "D" (the displacement; D = 0 is open circuit and, along
        the normal of a slab in vacuum, the slab correction).
    reference_dipole: dipole of the non-polar reference on the branch in use, e·Å; only
        "D" axes need it, where P itself and not only its changes enters the energy.
    """

    kinds: tuple[str, str, str] = struct.field(pytree_node=False, default=("E", "E", "E"))
    reference_dipole: Float[Array, "3"] | tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if len(self.kinds) != 3 or any(kind not in ("E", "D") for kind in self.kinds):
            raise FerrojaxError(f"boundary kinds must be three of 'E' and 'D', one per axis; got {self.kinds}.")

    @property
    def fixed_displacement(self) -> Float[Array, "3"]:
        """1.0 on the axes where D is fixed, 0.0 elsewhere."""
        return jnp.array([1.0 if kind == "D" else 0.0 for kind in self.kinds])


def displacement_energy(
    boundary: Boundary,
    dipole: Float[Array, "3"],
    volume: Float[Array, ""],
    displacement: Float[Array, "3"],
    eps_inf: float,
) -> Float[Array, ""]:
    """Energy of the axes at fixed D, eV, to be added to the tin-foil energy.

        U = Σ_α (V / 2 ε0 ε∞) (D_α - P_α)²,   P = (M - M_ref)/V

    ``displacement`` holds D_α/ε0 in V/Å. Stengel, Spaldin and Vanderbilt, Nat. Phys. 5, 304 (2009).
    """
    polarization = (dipole - jnp.asarray(boundary.reference_dipole, dipole.dtype)) / volume
    mismatch = displacement - polarization / EPSILON_0
    on = boundary.fixed_displacement.astype(dipole.dtype)
    return jnp.sum(on * mismatch**2) * volume * EPSILON_0 / (2 * eps_inf)
