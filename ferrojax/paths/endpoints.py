"""The two ends of a path: the same atoms in the same order, in one reference cell."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
from ase.geometry import find_mic, get_distances
from jaxtyping import Array, Float, Int
from scipy.linalg import polar
from scipy.optimize import linear_sum_assignment

from ferrojax.effective.lattice import LatticeState, voigt_strain
from ferrojax.errors import FerrojaxError
from ferrojax.paths.space import Point, relist
from ferrojax.state import State

SAME = 1e-5  # strain, or rotation in radians, below which two cells are the same
SWAPPED = 0.5  # Å that another order must save in root-mean-square displacement to be worth a warning

End = State | LatticeState | Point


def as_point(end: End) -> Point:
    """A state in its own cell as a point without strain. Raises FerrojaxError for one that is not prepared."""
    point = end if isinstance(end, Point) else Point(end, jnp.zeros((3, 3), end.coordinates.dtype))
    if point.state.cell is None:
        raise FerrojaxError("path: the lattice state has no cell; make it ready with effective.prepare(params, state).")
    if isinstance(point.state, State) and point.state.topology is None:
        raise FerrojaxError("path: the state has no topology; make it with model.prepare(atoms, np.float64, skin=1.0).")
    return point


def ends_of_path(initial: End, final: End, free: tuple[int, ...], field: Float[Array, "3"]) -> tuple[Point, Point]:
    """Both ends in the cell of the first, atoms of the second at the images nearest to the first, without a common displacement.

    The second cell is turned so that it is a pure strain I + ε of the first (polar decomposition).

    Raises FerrojaxError for other atoms or another order, for a strain of components that are not free, and in a field for a turned cell.
    """
    first, second = as_point(initial), as_point(final)
    if type(first.state) is not type(second.state):
        raise FerrojaxError(f"path: the ends are a {type(first.state).__name__} and a {type(second.state).__name__}; give two of a kind.")
    if first.state.coordinates.shape != second.state.coordinates.shape:
        sizes = f"{len(first.state.coordinates)} and {len(second.state.coordinates)} rows"
        raise FerrojaxError(f"path: the ends have {sizes}; they must hold the same atoms.")
    if isinstance(first.state, State) and isinstance(second.state, State):
        check_order(first.state, second.state)
        second = _in_cell_of(first.state, second.state, np.asarray(second.geometry().cell, float), bool(jnp.any(field != 0)))
    held = [k for k in range(6) if k not in free]
    gap = np.abs(np.asarray(voigt_strain(second.strain - first.strain)))[held]
    if gap.max(initial=0.0) > SAME:
        k = held[int(gap.argmax())]
        raise FerrojaxError(
            f"path: the cells of the ends differ by a strain of {gap.max():.2g} in Voigt component {k}, which is held; "
            "set it free (free=(0, 1, 2, 3, 4, 5) for the whole cell) or give ends in one cell."
        )
    return first, second


def match_atoms(initial: State, final: State) -> Int[np.ndarray, " atoms"]:
    """Which atom of ``final`` each atom of ``initial`` becomes: final[order] is in the order of ``initial``.

    Least sum of squared minimum-image distances between atoms of one element, in fractional coordinates of the first cell (Hungarian
    method). Raises FerrojaxError if the elements differ.
    """
    numbers = [np.asarray(state.numbers) for state in (initial, final)]
    if not np.array_equal(np.sort(numbers[0]), np.sort(numbers[1])):
        raise FerrojaxError(
            f"path: the ends hold different atoms, {initial.to_ase().symbols} and {final.to_ase().symbols}; a path keeps every atom."
        )
    cost = _distances(initial, final) ** 2
    cost[numbers[0][:, None] != numbers[1][None, :]] = 1e6
    return linear_sum_assignment(cost)[1]


def check_order(initial: State, final: State) -> None:
    """FerrojaxError if the elements stand in another order; a warning if another order of like atoms makes a far shorter path."""
    order = match_atoms(initial, final)
    symbols = [state.to_ase().symbols for state in (initial, final)]
    remedy = f"to match them take final[{order.tolist()}]"
    differ = np.flatnonzero(np.asarray(initial.numbers) != np.asarray(final.numbers))
    if differ.size:
        k = int(differ[0])
        raise FerrojaxError(f"path: atom {k} is {symbols[0][k]} at the start and {symbols[1][k]} at the end; {remedy}.")
    apart = _distances(initial, final)
    rows = np.arange(len(order))
    given, best = (np.sqrt(np.mean(apart[rows, other] ** 2)) for other in (rows, order))
    if given - best > SWAPPED:
        warnings.warn(
            f"path: in the order given, atoms move by {given:.2f} Å (root mean square), in another by {best:.2f} Å; "
            f"unless they trade places, {remedy}.",
            stacklevel=2,
        )


def _in_cell_of(first: State, second: State, whole: Float[np.ndarray, "3 3"], in_field: bool) -> Point:
    """The second structure in the cell of the first: fractional coordinates kept, at the nearest images, its ``whole`` cell as a strain."""
    cell, other = (np.asarray(state.cell, float) for state in (first, second))
    turn, stretch = polar(np.linalg.solve(cell, whole).T)
    angle = np.linalg.norm(turn - np.eye(3)) / np.sqrt(2)
    if angle > SAME and in_field:
        raise FerrojaxError(
            f"path: the cell of the second end is turned by {angle:.2g} rad against the first, which a field does not allow; "
            "turn it back, so that it is a symmetric strain of the first."
        )
    shift = np.asarray(second.positions, float) @ np.linalg.solve(other, cell) - np.asarray(first.positions, float)
    real = np.asarray(first.mobile)
    near = shift[real]
    for _ in range(5):  # the images nearest once the common displacement is gone
        near = find_mic(near - near.mean(0), cell)[0]
    positions = np.asarray(first.positions, float).copy()
    positions[real] += near - near.mean(0)
    dtype = first.cell.dtype
    moved = first.at(jnp.asarray(positions, dtype))
    return relist(Point(moved, jnp.asarray(stretch - np.eye(3), dtype)))


def _distances(initial: State, final: State) -> Float[np.ndarray, "atoms others"]:
    """Minimum-image distances in the first cell, Å."""
    cell = np.asarray(initial.cell, float)
    places = np.asarray(final.positions, float) @ np.linalg.solve(np.asarray(final.cell, float), cell)
    return get_distances(np.asarray(initial.positions, float), places, cell=cell, pbc=True)[1]
