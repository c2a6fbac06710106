"""Where a path starts: straight, by pair distances (IDPP), or bent along a soft mode."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.paths.modes import lowest_modes
from ferrojax.paths.space import Conditions, Point, alike, pack, relist, unpack
from ferrojax.state import State

STARTS = ("linear", "idpp", "mode")


def first_images(conditions: Conditions, initial: Point, final: Point, images: int, start: str = "linear") -> list[Point]:
    """Images from ``initial`` to ``final``, both included, with neighbours listed.

        linear: x(t) = (1 - t) x_A + t x_B
        idpp:   coordinates whose pair distances are interpolated best (Smidstrup et al., J. Chem. Phys. 140, 214106 (2014)), by ASE

    Raises FerrojaxError for fewer than 3 images, for atoms that meet on the way, and for IDPP of a lattice, which has no pair distances.
    """
    if images < 3:
        raise FerrojaxError(f"path: {images} images leave nothing between the endpoints; give at least 3.")
    ends = [pack(point, conditions.free) for point in (initial, final)]
    share = jnp.linspace(0.0, 1.0, images, dtype=ends[0].dtype)[:, None]
    path = (1 - share) * ends[0] + share * ends[1]
    if start == "idpp":
        path = path.at[:, : initial.state.coordinates.size].set(_by_pair_distances(path, initial, conditions))
    return alike([_image(k, x, initial, conditions) for k, x in enumerate(path)])


def _image(number: int, x: Array, like: Point, conditions: Conditions) -> Point:
    try:
        return relist(unpack(x, like, conditions.free))
    except FerrojaxError as error:
        raise FerrojaxError(f"path: image {number} of the first path: {error} Match the atoms of the ends, or take start='idpp'.") from None


def bent(enthalpy: Enthalpy, conditions: Conditions, points: list[Point], top: int, bend: float) -> list[Point]:
    """A path displaced by b sin(πt) v, v the softest direction across it at image ``top``, t = ½ there.

    It leaves a path of high symmetry, on which all forces across vanish although the path is not stable. ``bend``: b, Å.
    """
    x = np.stack([np.asarray(pack(point, conditions.free), float) for point in points])
    values, vectors = lowest_modes(enthalpy, conditions, points[top])
    along = vectors.T @ (x[top + 1] - x[top - 1])
    across = np.eye(len(along)) - np.outer(along, along) / (along @ along)
    # The path itself, mostly the softest of all, is made the stiffest.
    softest = vectors @ np.linalg.eigh(across @ np.diag(values - values.max() - 1.0) @ across)[1][:, 0]
    number, last = np.arange(len(x)), len(x) - 1
    share = np.where(number <= top, number / (2 * top), 0.5 + (number - top) / (2 * (last - top)))
    moved = jnp.asarray(x + bend * np.sin(np.pi * share)[:, None] * softest, points[0].strain.dtype)
    return alike([relist(unpack(row, points[0], conditions.free)) for row in moved])


def _by_pair_distances(path: Array, like: Point, conditions: Conditions) -> Float[np.ndarray, "images size"]:
    """Coordinates of ASE's IDPP images, in the reference cell."""
    if not isinstance(like.state, State):
        raise FerrojaxError("path: idpp interpolates distances of atoms, which a lattice of modes has not; use start='linear'.")
    from ase.mep import NEB, idpp_interpolate

    frames = [unpack(x, like, conditions.free).state.to_ase() for x in path]
    idpp_interpolate(NEB(frames, method="improvedtangent"), traj=None, log=None, fmax=0.05, mic=True, steps=200)
    whole = np.asarray(path[:, : like.state.coordinates.size]).copy()
    real = np.repeat(np.asarray(like.state.mobile), 3)
    whole[:, real] = [frame.positions.reshape(-1) for frame in frames]
    return whole
