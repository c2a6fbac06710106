"""Waves in a periodic structure without supercells: a layout whose first derivatives travel with a wave vector.

A perturbation u exp(iq·r) changes every quantity of atom i in the cell at R by x_i exp(iq·R). Atomwise functions pass such
amplitudes on as they stand; only where one atom reads of another does the phase of the image enter. In this project all such
reads go through ``layout.extend`` and all sums back through ``layout.collect``. ``Bloch`` gives both the right derivative, so that

    forward derivative (of waves, under ``along_wave``) of the reverse derivative (of the energy)

is the linear response at any q, at the cost of the primitive cell, and a smooth function of q.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Shaped

from ferrojax.distributed.layout import Whole
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.topology import Topology

ROW_BUCKET = 64  # images are rounded up to a multiple of this, so that a strained crystal is compiled for once
AXIS = "wave"  # the two members of this axis are the real and the imaginary part of the amplitudes


class Bloch(Whole):
    """Layout of one cell whose neighbours are images, listed in ``owner`` and ``image``.

    owner: the atom that each extended row is an image of; own atoms come first. image: the cell it sits in. cosine, sine: of
    q·(image·cell), with which amplitudes of that row are multiplied. waving: False for an ordinary layout. If True, extended
    rows are read, and sums collected, under a reverse derivative only (``jax.grad``); a forward derivative of that is then one
    of waves and belongs inside ``along_wave``; derivatives outside of it are ordinary ones. What is extended are integers, or
    depends on the positions.
    """

    owner: Int[Array, " rows"]
    image: Int[Array, "rows 3"]
    cosine: Float[Array, " rows"]
    sine: Float[Array, " rows"]
    waving: bool = struct.field(pytree_node=False, default=False)

    def extend(self, rows: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """Rows of all images."""
        if not self.waving or not jnp.issubdtype(rows.dtype, jnp.floating):
            return rows[self.owner]
        return _extend(rows, self.owner, self.cosine, self.sine, len(rows))

    def collect(self, rows: Shaped[Array, "..."], like: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """Sums over the images of each atom."""
        if not self.waving:
            return jax.ops.segment_sum(rows, self.owner, len(like))
        return _collect(rows, self.owner, self.cosine, self.sine, len(like))

    def divide(self, topology: Topology, state: State) -> Topology:
        """A topology of the whole system with its images listed anew."""
        return _listed(topology, state)


def with_images(state: State) -> State:
    """The state with the images of its atoms listed; made once for all wave vectors, on the host."""
    return state.replace(topology=_listed(state.topology, state))


def _listed(topology: Topology, state: State) -> Topology:
    neighbors, shifts, mask = (np.asarray(x) for x in (topology.neighbors, topology.shifts, topology.mask))
    atoms = len(state.positions)
    own = np.concatenate([np.arange(atoms)[:, None], np.zeros((atoms, 3), int)], 1)
    pairs = np.concatenate([neighbors[..., None], shifts], -1)[mask].astype(int)
    images = np.unique(pairs, axis=0)
    rows = np.concatenate([own, images[np.any(images[:, 1:] != 0, 1)]])
    place = {tuple(row): index for index, row in enumerate(rows.tolist())}
    # Rows that no pair names: copies of the first atom, which nothing reads and to which nothing is added.
    rows = np.concatenate([rows, np.repeat(rows[:1], -len(rows) % ROW_BUCKET, axis=0)])
    listed = np.zeros(neighbors.shape, np.int32)
    listed[mask] = [place[tuple(pair)] for pair in pairs.tolist()]
    one, zero = jnp.ones(len(rows), state.cell.dtype), jnp.zeros(len(rows), state.cell.dtype)
    layout = Bloch(jnp.asarray(rows[:, 0], jnp.int32), jnp.asarray(rows[:, 1:], jnp.int32), one, zero)
    return topology.replace(neighbors=jnp.asarray(listed), layout=layout)


def images(state: State) -> Bloch:
    """The layout of a state of ``with_images``. Raises FerrojaxError for any other."""
    if not isinstance(state.topology.layout, Bloch):
        raise FerrojaxError("the state has no list of images; make one with with_images(state).")
    return state.topology.layout


def at_wave(state: State, wave: Float[Array, "3"]) -> State:
    """A state of ``with_images`` for waves exp(iq·r), q in 1/Å."""
    layout = images(state)
    angle = layout.image.astype(state.cell.dtype) @ (state.cell @ wave)
    return state.replace(topology=state.topology.replace(layout=layout.replace(cosine=jnp.cos(angle), sine=jnp.sin(angle), waving=True)))


def along_wave(function: Callable[..., Any], arguments: tuple, tangents: tuple) -> Any:
    """The amplitudes d function · tangents, complex, for real amplitudes of the arguments.

    ``function`` is a reverse derivative of something that looks at neighbours in a layout of ``at_wave``.
    """

    def part(tangents: tuple) -> Any:
        return jax.jvp(function, arguments, tangents)[1]

    both = jax.tree.map(lambda t: jnp.stack([t, jnp.zeros_like(t)]), tangents)
    real_imaginary = jax.vmap(part, axis_name=AXIS, axis_size=2)(both)
    return jax.tree.map(lambda x: jax.lax.complex(x[0], x[1]), real_imaginary)


def _turned(x: Array, cosine: Array, sine: Array) -> Array:
    """exp(iθ) times amplitudes, row by row, on each of the two members of AXIS."""
    shape = (-1,) + (1,) * (x.ndim - 1)
    other = jax.lax.psum(x, AXIS) - x
    sign = jnp.where(jax.lax.axis_index(AXIS) == 0, -1.0, 1.0).astype(x.dtype)
    return cosine.reshape(shape) * x + sign * sine.reshape(shape) * other


# Under forward derivatives: amplitudes are turned.
@jax.custom_jvp
def _read(rows, owner, cosine, sine):
    return rows[owner]


@_read.defjvp
def _(primals, tangents):
    rows, owner, cosine, sine = primals
    return rows[owner], _turned(tangents[0][owner], cosine, sine)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))
def _sum(rows, owner, cosine, sine, atoms):
    return jax.ops.segment_sum(rows, owner, atoms)


@_sum.defjvp
def _(atoms, primals, tangents):
    rows, owner, cosine, sine = primals
    return jax.ops.segment_sum(rows, owner, atoms), jax.ops.segment_sum(_turned(tangents[0], cosine, -sine), owner, atoms)


# Under a reverse derivative: reading and summing are each other's transpose.
@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _extend(rows, owner, cosine, sine, atoms):
    return _read(rows, owner, cosine, sine)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _collect(rows, owner, cosine, sine, atoms):
    return _sum(rows, owner, cosine, sine, atoms)


def _with_where(function, rows, owner, cosine, sine, atoms):
    return function(rows, owner, cosine, sine, atoms), (owner, cosine, sine)


_extend.defvjp(
    functools.partial(_with_where, lambda rows, *where: _read(rows, *where[:3])),
    lambda atoms, where, slope: (_sum(slope, *where, atoms), None, None, None),
)
_collect.defvjp(
    functools.partial(_with_where, _sum),
    lambda atoms, where, slope: (_read(slope, *where), None, None, None),
)
