"""The barrier between a minimum and a saddle as a differentiable function of strain, field, stress and parameters."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.lattice import LatticeState
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.implicit import check_settled, settled_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.state import State

FLAT = 1e-4  # eV/Å²: a saddle with a stiffness as small is degenerate


def barrier(
    enthalpy: Enthalpy,
    params: Any,
    minimum: State | LatticeState,
    saddle: State | LatticeState,
    strain: Float[Array, "3 3"],
    field: Float[Array, "3"],
    free: tuple[int, ...] = (),
    stress: Float[Array, "3 3"] | None = None,
) -> Float[Array, ""]:
    """E_b = G(saddle) - G(minimum), eV, both relaxed at the strain, field and stress given.

    Differentiate it: first derivatives are those of F at both points (envelope theorem), second ones

        d²E_b/dλ² = [F_λλ - F_λx F_xx⁻¹ F_xλ] at the saddle less the same at the minimum

    come out by implicit differentiation (see ``settle``, which explains the arguments).
    """
    above, below = (settled_enthalpy(enthalpy, params, state, strain, field, free, stress) for state in (saddle, minimum))
    return above - below


@dataclass(frozen=True)
class Activation:
    """A barrier (eV) and what it does: slope by strain (eV), dipole of activation (e Å).

    strain: ∂E_b/∂ε, the activation stress times the volume. dipole: -∂E_b/∂E = M_s - M_m. soft: the one negative
    eigenvalue of the saddle, eV/Å².
    """

    barrier: float
    strain: Float[np.ndarray, "3 3"]
    dipole: Float[np.ndarray, "3"]
    soft: float

    def __str__(self) -> str:
        return (
            f"barrier {1e3 * self.barrier:.6g} meV; dE_b/dε (meV) {np.array2string(1e3 * self.strain, precision=4)}; "
            f"dipole of activation (e Å) {np.array2string(self.dipole, precision=5)}"
        )


def activation(
    enthalpy: Enthalpy,
    params: Any,
    minimum: State | LatticeState,
    saddle: State | LatticeState,
    strain: Array | None = None,
    field: Array | None = None,
) -> Activation:
    """The barrier at a fixed cell with all first derivatives, both points checked.

    Raises FerrojaxError unless the minimum is stable and the saddle has exactly one unstable direction.
    """
    dtype = minimum.cell.dtype
    strain = jnp.zeros((3, 3), dtype) if strain is None else jnp.asarray(strain, dtype)
    field = jnp.zeros(3, dtype) if field is None else jnp.asarray(field, dtype)
    if minimum.coordinates.shape != saddle.coordinates.shape:
        raise FerrojaxError(f"barrier: the minimum has {len(minimum.coordinates)} rows, the saddle {len(saddle.coordinates)}; match them.")
    low = check_settled(enthalpy, params, minimum, strain, field, "minimum")
    if low[0] < FLAT:
        raise FerrojaxError(f"barrier: the minimum is none, its softest mode has {low[0]:.3g} eV/Å²; follow that mode down.")
    high = check_settled(enthalpy, params, saddle, strain, field, "saddle")
    unstable = int(np.sum(high < -FLAT))
    if unstable != 1 or np.abs(high[1]) < FLAT:
        raise FerrojaxError(
            f"barrier: the saddle has {unstable} unstable directions and its next stiffness is {high[1]:.3g} eV/Å²; "
            "one unstable direction and no flat one are needed."
        )
    value, (by_strain, by_field) = _first(enthalpy, params, minimum, saddle, strain, field)
    by_strain = np.asarray(by_strain + by_strain.T) / 2
    return Activation(float(value), by_strain, -np.asarray(by_field), float(high[0]))


@functools.partial(jax.jit, static_argnums=0)
def _first(enthalpy, params, minimum, saddle, strain, field):
    return jax.value_and_grad(lambda e, f: barrier(enthalpy, params, minimum, saddle, e, f), (0, 1))(strain, field)
