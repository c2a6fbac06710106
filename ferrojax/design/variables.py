"""What a design may change: named numbers with bounds, each a differentiable change of the setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from ferrojax.effective.lattice import VOIGT, VOIGT_NAMES, Shape
from ferrojax.errors import FerrojaxError


class Setting(struct.PyTreeNode):
    """All that structures are relaxed in.

    params: of the enthalpy. strain: what is held of it, of the reference cell. field: V/Å. stress: outside, eV/Å³, tension positive.
    occupation: of the A sites of a lattice, if it has one.
    """

    params: Any
    strain: Float[Array, "3 3"]
    field: Float[Array, "3"]
    stress: Float[Array, "3 3"]
    occupation: Float[Array, "x y z"] | None = None


def setting(params: Any, strain: Any = None, field: Any = None, stress: Any = None, occupation: Any = None) -> Setting:
    """A setting in float64, zeros where nothing is given; x64 must be enabled."""
    arrays = [jnp.zeros(shape) if x is None else jnp.asarray(x, float) for x, shape in ((strain, (3, 3)), (field, 3), (stress, (3, 3)))]
    if arrays[0].dtype != jnp.float64:
        raise FerrojaxError("design: gradients through relaxed structures need float64; set JAX_ENABLE_X64=1.")
    return Setting(params, arrays[0], arrays[1], arrays[2], None if occupation is None else jnp.asarray(occupation, float))


@dataclass(frozen=True)
class Variable:
    """A component of the design vector z: its name, bounds, start, unit, and how it changes a setting.

    Raises FerrojaxError unless lower <= start <= upper, finite, and lower < upper.
    """

    name: str
    lower: float
    upper: float
    start: float
    apply: Callable[[Setting, Float[Array, ""]], Setting]
    unit: str = ""

    def __post_init__(self) -> None:
        if not (np.isfinite([self.lower, self.upper]).all() and self.lower <= self.start <= self.upper and self.lower < self.upper):
            raise FerrojaxError(
                f"design: the variable {self.name} needs finite bounds lower < upper with its start between; got {self.lower:g}, "
                f"{self.upper:g} and start {self.start:g}."
            )


def epitaxial(lower: float, upper: float, start: float, name: str = "strain") -> Variable:
    """Equibiaxial strain ε_xx = ε_yy of a film on a substrate, added to the setting's."""
    plane = jnp.diag(jnp.array([1.0, 1.0, 0.0]))
    return Variable(name, lower, upper, start, lambda s, value: s.replace(strain=s.strain + value * plane))


def strain_component(component: str, lower: float, upper: float, start: float) -> Variable:
    """One Voigt strain, "xx" to "xy" (η4 = 2 ε_yz), added to the setting's."""
    if component not in VOIGT_NAMES:
        raise FerrojaxError(f"design: a strain component is one of {', '.join(VOIGT_NAMES)}; got {component!r}.")
    i, j = VOIGT[VOIGT_NAMES.index(component)]
    unit = np.zeros((3, 3))
    unit[i, j] += 0.5
    unit[j, i] += 0.5
    return Variable(f"strain_{component}", lower, upper, start, lambda s, value: s.replace(strain=s.strain + value * unit))


def field_component(axis: str, lower: float, upper: float, start: float) -> Variable:
    """One component of the (reduced) electric field, V/Å, added to the setting's."""
    if axis not in ("x", "y", "z"):
        raise FerrojaxError(f"design: a field component is x, y or z; got {axis!r}.")
    unit = jnp.eye(3)["xyz".index(axis)]
    return Variable(f"field_{axis}", lower, upper, start, lambda s, value: s.replace(field=s.field + value * unit), "V/Å")


def mixing(other: Any, lower: float = 0.0, upper: float = 1.0, start: float = 0.5, name: str = "mixing") -> Variable:
    """Composition x: parameters (1 - x) p + x p', p' = ``other``, a pytree like the setting's.

    Of two sets of the effective Hamiltonian a virtual crystal; of a potential whose p' has the embeddings of two species exchanged
    a mixed species.
    """

    def apply(s: Setting, value: Array) -> Setting:
        shapes = [jax.tree.map(jnp.shape, p) for p in (s.params, other)]
        if shapes[0] != shapes[1]:
            raise FerrojaxError("design: mixing needs two parameter sets of the same model: their leaves differ in number or shape.")
        return s.replace(params=jax.tree.map(lambda p, q: (1 - value) * p + value * q, s.params, other))

    return Variable(name, lower, upper, start, apply)


def occupation(
    profile: Callable[[Float[Array, ""]], Float[Array, "x y z"]], lower: float, upper: float, start: float, name: str, unit: str = ""
) -> Variable:
    """Any differentiable family of occupations of an alloy's A sites."""
    return Variable(name, lower, upper, start, lambda s, value: s.replace(occupation=profile(value)), unit)


def layer_thickness(
    shape: Shape,
    lower: float,
    upper: float,
    start: float,
    values: Sequence[float] = (1.0, -1.0),
    intermixing: float = 0.5,
    name: str = "thickness",
) -> Variable:
    """Thickness t, in cells along z, of one layer in a superlattice of ``shape[2]`` cells.

        a(z) = a_out + (a_in - a_out) σ((t/2 - |z - z_mid|)/s),   σ(x) = 1/(1 + exp(-x))

    values: a_in, a_out. intermixing: s, cells: interfaces are as wide; without width t would have no gradient.
    Raises FerrojaxError for bounds outside 0 to ``shape[2]`` and a width that is not positive.
    """
    if not (0 <= lower and upper <= shape[2] and intermixing > 0):
        raise FerrojaxError(
            f"design: a layer is 0 to {shape[2]} cells thick, with intermixing above 0; got {lower:g} to {upper:g} and {intermixing:g}."
        )
    distance = jnp.abs(jnp.arange(shape[2]) - (shape[2] - 1) / 2)

    def profile(thickness: Array) -> Array:
        inside = jax.nn.sigmoid((thickness / 2 - distance) / intermixing)
        return jnp.broadcast_to(values[1] + (values[0] - values[1]) * inside, shape)

    return occupation(profile, lower, upper, start, name, "cells")
