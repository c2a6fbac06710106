"""Energy of point charges: the Gaussian reciprocal sum, a real-space sum and the self term."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.electrostatics.ewald import ewald_energy
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.topology import edge_vectors
from ferrojax.units import COULOMB


def point_charge_energy(charges: Float[Array, " atoms"], state: State, smearing: float, tolerance: float = 1e-5) -> Float[Array, ""]:
    """Tin-foil Coulomb energy of point charges, eV; independent of ``smearing`` σ within ``tolerance``.

        E = E_Gauss + k_e { ½ Σ_ij' q_i q_j erfc(α r_ij)/r_ij - α/√π Σ_i q_i² - π Q²/(2 V α²) },   α = 1/(2σ)

    with E_Gauss of ``ewald_energy``, pairs from the state's topology within its cutoff,
    and Q the net charge, neutralised by a uniform background. For rigid-ion models;
    charges of a network are Gaussian and need ``ewald_energy`` alone.
    Ewald, Ann. Phys. 369, 253 (1921).

    Args:
        charges: e, 0 for padding atoms.
        state: with a topology built with a cutoff and a k_cutoff.
        smearing: Å; ``point_smearing(cutoff)`` balances the two sums.
        tolerance: largest kernel, exp(-α² r²) or exp(-σ² k²), allowed at either cutoff.

    Raises:
        FerrojaxError: no topology, or cutoffs too short for the smearing and tolerance.
    """
    vectors = edge_vectors(state)
    topology = state.topology
    assert topology is not None  # edge_vectors raised otherwise
    _check_converged(topology.cutoff, topology.k_cutoff, smearing, tolerance)
    r2 = jnp.sum(vectors**2, -1)
    near = topology.mask & (r2 < topology.cutoff**2)
    r = jnp.sqrt(jnp.where(near, r2, 1.0))  # before the square root, so that no derivative meets 1/0
    potential = jnp.where(near, jax.scipy.special.erfc(r / (2 * smearing)) / r, 0.0)
    real = 0.5 * jnp.sum(charges[:, None] * charges[topology.neighbors] * potential)
    itself = jnp.sum(charges**2) / (2 * math.sqrt(math.pi) * smearing)
    background = 2 * np.pi * (smearing * jnp.sum(charges)) ** 2 / state.volume
    gaussian = ewald_energy(charges, state.positions, state.cell, topology.kgrid, smearing)
    return gaussian + COULOMB * (real - itself - background)


def point_smearing(cutoff: float, tolerance: float = 1e-5) -> float:
    """Smearing, Å, for which exp(-r²/4σ²) falls to ``tolerance`` at the real-space cutoff."""
    return cutoff / (2 * math.sqrt(math.log(1 / tolerance)))


def _check_converged(cutoff: float, k_cutoff: float, smearing: float, tolerance: float) -> None:
    real, reciprocal = math.exp(-((cutoff / (2 * smearing)) ** 2)), math.exp(-((smearing * k_cutoff) ** 2))
    allowed = 1.001 * tolerance  # rounding of a cutoff made for this very tolerance
    if real > allowed:
        raise FerrojaxError(
            f"the real-space Coulomb sum ends at {cutoff:g} Å where its kernel is still {real:.1e}; "
            f"lengthen the cutoff or lower smearing to {point_smearing(cutoff, tolerance):.3f} Å."
        )
    if reciprocal > allowed:
        raise FerrojaxError(
            f"the reciprocal Coulomb sum ends at {k_cutoff:g} 1/Å where its kernel is still {reciprocal:.1e}; "
            f"build the topology with k_cutoff({smearing:g}, {tolerance:g})."
        )
