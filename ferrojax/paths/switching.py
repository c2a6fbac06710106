"""From two endpoint structures to a barrier with its derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.paths.barrier import Activation, activation_at, second_derivatives
from ferrojax.paths.endpoints import End, ends_of_path
from ferrojax.paths.path import Path, conditions_of, minimum_energy_path
from ferrojax.paths.saddle import refine_minimum, refine_saddle
from ferrojax.paths.space import alike
from ferrojax.paths.stationary import Stationary, examine

ASIDE = 0.01  # eV: a saddle farther than this from the highest image is another one


@dataclass(frozen=True)
class Switching:
    """A switching event: the path, its ends and saddle to full precision, and what the barrier depends on.

    forward, backward: the barrier with its first derivatives, seen from the first and from the last end. second: its second
    derivatives, forward, by strain, field and stress (``second_derivatives``), if asked for.
    """

    path: Path
    first: Stationary
    last: Stationary
    saddle: Stationary
    forward: Activation
    backward: Activation
    second: Float[np.ndarray, "15 15"] | None = None


def switching_barrier(
    enthalpy: Enthalpy,
    params: Any,
    initial: End,
    final: End,
    field: Sequence[float] | np.ndarray | Array = (0.0, 0.0, 0.0),
    free: Sequence[int] = (),
    stress: Float[np.ndarray, "3 3"] | Float[Array, "3 3"] | None = None,
    second: bool = False,
    tolerance: float = 1e-8,
    **path: Any,
) -> Switching:
    """Relax both ends, find the path between them, refine its saddle, and differentiate the barrier.

    Args:
        initial, final, field, free, stress, and further ones by name (images, method, start, ...): see ``minimum_energy_path``.
        second: also all second derivatives. tolerance: eV/Å, of ends and saddle.

    Raises FerrojaxError as ``minimum_energy_path`` and ``refine_saddle`` do, and if the path leads over a point of higher order (more
    than one negative mode at its highest image), from which the saddle search would run off to another saddle.
    """
    conditions = conditions_of(params, initial, field, free, stress)
    ends = alike(ends_of_path(initial, final, conditions.free, conditions.field))
    first, last = (refine_minimum(enthalpy, conditions, end, tolerance) for end in ends)
    found = minimum_energy_path(enthalpy, params, first.point, last.point, field, free, stress, check_ends=False, **path)
    top = examine(enthalpy, conditions, found.points[found.top])
    if top.unstable > 1:
        raise FerrojaxError(
            f"path: its highest image has {top.unstable} unstable directions instead of one: {top.softest(top.unstable)}. "
            "A lower path lies aside: bend the first one, start='mode'."
        )
    saddle = refine_saddle(enthalpy, conditions, top.point, tolerance)
    if abs(saddle.energy - top.energy) > ASIDE:
        raise FerrojaxError(
            f"path: the saddle search ended {1e3 * abs(saddle.energy - top.energy):.3g} meV from the highest image, at another saddle; "
            "converge the path better (force_tolerance, images)."
        )
    return Switching(
        path=found,
        first=first,
        last=last,
        saddle=saddle,
        forward=activation_at(enthalpy, conditions, first, saddle),
        backward=activation_at(enthalpy, conditions, last, saddle),
        second=second_derivatives(enthalpy, conditions, first.point, saddle.point) if second else None,
    )
