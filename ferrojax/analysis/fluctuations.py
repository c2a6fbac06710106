"""Linear responses of a run from its fluctuations."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ferrojax.effective.lattice import VOIGT
from ferrojax.errors import FerrojaxError
from ferrojax.units import BOLTZMANN, EPSILON_0


def susceptibility(dipole: Float[np.ndarray, "n 3"], volume: float, temperature: float) -> Float[np.ndarray, "3 3"]:
    """χ_αβ = (⟨M_α M_β⟩ - ⟨M_α⟩⟨M_β⟩)/(ε0 V k T), of dipoles in e Å at zero field; the lattice's part, without ε∞ - 1.

    At constant stress it is the free, at constant strain the clamped susceptibility.
    """
    return _covariance(dipole, dipole, temperature) / (EPSILON_0 * volume)


def piezoelectric(dipole: Float[np.ndarray, "n 3"], strain: Float[np.ndarray, "n 3 3"], temperature: float) -> Float[np.ndarray, "3 6"]:
    """d_αj = (⟨M_α η_j⟩ - ⟨M_α⟩⟨η_j⟩)/kT, pC/N, η in Voigt order with η4 = 2 ε_yz; of a run at constant stress and zero field."""
    rows, columns = np.array(VOIGT).T
    voigt = np.asarray(strain, float)[:, rows, columns] * np.where(rows == columns, 1, 2)
    # e Å/eV is Å/V = 1e-10 m/V = 100 pC/N
    return _covariance(dipole, voigt, temperature) * 100.0


def heat_capacity(energy: Float[np.ndarray, " n"], temperature: float) -> float:
    """(⟨E²⟩ - ⟨E⟩²)/(k T²), eV/K, of a total energy or enthalpy in eV."""
    x = np.asarray(energy, np.float64)[:, None]
    return float(_covariance(x, x, temperature)[0, 0] / temperature)


def _covariance(left: np.ndarray, right: np.ndarray, temperature: float) -> np.ndarray:
    """Covariance over kT."""
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    if len(a) != len(b) or len(a) < 2 or not temperature > 0:
        raise FerrojaxError(f"fluctuations: two series of equal length and a temperature above zero are needed; got {a.shape}, {b.shape}.")
    return (a - a.mean(0)).T @ (b - b.mean(0)) / (len(a) - 1) / (BOLTZMANN * temperature)
