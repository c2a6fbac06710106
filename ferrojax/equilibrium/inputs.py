"""What the solvers are given, checked: shapes always, values where they are numbers and not being traced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ferrojax.errors import FerrojaxError
from ferrojax.state import check_cell

if TYPE_CHECKING:
    from ferrojax.effective.lattice import LatticeState
    from ferrojax.state import State


def checked(name: str, value: Any, shape: tuple[int, ...], unit: str, dtype: Any) -> Array:
    """An array of that shape, zeros for None; FerrojaxError for another shape or a number that is not finite."""
    array = jnp.zeros(shape, dtype) if value is None else jnp.asarray(value, dtype)
    if array.shape != shape:
        raise FerrojaxError(f"the {name} has shape {array.shape}; give {' x '.join(map(str, shape))} numbers in {unit}.")
    if not isinstance(array, jax.core.Tracer) and not np.isfinite(np.asarray(array)).all():
        raise FerrojaxError(f"the {name} must be finite numbers in {unit}; got {np.asarray(array).tolist()}.")
    return array


def checked_stress(value: Any, dtype: Any) -> Array:
    """A symmetric stress tensor, eV/Å³: a number is hydrostatic, so that a pressure p is -p."""
    given = np.asarray(0.0 if value is None else value, float)
    tensor = checked("stress", given * np.eye(3) if given.ndim == 0 else given, (3, 3), "eV/Å³", dtype)
    if not np.allclose(tensor, tensor.T, rtol=0, atol=1e-12):
        raise FerrojaxError(f"the stress must be a symmetric tensor; got {np.asarray(tensor).tolist()} eV/Å³.")
    return tensor


def check_state(state: State | LatticeState, name: str) -> None:
    """FerrojaxError for coordinates that are not finite and for a flat or left-handed cell."""
    coordinates = np.asarray(state.coordinates)
    if not np.isfinite(coordinates).all():
        row = int(np.argwhere(~np.isfinite(coordinates))[0, 0])
        raise FerrojaxError(f"{name}: coordinate {row} is not finite ({coordinates[row].tolist()} Å); mend or drop the structure.")
    if state.cell is None:
        raise FerrojaxError(f"{name}: the lattice has no cell; make it with effective.prepare(params, state).")
    check_cell(np.asarray(state.cell), int(np.sum(np.asarray(state.mobile))) if state.follows_cell else 1, name)
