"""Linear responses of a run from its fluctuations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ferrojax.dynamics.records import Records
from ferrojax.effective.lattice import VOIGT
from ferrojax.errors import FerrojaxError
from ferrojax.units import BOLTZMANN, EPSILON_0, GPA


class ThermalTensors(NamedTuple):
    """Responses at a temperature and constant stress, as ``response_tensors`` gives them for 0 K.

    chi_free: susceptibility without the electrons' ε∞ - 1. d: proper, pC/N. compliance: 1/TPa. Voigt columns xx yy zz yz xz xy.
    """

    chi_free: Float[np.ndarray, "3 3"]
    d: Float[np.ndarray, "3 6"]
    compliance: Float[np.ndarray, "6 6"]


def thermal_tensors(records: Records, temperature: float, discard: int = 0) -> ThermalTensors:
    """χ, d and s of a run at constant stress and field, from its records or log (``read_log``), the first ``discard`` left out.

        χ = cov(M, M)/(ε0 V kT),   d = cov(M, η)/kT,   s = V cov(η, η)/kT

    η is the strain from the mean cell, M the dipole carried back to it by fixed fractional coordinates, so that d is the proper tensor and
    does not depend on the branch. temperature: K. Frenkel and Smit, Understanding Molecular Simulation, appendix C; Parrinello and
    Rahman, J. Chem. Phys. 76, 2662 (1982), for s.

    Raises FerrojaxError for fewer than two records, a temperature not above zero, and a cell that does not move.
    """
    dipole, cell = np.asarray(records.dipole[discard:], float), np.asarray(records.cell[discard:], float)
    if len(cell) < 2:
        raise FerrojaxError(f"thermal_tensors: {len(cell)} records after discarding {discard} of {len(records)}; at least two are needed.")
    mean = cell.mean(0)
    back = np.linalg.solve(cell, mean)  # h⁻¹ h₀
    strain = np.swapaxes(np.linalg.solve(mean, cell), 1, 2) - np.eye(3)
    if not np.ptp(strain, 0).max() > 0:
        raise FerrojaxError("thermal_tensors: the cell did not move; take a run at constant stress, or susceptibility alone.")
    carried, volume = np.einsum("na,nab->nb", dipole, back), float(np.linalg.det(cell).mean())
    return ThermalTensors(
        susceptibility(carried, volume, temperature),
        piezoelectric(carried, strain, temperature),
        compliance(strain, volume, temperature),
    )


def susceptibility(dipole: Float[np.ndarray, "n 3"], volume: float, temperature: float) -> Float[np.ndarray, "3 3"]:
    """χ_αβ = (⟨M_α M_β⟩ - ⟨M_α⟩⟨M_β⟩)/(ε0 V k T), of dipoles in e Å at zero field; the lattice's part, without ε∞ - 1.

    At constant stress it is the free, at constant strain the clamped susceptibility.
    """
    return _covariance(dipole, dipole, temperature) / (EPSILON_0 * volume)


def piezoelectric(dipole: Float[np.ndarray, "n 3"], strain: Float[np.ndarray, "n 3 3"], temperature: float) -> Float[np.ndarray, "3 6"]:
    """d_αj = (⟨M_α η_j⟩ - ⟨M_α⟩⟨η_j⟩)/kT, pC/N, η in Voigt order with η4 = 2 ε_yz; of a run at constant stress and zero field."""
    # e Å/eV is Å/V = 1e-10 m/V = 100 pC/N
    return _covariance(dipole, _voigt(strain), temperature) * 100.0


def compliance(strain: Float[np.ndarray, "n 3 3"], volume: float, temperature: float) -> Float[np.ndarray, "6 6"]:
    """s_ij = V (⟨η_i η_j⟩ - ⟨η_i⟩⟨η_j⟩)/kT, 1/TPa, isothermal; η as in ``piezoelectric``, of a run at constant stress and field."""
    return _covariance(_voigt(strain), _voigt(strain), temperature) * volume * GPA * 1e3


def heat_capacity(energy: Float[np.ndarray, " n"], temperature: float) -> float:
    """(⟨E²⟩ - ⟨E⟩²)/(k T²), eV/K, of a total energy or enthalpy in eV."""
    x = np.asarray(energy, np.float64)[:, None]
    return float(_covariance(x, x, temperature)[0, 0] / temperature)


def _voigt(strain: np.ndarray) -> np.ndarray:
    """Of the symmetric part, η4 = 2 ε_yz."""
    rows, columns = np.array(VOIGT).T
    whole = np.asarray(strain, float)
    return (whole[:, rows, columns] + whole[:, columns, rows]) * np.where(rows == columns, 0.5, 1.0)


def _covariance(left: np.ndarray, right: np.ndarray, temperature: float) -> np.ndarray:
    """Covariance over kT."""
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    if len(a) != len(b) or len(a) < 2 or not temperature > 0:
        raise FerrojaxError(f"fluctuations: two series of equal length and a temperature above zero are needed; got {a.shape}, {b.shape}.")
    return (a - a.mean(0)).T @ (b - b.mean(0)) / (len(a) - 1) / (BOLTZMANN * temperature)
