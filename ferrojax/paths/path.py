"""The minimum-energy path between two minima."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.paths.band import METHODS, Band, Settings, advance, begin
from ferrojax.paths.branch import dipoles_on_one_branch
from ferrojax.paths.endpoints import End, ends_of_path
from ferrojax.paths.images import STARTS, bent, first_images
from ferrojax.paths.space import Conditions, Point, alike, energy, pack, polarization_of, relist, separate, stacked, unpack_all
from ferrojax.paths.stationary import examine, point_energy_force, require_minimum

SAME_PLACE = 0.01  # Å
REST = 0.05  # eV/Å, the largest force at an end that still passes as relaxed


@dataclass(frozen=True)
class Path:
    """Images from one minimum to the other.

    points: the images in their common reference cell. conditions: field, stress, free strains. energies: G, eV. forces: -∂F/∂R on the
    strained atoms, eV/Å. dipoles: e Å, in the reference cell, polarization: e/Å², both on one continuous branch. distance: along the
    path in (R, J ε), Å. force: the longest that was left, eV/Å, steps: taken.
    """

    points: list[Point]
    conditions: Conditions
    energies: Float[np.ndarray, " images"]
    forces: Float[np.ndarray, "images rows 3"]
    dipoles: Float[np.ndarray, "images 3"]
    polarization: Float[np.ndarray, "images 3"]
    distance: Float[np.ndarray, " images"]
    force: float
    steps: int

    @property
    def top(self) -> int:
        """Index of the highest image."""
        return int(np.argmax(self.energies))

    @property
    def barrier(self) -> float:
        """Highest energy above the first image, eV; exact only for a converged climbing image."""
        return float(self.energies[self.top] - self.energies[0])


def minimum_energy_path(
    enthalpy: Enthalpy,
    params: Any,
    initial: End,
    final: End,
    field: Sequence[float] | np.ndarray | Array = (0.0, 0.0, 0.0),
    free: Sequence[int] = (),
    stress: Float[np.ndarray, "3 3"] | Float[Array, "3 3"] | None = None,
    images: int = 9,
    method: str = "neb",
    climb: bool = True,
    start: str | Sequence[Point] = "linear",
    bend: float = 0.2,
    spring: float = 5.0,
    force_tolerance: float = 0.01,
    max_steps: int = 1000,
    mesh: Mesh | None = None,
    check_ends: bool = True,
) -> Path:
    """Minimum-energy path by nudged elastic band or string, with a climbing image, in a field, at fixed strain or under stress.

        F_⊥(x) = 0 along x(s),   x = (R, J ε) and G = F(R, ε, E) - V₀ σ:ε

    With free strains it is the solid-state NEB of Sheppard et al., J. Chem. Phys. 136, 074103 (2012), in symmetric strains of one
    reference cell, that of ``initial`` (so no rotation). For methods see ``band_forces``. All images are
    evaluated in one batched call; a topology out of its skin is made anew between compiled segments.

    Args:
        initial, final: relaxed under the same field, stress and held strains. Atoms: from model.prepare(atoms, np.float64, skin=1.0);
            lattices: prepared, as a Point with the strain if there is any.
        field: V/Å, Cartesian in the reference cell. free: Voigt components of the strain (0 to 5 for xx yy zz yz xz xy) that follow.
        stress: outside, eV/Å³, tension positive, per area of the reference cell.
        images: both ends included. start: "linear", "idpp" (``first_images``), the images themselves, or "mode": a straight path is
            settled, ``bent`` by ``bend`` (Å), and settled again, which finds the lower path aside if there is one.
        spring: eV/Å². force_tolerance: eV/Å, on the longest force on an atom or scaled strain of the band.
        mesh: devices over whose first axis the moving images are shared out. check_ends: whether both ends are minima; it takes their
            second derivatives.

    Raises FerrojaxError for bad ends (another order of atoms, a soft mode, a cell that is held), a path not converged (a climbing
    image finds no top where the energy only falls), and a jump of the polarization.
    """
    if method not in METHODS or (isinstance(start, str) and start not in STARTS):
        raise FerrojaxError(
            f"path: the method must be one of {', '.join(METHODS)} and the start one of {', '.join(STARTS)} or a list of images; "
            f"got {method!r} and {start!r}."
        )
    conditions = conditions_of(params, initial, field, free, stress)
    first, last = alike(ends_of_path(initial, final, conditions.free, conditions.field))
    for point, name in ((first, "first end"), (last, "second end")) if check_ends else ():
        require_minimum(examine(enthalpy, conditions, point), name, REST)
    apart = float(jnp.linalg.norm(pack(last, conditions.free) - pack(first, conditions.free)))
    if apart < SAME_PLACE:
        raise FerrojaxError(f"path: the ends are one structure, {apart:.2g} Å apart; give two minima.")
    if isinstance(start, str):
        points = first_images(conditions, first, last, images, start)
    else:
        points = alike([relist(point) for point in start])
    settle = functools.partial(_settle, enthalpy, conditions, method, climb, spring, force_tolerance, max_steps, mesh)
    points, band = settle(points)
    if start == "mode":
        points, band = settle(bent(enthalpy, conditions, points, 1 + int(jnp.argmax(band.energies)), bend))
    return _finished(enthalpy, conditions, points, band)


def conditions_of(
    params: Any,
    like: End,
    field: Sequence[float] | np.ndarray | Array = (0.0, 0.0, 0.0),
    free: Sequence[int] = (),
    stress: Float[np.ndarray, "3 3"] | Float[Array, "3 3"] | None = None,
) -> Conditions:
    """The conditions in the precision of a state. Raises FerrojaxError for components other than 0 to 5, and a lopsided stress."""
    dtype = (like.state if isinstance(like, Point) else like).coordinates.dtype
    load = np.zeros((3, 3)) if stress is None else np.asarray(stress, float)
    if not np.array_equal(load, load.T):
        raise FerrojaxError("path: the stress must be a symmetric (3, 3) array, eV/Å³.")
    if sorted(set(free)) != sorted(free) or not set(free) <= set(range(6)):
        raise FerrojaxError(f"path: free strains are Voigt components 0 to 5, each once; got {tuple(free)}.")
    return Conditions(params, jnp.asarray(field, dtype), jnp.asarray(load, dtype), tuple(sorted(free)))


def _settle(
    enthalpy: Enthalpy,
    conditions: Conditions,
    method: str,
    climb: bool,
    spring: float,
    force_tolerance: float,
    max_steps: int,
    mesh: Mesh | None,
    points: list[Point],
) -> tuple[list[Point], Band]:
    """Segments of ``advance``, with topologies made anew in between."""
    dtype = points[0].strain.dtype
    settings = Settings(method, climb, jnp.asarray(spring, dtype), jnp.asarray(force_tolerance, dtype))
    like, whole = points[0], jnp.stack([pack(point, conditions.free) for point in points])
    ends = whole[jnp.array([0, -1])]
    energies = jnp.stack([point_energy_force(enthalpy, conditions, point, x)[0] for point, x in zip((points[0], points[-1]), ends)])
    band, inner = begin(whole[1:-1]), points[1:-1]
    while True:
        before = int(band.steps)
        images, band = _shared((stacked(inner), band), mesh, len(inner))
        band = advance(enthalpy, conditions, settings, images, ends, energies, band, jnp.asarray(max_steps, jnp.int32))
        rested = float(band.force) <= float(settings.tolerance)
        steps = int(band.steps)
        images, valid = unpack_all(band.x, images, conditions.free)
        inner = separate(images)
        if rested and bool(valid):
            return [like, *inner, points[-1]], band
        if not np.isfinite(float(band.force)) or steps >= max_steps or (steps == before and not rested):
            raise FerrojaxError(
                f"path: not converged after {steps} steps, the longest force is {float(band.force):.2g} eV/Å "
                f"(wanted {float(settings.tolerance):.2g}); allow more steps, give more images, or another start."
            )
        inner = alike([relist(point) for point in inner])


def _finished(enthalpy: Enthalpy, conditions: Conditions, points: list[Point], band: Band) -> Path:
    """The path with what is measured along it. Raises FerrojaxError for a jump of the dipole."""
    x = jnp.stack([pack(point, conditions.free) for point in points])
    gaps = jnp.pad(jnp.diff(x, axis=0), ((1, 1), (0, 0)))
    columns = _measured(enthalpy, conditions, stacked(points), x, gaps[:-1], gaps[1:])
    energies, slopes, moments, behind, ahead = (np.asarray(column, float) for column in columns)
    dipoles = dipoles_on_one_branch(moments, (ahead[:-1] + behind[1:]) / 2, np.asarray(points[0].state.cell, float))
    return Path(
        points=points,
        conditions=conditions,
        energies=energies,
        forces=np.stack([_on_strained(slope, point) for slope, point in zip(slopes, points)]),
        dipoles=dipoles,
        polarization=np.stack([polarization_of(moment, point) for moment, point in zip(dipoles, points)]),
        distance=np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(np.asarray(x), axis=0), axis=1))]),
        force=float(band.force),
        steps=int(band.steps),
    )


@functools.partial(jax.jit, static_argnums=0)
def _measured(enthalpy: Enthalpy, conditions: Conditions, points: Point, x: Array, *steps: Array) -> tuple[Array, ...]:
    """Of all images: energy, force, dipole, and how the dipole changes at first order in each of the steps."""

    def one(like: Point, x: Array, *steps: Array) -> tuple[Array, ...]:
        def value(x: Array, field: Array) -> Array:
            return energy(enthalpy, conditions.replace(field=field), like, x)

        (level, (slope, moment)), change = jax.linearize(lambda x: jax.value_and_grad(value, (0, 1))(x, conditions.field), x)
        return level, -slope, -moment, *(-change(step)[1][1] for step in steps)

    return jax.vmap(one)(points, x, *steps)


def _on_strained(slope: Float[np.ndarray, " n"], point: Point) -> Float[np.ndarray, "rows 3"]:
    """Forces on the coordinates as they are in the strained cell: R' = R (I + ε)ᵀ."""
    rows = slope[: point.state.coordinates.size].reshape(-1, 3)
    return rows @ np.linalg.inv(np.eye(3) + np.asarray(point.strain)) if point.state.follows_cell else rows


def _shared(tree: tuple[Point, Band], mesh: Mesh | None, count: int) -> tuple[Point, Band]:
    """Arrays with a leading axis of images over the devices of a mesh. Raises FerrojaxError if the images do not divide evenly."""
    if mesh is None:
        return tree
    axis = mesh.axis_names[0]
    devices = mesh.shape[axis]
    if count % devices:
        raise FerrojaxError(
            f"path: {count} moving images do not divide over {devices} devices; "
            f"give images={2 + devices * -(-count // devices)}, both ends included."
        )
    images, band = tree
    over, whole = NamedSharding(mesh, PartitionSpec(axis)), NamedSharding(mesh, PartitionSpec())
    split = {name: jax.device_put(getattr(band, name), over) for name in ("x", "energies", "slopes", "forces")}
    return jax.device_put(images, over), jax.device_put(band, whole).replace(**split)
