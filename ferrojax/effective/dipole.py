"""Dipole-dipole interaction of a simple cubic lattice in Fourier space, by Ewald summation."""

from __future__ import annotations

import itertools
import math

import numpy as np
from jaxtyping import Float
from scipy.special import erfc

from ferrojax.effective.lattice import VOIGT, Shape, check_shape, wave_vectors
from ferrojax.errors import FerrojaxError

REACH = 6.3  # exp(-REACH²) is 6e-18: both sums end where rounding begins
WIDTHS = (0.3, 2.0)  # range of Ewald widths for which both sums are short


def dipole_kernel(shape: Shape, width: float = 0.7) -> Float[np.ndarray, "6 kx ky kz"]:
    """Tin-foil Φ_αβ(k) of unit dipoles on a unit lattice; times k_e Z*²/(ε∞ a0³) in eV/Å².

        Φ(k) = Σ_n [B δ_αβ - C n_α n_β] cos(k·n) - 4κ³/(3√π) δ_αβ + 4π Σ_G K_α K_β exp(-K²/4κ²)/K²,   K = k + G
        B = erfc(κr)/r³ + 2κ/√π exp(-κ²r²)/r²,   C = [3B + 4κ³/√π exp(-κ²r²)]/r²

    The term K = 0 is dropped: no macroscopic field at k = 0. ``width`` is κ, per cell; the
    sum does not depend on it. Voigt order on the half grid of rfftn, float64, on the host.
    Ewald, Ann. Phys. 369, 253 (1921).

    Raises FerrojaxError for a width outside 0.3 to 2.
    """
    shape = check_shape(shape)
    if not WIDTHS[0] <= width <= WIDTHS[1]:
        raise FerrojaxError(f"the Ewald width must lie between {WIDTHS[0]} and {WIDTHS[1]} per cell; got {width}.")
    kernel = _real_part(shape, width)
    kernel[:3] -= 4 * width**3 / (3 * math.sqrt(math.pi))
    _add_reciprocal_part(kernel, wave_vectors(shape), width)
    return kernel


def _real_part(shape: Shape, width: float) -> np.ndarray:
    """The sum over lattice vectors, folded into the supercell and then transformed: its cost does not grow with the grid."""
    reach = math.ceil(REACH / width)
    n = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    n = n[np.any(n != 0, axis=1)]
    r = np.sqrt(np.sum(n**2, 1))
    gauss = 2 * width / math.sqrt(math.pi) * np.exp(-((width * r) ** 2))
    b = erfc(width * r) / r**3 + gauss / r**2
    c = (3 * b + 2 * width**2 * gauss) / r**2
    folded = np.zeros((6, *shape))
    for entry, (i, j) in zip(folded, VOIGT):
        np.add.at(entry, tuple((n % shape).T), (b if i == j else 0.0) - c * n[:, i] * n[:, j])
    return np.fft.rfftn(folded, axes=(1, 2, 3)).real


def _add_reciprocal_part(kernel: np.ndarray, k: list[np.ndarray], width: float) -> None:
    shells = math.ceil(REACH * width / math.pi + 0.5)
    for g in itertools.product(range(-shells, shells + 1), repeat=3):
        wave = [component + 2 * np.pi * m for component, m in zip(k, g)]
        squared = wave[0] ** 2 + wave[1] ** 2 + wave[2] ** 2
        if squared.min() > (2 * width * REACH) ** 2:
            continue
        safe = np.where(squared > 0, squared, 1.0)
        weight = np.where(squared > 0, 4 * np.pi * np.exp(-safe / (4 * width**2)) / safe, 0.0)
        for entry, (i, j) in zip(kernel, VOIGT):
            entry += weight * wave[i] * wave[j]
