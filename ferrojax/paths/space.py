"""The space that switching paths run through: coordinates and strain of one reference cell."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float

from ferrojax.dynamics.stacking import common_shapes
from ferrojax.effective.lattice import LatticeState, strain_tensor, voigt_strain
from ferrojax.enthalpy import Enthalpy
from ferrojax.state import State, apply_strain, strain_length
from ferrojax.topology import is_valid, rebuild


class Point(struct.PyTreeNode):
    """A structure on a path: its state in the reference cell that all points share, and the strain of that cell."""

    state: State | LatticeState
    strain: Float[Array, "3 3"]

    def geometry(self) -> State | LatticeState:
        """The strained state. A lattice keeps its strain apart."""
        return apply_strain(self.state, self.strain) if isinstance(self.state, State) else self.state


class Conditions(struct.PyTreeNode):
    """What all points of a path have in common.

    field: V/Å, the Cartesian one in the reference cell; under strain its potential drop along each lattice vector stays (make_enthalpy).
    stress: outside, eV/Å³, tension positive, per area of the reference cell. free: Voigt components of the strain (0 to 5 for
    xx yy zz yz xz xy) that follow.
    """

    params: Any
    field: Float[Array, "3"]
    stress: Float[Array, "3 3"]
    free: tuple[int, ...] = struct.field(pytree_node=False)


def scales(state: State | LatticeState, free: tuple[int, ...]) -> Float[Array, " free"]:
    """Å per unit of each free Voigt strain: J of ``strain_length``, and J/√2 for shears, so that lengths are J |ε|."""
    return strain_length(state) * jnp.asarray([1.0 if k < 3 else 0.5**0.5 for k in free], state.cell.dtype)


@functools.partial(jax.jit, static_argnums=1)
def pack(point: Point, free: tuple[int, ...]) -> Float[Array, " n"]:
    """Vector x = (coordinates, J ε) of a point, Å."""
    shares = voigt_strain(point.strain)[jnp.array(free, int)] * scales(point.state, free)
    return jnp.concatenate([point.state.coordinates.reshape(-1), shares])


@functools.partial(jax.jit, static_argnums=2)
def unpack(x: Float[Array, " n"], like: Point, free: tuple[int, ...]) -> Point:
    """The point at x; components of the strain that are not free are those of ``like``."""
    count = like.state.coordinates.size
    loose = x[count:] / scales(like.state, free)
    strain = strain_tensor(voigt_strain(like.strain).at[jnp.array(free, int)].set(loose))
    return Point(like.state.at(x[:count].reshape(-1, 3)), strain)


def energy(enthalpy: Enthalpy, conditions: Conditions, like: Point, x: Float[Array, " n"]) -> Float[Array, ""]:
    """G = F - V₀ σ:ε at x, eV."""
    point = unpack(x, like, conditions.free)
    work = jnp.linalg.det(point.state.cell) * jnp.sum(conditions.stress * point.strain)
    return enthalpy(conditions.params, point.state, point.strain, conditions.field) - work


def energy_force(
    enthalpy: Enthalpy, conditions: Conditions, like: Point, x: Float[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, " n"]]:
    """G (eV) and -∂G/∂x (eV/Å), zero for what does not move."""
    value, slope = jax.value_and_grad(functools.partial(energy, enthalpy, conditions, like))(x)
    return value, jnp.where(moving(like.state, conditions.free), -slope, 0.0)


def moving(state: State | LatticeState, free: tuple[int, ...]) -> Bool[Array, " n"]:
    """Which entries of x move."""
    return jnp.concatenate([jnp.repeat(state.mobile, 3), jnp.ones(len(free), bool)])


def longest(x: Float[Array, " n"], like: Point) -> Float[Array, ""]:
    """The longest of the rows of x: an atom's vector, or one scaled strain component."""
    count = like.state.coordinates.size
    rows = jnp.sqrt(jnp.max(jnp.sum(x[:count].reshape(-1, 3) ** 2, -1)))
    return jnp.maximum(rows, jnp.max(jnp.abs(x[count:]), initial=0.0))


@jax.jit
def listed(point: Point) -> Bool[Array, ""]:
    """Whether the topology holds every pair of the strained structure; jit-safe."""
    here = point.geometry()
    return is_valid(here) if isinstance(here, State) else jnp.asarray(True)


def relist(point: Point) -> Point:
    """The point with neighbours listed for its strained structure."""
    here = point.geometry()
    return point.replace(state=point.state.replace(topology=rebuild(here).topology)) if isinstance(here, State) else point


def alike(points: Sequence[Point]) -> list[Point]:
    """The points with topologies of one shape, for one compiled function or one batch."""
    states = [point.state for point in points if isinstance(point.state, State)]
    shapes = {(state.topology.mask.shape, state.topology.kgrid, state.topology.near) for state in states}
    return [point.replace(state=state) for point, state in zip(points, common_shapes(states))] if len(shapes) > 1 else list(points)


def stacked(points: Sequence[Point]) -> Point:
    """Points of one shape with a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *alike(points))


def separate(points: Point) -> list[Point]:
    """The points along a leading axis."""
    leaves, tree = jax.tree.flatten(points)
    return [jax.tree.unflatten(tree, row) for row in zip(*leaves)]


@functools.partial(jax.jit, static_argnums=2)
def unpack_all(x: Float[Array, "points n"], like: Point, free: tuple[int, ...]) -> tuple[Point, Bool[Array, ""]]:
    """``unpack`` along a leading axis, and whether all topologies still hold."""
    points = jax.vmap(lambda x, like: unpack(x, like, free))(x, like)
    return points, jnp.all(jax.vmap(listed)(points))


def polarization_of(moment: Float[np.ndarray, "3"], point: Point) -> Float[np.ndarray, "3"]:
    """P = (I + ε) M / V of a strained structure, e/Å²; of a lattice M / V₀."""
    here = point.geometry()
    carried = np.eye(3) + np.asarray(point.strain) if here.follows_cell else np.eye(3)
    return carried @ moment / abs(np.linalg.det(np.asarray(here.cell)))
