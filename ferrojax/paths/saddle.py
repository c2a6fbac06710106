"""Saddle points to full precision: up the lowest mode, down all others."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse.linalg import LinearOperator, cg

from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.paths.modes import STIFF, idle_directions, stiffened
from ferrojax.paths.space import Conditions, Point, listed, longest, pack, relist, unpack
from ferrojax.paths.stationary import FLAT, Stationary, examine, point_energy_force, require_minimum, require_saddle

REACH = 0.1  # Å, the longest step of an atom


def refine_saddle(
    enthalpy: Enthalpy,
    conditions: Conditions,
    start: Point,
    tolerance: float = 1e-8,
    max_steps: int = 100,
    dense: bool | None = None,
) -> Stationary:
    """The first-order saddle near a point, coordinates and free strains together.

        Δx = -Σ_i s_i (v_i·g)/|λ_i| v_i,    s = -1 for the lowest mode, +1 for all others

    which climbs along the lowest mode and becomes Newton's method, quadratic, near the saddle: eigenvector following (Cerjan and
    Miller, J. Chem. Phys. 75, 2800 (1981)). With the matrix up to 900 unknowns (``dense``); above, the lowest modes come from
    ARPACK and the rest of the step from conjugate gradients, the dimer method (Henkelman and Jónsson, J. Chem. Phys. 111, 7010
    (1999)) with exact curvatures.

    Args: tolerance: eV/Å, on the longest force; below 1e-5 in float64 only.

    Raises FerrojaxError if not converged, and for a degenerate saddle: one with a flat mode or with more than one negative mode.
    """
    return require_saddle(_follow(enthalpy, conditions, start, -1.0, tolerance, max_steps, dense), tolerance)


def refine_minimum(
    enthalpy: Enthalpy,
    conditions: Conditions,
    start: Point,
    tolerance: float = 1e-8,
    max_steps: int = 100,
    dense: bool | None = None,
) -> Stationary:
    """The minimum near a point, to the same precision and by the same steps, none of them uphill.

    Raises FerrojaxError if not converged, or if a mode is soft there.
    """
    return require_minimum(_follow(enthalpy, conditions, start, 1.0, tolerance, max_steps, dense), "minimum", tolerance)


def _follow(
    enthalpy: Enthalpy, conditions: Conditions, point: Point, lowest: float, tolerance: float, max_steps: int, dense: bool | None
) -> Stationary:
    found = examine(enthalpy, conditions, point, dense)
    for steps in range(max_steps):
        if found.force <= tolerance or not np.isfinite(found.force):
            break
        x = pack(found.point, conditions.free)
        step = _step(enthalpy, conditions, found, x, lowest)
        step *= min(1.0, REACH / float(longest(jnp.asarray(step), point)))
        moved = unpack(x + jnp.asarray(step, x.dtype), found.point, conditions.free)
        found = examine(enthalpy, conditions, moved if bool(listed(moved)) else relist(moved), dense)
        found = dataclasses.replace(found, steps=steps + 1)
    if found.force <= tolerance:
        return found
    raise FerrojaxError(
        f"saddle search: not converged after {found.steps} steps, the longest force is {found.force:.2g} eV/Å (wanted {tolerance:.2g}); "
        "start from a better converged path, allow more steps, or use float64."
    )


def _step(enthalpy: Enthalpy, conditions: Conditions, found: Stationary, x: Array, lowest: float) -> Float[np.ndarray, " n"]:
    """The step of ``refine_saddle``: in the known modes as written there, in the rest of the space by conjugate gradients."""
    point, (values, vectors) = found.point, found.modes
    force = np.asarray(point_energy_force(enthalpy, conditions, point, x)[1], float)
    stiffness = np.maximum(np.abs(values), FLAT)
    signs = np.where(np.arange(len(values)) == 0, lowest, 1.0)
    step = vectors @ (signs * (vectors.T @ force) / stiffness)
    idle = idle_directions(point.state, conditions.free)
    if vectors.shape[1] + idle.shape[1] == x.size:
        return step
    known = np.concatenate([vectors, idle], axis=1)
    product = stiffened(enthalpy, conditions, point, x, idle)

    def rest(v: np.ndarray) -> np.ndarray:
        v = v.reshape(-1)
        inner = v - known @ (known.T @ v)
        image = product(inner)
        return image - known @ (known.T @ image) + STIFF * (v - inner)

    other = force - known @ (known.T @ force)
    solved, _ = cg(LinearOperator((x.size, x.size), rest, dtype=float), other, rtol=1e-4, maxiter=200)
    return step + solved - known @ (known.T @ solved)
