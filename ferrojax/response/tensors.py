"""Elastic, piezoelectric and dielectric tensors, clamped and relaxed, as second derivatives of one relaxed enthalpy."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.lattice import LatticeState, strain_tensor
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.implicit import check_settled, settled_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.state import State
from ferrojax.units import E_PER_A2, EPSILON_0, GPA

SOFT = 1e-4  # eV/Å²: a stiffness below it has no relaxed response


@dataclass(frozen=True)
class ResponseTensors:
    """Tensors of a relaxed state, Voigt order xx yy zz yz xz xy with η4 = 2 ε_yz, in the usual units.

    Relaxed-ion unless "clamped": elastic: C at fixed field, GPa; elastic_open: at fixed displacement. compliance: at fixed field, 1/TPa.
    e: proper piezoelectric stress tensor, C/m² (rows: polarization). d: strain tensor, pC/N. chi: susceptibility at fixed strain,
    chi_free: at fixed stress, both with the electronic part that the enthalpy has. stiffness: lowest eigenvalue of F_xx, eV/Å².
    """

    elastic: Float[np.ndarray, "6 6"]
    elastic_clamped: Float[np.ndarray, "6 6"]
    elastic_open: Float[np.ndarray, "6 6"]
    compliance: Float[np.ndarray, "6 6"]
    e: Float[np.ndarray, "3 6"]
    e_clamped: Float[np.ndarray, "3 6"]
    d: Float[np.ndarray, "3 6"]
    chi: Float[np.ndarray, "3 3"]
    chi_clamped: Float[np.ndarray, "3 3"]
    chi_free: Float[np.ndarray, "3 3"]
    stiffness: float

    def table(self) -> str:
        """All tensors as text with units."""
        units = {"elastic": "GPa", "compliance": "1/TPa", "e": "C/m²", "d": "pC/N", "chi": "1"}
        parts = []
        for name, value in asdict(self).items():
            if isinstance(value, np.ndarray):
                rows = np.array2string(np.where(np.abs(value) < 1e-9, 0.0, value), precision=4, suppress_small=True, max_line_width=120)
                parts.append(f"{name} ({units[name.split('_')[0]]})\n{rows}")
        return "\n".join([*parts, f"lowest stiffness {self.stiffness:.4g} eV/Å²"])

    def save(self, path: str | Path) -> None:
        """As JSON."""
        numbers = {name: np.asarray(value).tolist() for name, value in asdict(self).items()}
        write_text(Path(path), json.dumps(numbers, indent=1) + "\n")


def response_tensors(
    enthalpy: Enthalpy, params: Any, state: State | LatticeState, strain: Array | None = None, field: Array | None = None
) -> ResponseTensors:
    """Tensors of a state relaxed at a strain and field (zero by default), in float64.

        C = (1/V) ∂²G/∂η∂η,   e = -(1/V) ∂²G/∂E∂η,   χ = -(1/ε0 V) ∂²G/∂E∂E,   G(η, E) = F(x(η, E), η, E)

    from which C^D = C + eᵀ χ⁻¹ e/ε0 (with 1 + χ for χ), S = C⁻¹, d = e S, χ_free = χ + e S eᵀ/ε0. The field is the reduced
    one, so e is the proper tensor. An effective Hamiltonian must have clamp="fixed".
    Wu, Vanderbilt and Hamann, Phys. Rev. B 72, 035105 (2005).

    Raises FerrojaxError for a state that is not at rest, or a soft or unstable one: it has no relaxed response.
    """
    dtype = state.cell.dtype
    strain = jnp.zeros((3, 3), dtype) if strain is None else jnp.asarray(strain, dtype)
    field = jnp.zeros(3, dtype) if field is None else jnp.asarray(field, dtype)
    lowest = float(check_settled(enthalpy, params, state, strain, field)[0])
    if lowest < SOFT:
        raise FerrojaxError(f"response_tensors: no stable minimum, the softest mode has {lowest:.3g} eV/Å²; follow it down.")
    volume = float(jnp.linalg.det(state.cell))
    relaxed, clamped = (np.asarray(x) / volume for x in _second(enthalpy, params, state, strain, field))
    c, e, chi = relaxed[:6, :6], -relaxed[6:, :6], -relaxed[6:, 6:] / EPSILON_0
    compliance = np.linalg.inv(c)
    return ResponseTensors(
        elastic=c / GPA,
        elastic_clamped=clamped[:6, :6] / GPA,
        elastic_open=(c + e.T @ np.linalg.inv(EPSILON_0 * (np.eye(3) + chi)) @ e) / GPA,
        compliance=compliance * GPA * 1e3,
        e=e * E_PER_A2,
        e_clamped=-clamped[6:, :6] * E_PER_A2,
        d=e @ compliance * E_PER_A2 * GPA * 1e3,
        chi=chi,
        chi_clamped=-clamped[6:, 6:] / EPSILON_0,
        chi_free=chi + e @ compliance @ e.T / EPSILON_0,
        stiffness=lowest,
    )


@functools.partial(jax.jit, static_argnums=0)
def _second(enthalpy, params, state, strain, field) -> tuple[Array, Array]:
    """∂²G and ∂²F over (η, E), 9 x 9."""

    def relaxed(z: Array) -> Array:
        return settled_enthalpy(enthalpy, params, state, strain + strain_tensor(z[:6]), field + z[6:])

    def clamped(z: Array) -> Array:
        return enthalpy(params, state, strain + strain_tensor(z[:6]), field + z[6:])

    zero = jnp.zeros(9, strain.dtype)
    return jax.hessian(relaxed)(zero), jax.hessian(clamped)(zero)
