"""Forces on the images of a path, and how they settle: nudged elastic band and string, all images in one batched evaluation."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from ferrojax.enthalpy import Enthalpy
from ferrojax.paths.space import Conditions, Point, energy_force, listed, longest, unpack

METHODS = ("neb", "string")
CLIMB_BELOW = 0.5  # eV/Å: a coarser path has no saddle to climb to
LONGEST_STEP = 0.1  # Å, of any atom of any image
MEMORY = 20  # steps that L-BFGS remembers
DOWNHILL = 0.1  # cosine between step and force below which the memory misleads


class Settings(struct.PyTreeNode):
    """How a band moves. spring: eV/Å²; tolerance: eV/Å, on the longest force of the band."""

    method: str = struct.field(pytree_node=False)
    climb: bool = struct.field(pytree_node=False)
    spring: Float[Array, ""]
    tolerance: Float[Array, ""]


class Band(struct.PyTreeNode):
    """The images between the ends, on their way.

    x: Å. energies, slopes: G (eV) and -∂G/∂x (eV/Å) there. forces: of the band, the longest ``force`` (eV/Å). climbing: whether the
    highest image climbs by now. memory: of L-BFGS.
    """

    x: Float[Array, "moving n"]
    energies: Float[Array, " moving"]
    slopes: Float[Array, "moving n"]
    forces: Float[Array, "moving n"]
    force: Float[Array, ""]
    climbing: Bool[Array, ""]
    steps: Int[Array, ""]
    memory: Any


def begin(x: Float[Array, "moving n"]) -> Band:
    """A band that has not been looked at yet."""
    flat = jnp.zeros(len(x), x.dtype)
    memory = optax.scale_by_lbfgs(MEMORY).init(x)
    return Band(x, flat, 0 * x, 0 * x, flat[0] + jnp.inf, jnp.zeros((), bool), jnp.zeros((), jnp.int32), memory)


@functools.partial(jax.jit, static_argnums=0)
def advance(
    enthalpy: Enthalpy,
    conditions: Conditions,
    settings: Settings,
    images: Point,
    ends: Float[Array, "2 n"],
    end_energies: Float[Array, "2"],
    band: Band,
    most: Int[Array, ""],
) -> Band:
    """Steps until the band is at rest, ``most`` are taken, or an image has left the skin of its topology.

    L-BFGS on the forces of all images together (Sheppard, Terrell and Henkelman, J. Chem. Phys. 128, 134106 (2008)). They are no
    gradient, so a step against them is not taken: the memory is dropped, as it is when the climb begins.

    ``images``: points with topologies, one a moving image along a leading axis. The band handed in is first looked at anew.
    """
    evaluate = jax.vmap(functools.partial(energy_force, enthalpy, conditions))

    def go_on(carry: tuple[Band, Array]) -> Array:
        band, looked = carry
        unsettled = (band.force > settings.tolerance) | (settings.climb & ~band.climbing)
        here = jnp.all(jax.vmap(lambda like, x: listed(unpack(x, like, conditions.free)))(images, band.x))
        return ~looked | ((band.steps < most) & unsettled & here & jnp.isfinite(band.force))

    def step(carry: tuple[Band, Array]) -> tuple[Band, Array]:
        # One evaluation in the program, of the first look and of all steps: compiling it takes longest.
        band, looked = carry
        x, climbing, memory = _moved(settings, images, ends, end_energies, band)
        x, climbing, memory = jax.tree.map(
            functools.partial(jnp.where, looked), (x, climbing, memory), (band.x, band.climbing, band.memory)
        )
        energies, slopes = evaluate(images, x)
        forces = band_forces(settings, _between(ends, x), _between(end_energies, energies), slopes, climbing)
        force = jnp.max(jax.vmap(longest)(forces, images))
        return Band(x, energies, slopes, forces, force, climbing, band.steps + looked, memory), jnp.ones((), bool)

    return jax.lax.while_loop(go_on, step, (band, jnp.zeros((), bool)))[0]


def _moved(settings: Settings, images: Point, ends: Array, end_energies: Array, band: Band) -> tuple[Array, Array, Any]:
    """Where a step takes the images, whether the highest climbs from now on, and the memory."""
    solver = optax.scale_by_lbfgs(MEMORY)
    starts = settings.climb & ~band.climbing & (band.force < CLIMB_BELOW)
    uphill, memory = solver.update(-band.forces, band.memory, band.x)
    cosine = -jnp.vdot(uphill, band.forces) / (jnp.linalg.norm(uphill) * jnp.linalg.norm(band.forces))
    plain, restarted = solver.update(-band.forces, solver.init(band.x), band.x)
    trusted = (cosine > DOWNHILL) & ~starts
    move, memory = jax.tree.map(functools.partial(jnp.where, trusted), (-uphill, memory), (-plain, restarted))
    farthest = jnp.max(jax.vmap(longest)(move, images))
    x = band.x + move * jnp.minimum(1.0, LONGEST_STEP / farthest)
    if settings.method == "string":
        x = redistributed(_between(ends, x), _between(end_energies, band.energies))[1:-1]
    return x, band.climbing | starts, memory


def band_forces(
    settings: Settings,
    x: Float[Array, "images n"],
    energies: Float[Array, " images"],
    slopes: Float[Array, "moving n"],
    climbing: Bool[Array, ""],
) -> Float[Array, "moving n"]:
    """Forces on the images between the ends.

        F_i - (F_i·τ)τ + k (|x_{i+1} - x_i| - |x_i - x_{i-1}|) τ        the last term for "neb" only
        F_i - 2 (F_i·τ)τ                                                for the highest image, if it climbs

    with the improved tangent. Henkelman and Jónsson, J. Chem. Phys. 113, 9978 (2000); Henkelman, Uberuaga and Jónsson,
    ibid. 9901; E, Ren and Vanden-Eijnden, J. Chem. Phys. 126, 164103 (2007).
    """
    tangent = tangents(x, energies)
    along = jnp.sum(slopes * tangent, 1, keepdims=True) * tangent
    gaps = jnp.linalg.norm(jnp.diff(x, axis=0), axis=1)
    forces = slopes - along
    if settings.method == "neb":
        forces += settings.spring * (gaps[1:] - gaps[:-1])[:, None] * tangent
    top = climbing & (jnp.arange(len(slopes)) == jnp.argmax(energies[1:-1]))
    return jnp.where(top[:, None], slopes - 2 * along, forces)


def tangents(x: Float[Array, "images n"], energies: Float[Array, " images"]) -> Float[Array, "moving n"]:
    """Unit tangents: towards the higher neighbour, at an extremum both weighted by their energies."""
    ahead, behind = x[2:] - x[1:-1], x[1:-1] - x[:-2]
    up, down = energies[2:] - energies[1:-1], energies[:-2] - energies[1:-1]
    large, small = jnp.maximum(jnp.abs(up), jnp.abs(down)), jnp.minimum(jnp.abs(up), jnp.abs(down))
    # On a flat path both weights would vanish.
    large = jnp.where(large > 0, large, 1.0)
    monotonic = up * down < 0
    forward = jnp.where(monotonic, up > 0, jnp.where(up > down, large, small))
    backward = jnp.where(monotonic, up < 0, jnp.where(up > down, small, large))
    tangent = forward[:, None] * ahead + backward[:, None] * behind
    return tangent / jnp.linalg.norm(tangent, axis=1, keepdims=True)


def redistributed(x: Float[Array, "images n"], energies: Float[Array, " images"]) -> Float[Array, "images n"]:
    """The images at equal distances on either side of the highest one, which stays."""
    last = len(x) - 1
    arc = jnp.concatenate([jnp.zeros(1, x.dtype), jnp.cumsum(jnp.linalg.norm(jnp.diff(x, axis=0), axis=1))])
    top = jnp.argmax(energies)
    number = jnp.arange(len(x))
    before = arc[top] * number / jnp.maximum(top, 1)
    after = arc[top] + (arc[last] - arc[top]) * (number - top) / jnp.maximum(last - top, 1)
    wanted = jnp.where(number <= top, before, after)
    return jax.vmap(lambda values: jnp.interp(wanted, arc, values), 1, 1)(x)


def _between(ends: Array, inner: Array) -> Array:
    return jnp.concatenate([ends[:1], inner, ends[1:]])
