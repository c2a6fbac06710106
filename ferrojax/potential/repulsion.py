"""Screened nuclear repulsion at close contact, so that no trajectory collapses."""

from __future__ import annotations

import jax.numpy as jnp
from ase.data import covalent_radii
from jaxtyping import Array, Bool, Float, Int

from ferrojax.potential.basis import envelope
from ferrojax.units import COULOMB

SCREENING_LENGTH = 0.4685  # Å
_COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
_EXPONENTS = (3.19980, 0.94229, 0.40290, 0.20162)


def repulsion_energy(
    distance: Float[Array, "atoms slots"],
    mask: Bool[Array, "atoms slots"],
    numbers: Int[Array, " reach"],
    neighbors: Int[Array, "atoms slots"],
) -> Float[Array, ""]:
    """Ziegler-Biersack-Littmark energy of all pairs, eV, switched off at the sum of the covalent radii.

        ½ Σ_ij k_e Z_i Z_j / r φ(r/a),  a = 0.4685 Å / (Z_i^0.23 + Z_j^0.23)

    ``neighbors`` points to ``numbers``, whose first rows are those of the atoms.
    Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Solids (1985).
    """
    radii = jnp.asarray(covalent_radii, distance.dtype)
    charge = numbers.astype(distance.dtype)
    power = jnp.maximum(charge, 1.0) ** 0.23
    own = slice(len(distance))
    reach = radii[numbers][own, None] + radii[numbers][neighbors]
    scaled = distance * (power[own, None] + power[neighbors]) / SCREENING_LENGTH
    screening = sum(c * jnp.exp(-b * scaled) for c, b in zip(_COEFFICIENTS, _EXPONENTS))
    pair = COULOMB * charge[own, None] * charge[neighbors] / distance * screening * envelope(distance / reach, 1.0)
    return 0.5 * jnp.sum(jnp.where(mask, pair, 0.0))
