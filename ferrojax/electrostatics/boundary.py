"""Electric boundary conditions: fixed field or fixed displacement per Cartesian axis, and slabs in vacuum."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from ferrojax.errors import FerrojaxError
from ferrojax.units import COULOMB, EPSILON_0


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

    The field inside is E_α = (D_α - P_α)/(ε0 ε∞), and dU/dD_α = V E_α at the relaxed
    structure: U is the Legendre transform in V E·D of the energy at fixed E, the
    field's own energy ½ V ε0 ε∞ E² included. With D_z = 0 and ε∞ = 1 it is the
    correction of Yeh and Berkowitz for a neutral slab.
    Stengel, Spaldin and Vanderbilt, Nat. Phys. 5, 304 (2009).

    Args:
        dipole, volume: M, e·Å, and V, Å³.
        displacement: D_α/ε0, V/Å; read on the "D" axes only.
        eps_inf: relative permittivity of the electrons, which the charges do not carry.
    """
    polarization = (dipole - jnp.asarray(boundary.reference_dipole, dipole.dtype)) / volume
    mismatch = displacement - polarization / EPSILON_0
    on = boundary.fixed_displacement.astype(dipole.dtype)
    return jnp.sum(on * mismatch**2) * volume * EPSILON_0 / (2 * eps_inf)


def slab_correction(
    charges: Float[Array, " atoms"], positions: Float[Array, "atoms 3"], cell: Float[Array, "3 3"], axis: int = 2
) -> Float[Array, ""]:
    """Energy, eV, that turns the tin-foil sum over a slab in vacuum into the sum periodic in two directions only.

        E = k_e (2π/V) [M_z² - Q Σ_i q_i z_i² - Q² L²/12]

    z runs along the normal of the two lattice vectors other than ``axis`` and L is the
    cell's thickness along it. For a net charge Q, point charges with the background
    of ``point_charge_energy`` are meant. The error left is of order exp(-2π(L - h)/a),
    with h the slab's thickness and a the longest in-plane period.
    Yeh and Berkowitz, J. Chem. Phys. 111, 3155 (1999); Ballenegger, Arnold and Cerdà,
    J. Chem. Phys. 131, 094107 (2009).

    ``positions`` must hold the slab in one piece, not wrapped across the vacuum.
    """
    normal = jnp.cross(cell[(axis + 1) % 3], cell[(axis + 2) % 3])
    area = jnp.linalg.norm(normal)
    height = positions @ normal / area
    volume = jnp.abs(cell[axis] @ normal)
    net, moment, second = jnp.sum(charges), charges @ height, charges @ height**2
    return 2 * jnp.pi * COULOMB / volume * (moment**2 - net * second - (net * volume / area) ** 2 / 12)
