"""The enthalpy as the energy of positions and a changing cell, for the integrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferrojax.effective.lattice import LatticeState
from ferrojax.enthalpy import Enthalpy
from ferrojax.matrix import inverse
from ferrojax.state import State


@dataclass(frozen=True)
class System:
    """F(R, h; E) of a state whose cell h was ``reference`` when the run began.

    The cell enters as the strain of the reference cell, ε = (h₀⁻¹ h)ᵀ - 1, and the field is that of the reference cell.
    So it is held as the potential drop along each lattice vector, as everywhere in ferrojax.
    With reference None the cell is that of the state and stays.
    """

    enthalpy: Enthalpy
    params: Any
    state: State | LatticeState
    reference: Float[Array, "3 3"] | None = None

    def energy(self, position: Array, field: Array, cell: Array | None = None, **_: Any) -> Float[Array, ""]:
        """F, eV, of positions (Å, unwrapped), cell (rows, Å) and field (V/Å)."""
        return self.with_strain(position, field, cell, jnp.zeros((3, 3), position.dtype))

    def forces(self, position: Array, field: Array, cell: Array | None = None, **_: Any) -> Float[Array, "atoms 3"]:
        """-∂F/∂R, eV/Å."""
        return -jax.grad(self.energy)(position, field, cell)

    def with_strain(self, position: Array, field: Array, cell: Array | None, strain: Array) -> Float[Array, ""]:
        """F of the structure strained further by ``strain``, eV."""
        if self.reference is None or cell is None:
            return self.enthalpy(self.params, self.state.at(position), strain, field)
        deformation = inverse(self.reference) @ cell
        unstrained = self.state.at(position @ inverse(deformation) if self.state.follows_cell else position, self.reference)
        identity = jnp.eye(3, dtype=cell.dtype)
        return self.enthalpy(self.params, unstrained, (identity + strain) @ deformation.T - identity, field)

    def observe(self, position: Array, field: Array, cell: Array | None) -> tuple[Array, Array, Array]:
        """F (eV), dipole M = -∂F/∂E (e Å) and ∂F/∂ε (eV) in one reverse pass."""
        zero = jnp.zeros((3, 3), position.dtype)
        value, (dipole, torsion) = jax.value_and_grad(self.with_strain, (1, 3))(position, field, cell, zero)
        return value, -dipole, torsion

    def observed_cell(self, position: Array, cell: Array) -> Float[Array, "3 3"]:
        """The cell, with the strain that follows the coordinates where the enthalpy lets it (``EffectiveHamiltonian.strain_at``)."""
        if not hasattr(self.enthalpy, "strain_at"):
            return cell
        strain = (inverse(self.state.cell) @ cell).T - jnp.eye(3, dtype=cell.dtype)
        return self.state.cell @ (jnp.eye(3, dtype=cell.dtype) + self.enthalpy.strain_at(self.params, self.state.at(position), strain)).T
