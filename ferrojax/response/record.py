"""The response tensors of a crystal as one table, as JSON, and as phonopy's BORN file."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ferrojax.effective.lattice import VOIGT
from ferrojax.equilibrium.stability import SoftMode
from ferrojax.files import write_text
from ferrojax.response.invariance import full_tensor
from ferrojax.units import E_PER_A2, EPSILON_0

UNITS = {
    "elastic": "GPa", "compliance": "1/TPa", "e": "C/m²", "d": "pC/N", "h": "GV/m", "g": "m²/C", "chi": "1", "born": "e",
    "internal_strain": "eV/Å", "moved_by_strain": "Å", "moved_by_field": "Å²/V", "polarization": "C/m²", "stress": "GPa", "field": "V/Å",
}  # fmt: skip
PER_ATOM = ("internal_strain", "moved_by_strain", "moved_by_field")  # left out of the table


@dataclass(frozen=True)
class ResponseTensors:
    """Tensors of a relaxed state, Voigt order xx yy zz yz xz xy with η4 = 2 ε_yz, in the usual units.

    Relaxed-ion unless "clamped".

    elastic: C at fixed field, GPa; elastic_open: at fixed displacement; compliance: C⁻¹, 1/TPa.
    e: proper piezoelectric stress tensor, C/m² (rows: polarization); d: strain tensor, pC/N; h: -∂E/∂η, GV/m, and g: -∂E/∂σ, m²/C,
        both at fixed displacement.
    chi: susceptibility at fixed strain; chi_free: at fixed stress; chi_clamped: of the electrons. Relative permittivities are one more.
    born: Z*, e [row, polarization, displacement]. internal_strain: Λ = -∂²F/∂x∂η, eV/Å [row, axis, Voigt].
    moved_by_strain, moved_by_field: dx/dη (Å) and dx/dE (Å²/V) of the relaxed coordinates, beyond the homogeneous strain.
    polarization: C/m², on the branch of the positions; stress: GPa, Voigt; volume: Å³; field: V/Å.
    softest: lowest zone-centre mode. group: space group; asymmetry: largest deviation of a tensor from invariance under it, relative.
    """

    elastic: Float[np.ndarray, "6 6"]
    elastic_clamped: Float[np.ndarray, "6 6"]
    elastic_open: Float[np.ndarray, "6 6"]
    compliance: Float[np.ndarray, "6 6"]
    e: Float[np.ndarray, "3 6"]
    e_clamped: Float[np.ndarray, "3 6"]
    d: Float[np.ndarray, "3 6"]
    h: Float[np.ndarray, "3 6"]
    g: Float[np.ndarray, "3 6"]
    chi: Float[np.ndarray, "3 3"]
    chi_clamped: Float[np.ndarray, "3 3"]
    chi_free: Float[np.ndarray, "3 3"]
    born: Float[np.ndarray, "rows 3 3"]
    internal_strain: Float[np.ndarray, "rows 3 6"]
    moved_by_strain: Float[np.ndarray, "rows 3 6"]
    moved_by_field: Float[np.ndarray, "rows 3 3"]
    polarization: Float[np.ndarray, "3"]
    stress: Float[np.ndarray, "6"]
    volume: float
    softest: SoftMode
    group: str
    asymmetry: float
    field: Float[np.ndarray, "3"]

    def improper(self, reference: Any = (0.0, 0.0, 0.0)) -> Float[np.ndarray, "3 6"]:
        """Improper piezoelectric tensor, C/m²: how P itself changes when the cell is strained in a constant Cartesian field.

            ∂P_i/∂ε_jk = e_ijk + δ_ij P_k - δ_jk P_i + ε0 χ_ik E_j, symmetrised in jk

        It depends on the branch of P, here ``polarization`` - ``reference`` (C/m²). Vanderbilt, J. Phys. Chem. Solids 61, 147 (2000).
        """
        p, unit = self.polarization - np.asarray(reference, float), np.eye(3)
        induced = np.einsum("ik,j->ijk", self.chi * EPSILON_0 * E_PER_A2, self.field)
        full = full_tensor(self.e, (1,)) + np.einsum("ij,k->ijk", unit, p) - np.einsum("jk,i->ijk", unit, p) + induced
        return _voigt(full + np.swapaxes(full, 1, 2), 1) / 2

    def birch(self) -> Float[np.ndarray, "6 6"]:
        """Stress-strain coefficients ∂σ_ij/∂ε_kl of the true stress, GPa; ``elastic`` where there is no stress, else not symmetric.

            B_ijkl = C_ijkl + ¼ (σ_ik δ_jl + σ_il δ_jk + σ_jk δ_il + σ_jl δ_ik) - σ_ij δ_kl

        Under a pressure p that is C11 - p and C12 + p of the thermodynamic (Brugger) constants. Wallace, Solid State Physics 25, 301
        (1970); Barron and Klein, Proc. Phys. Soc. 85, 523 (1965).
        """
        s, unit = full_tensor(self.stress, (0,)), np.eye(3)
        four = sum(np.einsum(f"{a},{b}->ijkl", s, unit) for a, b in (("ik", "jl"), ("il", "jk"), ("jk", "il"), ("jl", "ik")))
        return _voigt(_voigt(full_tensor(self.elastic, (0, 1)) + four / 4 - np.einsum("ij,kl->ijkl", s, unit), 2), 0)

    def table(self) -> str:
        """All tensors but those of each atom, as text with units."""
        parts = [f"space group {self.group}; largest deviation of a tensor from its symmetry {self.asymmetry:.1g} (relative)"]
        for name, value in self._arrays().items():
            if name not in PER_ATOM:
                parts.append(f"{name} ({unit_of(name)})\n{_text(value)}" if value.ndim > 1 else f"{name} ({unit_of(name)}) {_text(value)}")
        return "\n".join([*parts, f"volume {self.volume:.6g} Å³", f"softest mode {self.softest}"])

    def save(self, path: str | Path) -> None:
        """As JSON: every number with its unit, and the names of the rows."""
        numbers = {name: {"unit": unit_of(name), "value": value.tolist()} for name, value in self._arrays().items()}
        mode = {"stiffness_eV_per_A2": self.softest.stiffness, "frequency_THz": self.softest.frequency}
        whole = {"group": self.group, "asymmetry": self.asymmetry, "volume_A3": self.volume, "softest": mode, "rows": self.softest.names}
        write_text(Path(path), json.dumps(whole | {"tensors": numbers}, indent=1, ensure_ascii=False) + "\n")

    def _arrays(self) -> dict[str, np.ndarray]:
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def unit_of(name: str) -> str:
    """Of a tensor by its name: "elastic_open" has that of "elastic"."""
    return UNITS.get(name) or UNITS[name.split("_")[0]]


def _text(value: np.ndarray) -> str:
    rounded = np.where(np.abs(value) < 1e-9, 0.0, value)
    return np.array2string(rounded, precision=4, suppress_small=True, max_line_width=120)


def _voigt(tensor: np.ndarray, axis: int) -> np.ndarray:
    """Two symmetric axes of 3, from ``axis``, in Voigt order, without factors of two."""
    rows, columns = np.array(VOIGT).T
    return np.moveaxis(np.moveaxis(tensor, (axis, axis + 1), (0, 1))[rows, columns], 0, axis)
