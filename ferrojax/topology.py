"""Neighbour topology: integers only, built on the host, checked inside jit.

A topology lists, for each atom, the neighbours within ``cutoff + skin`` and the
integer cell image each sits in. Distances are computed from the current state, so
derivatives of every order with respect to positions and cell are exact.

A thick skin makes a list last, and long. ``narrow`` lets each evaluation pick the
neighbours within the cutoff out of it, on the device: the network then does no work
for the skin, and the host makes lists rarely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from ferrojax.distributed.layout import Whole
from ferrojax.errors import FerrojaxError
from ferrojax.matrix import inverse, smallest_stretch

if TYPE_CHECKING:
    from ferrojax.distributed.slabs import Slabs
    from ferrojax.state import State

SLOT_BUCKET = 8  # slots are rounded up to a multiple of this, so that similar structures share a shape
APPROACH = 0.1  # Å; a narrow topology is made with room for the pairs this much beyond the cutoff, and kept for half of it
# Å; an evaluation picks pairs up to this much beyond the cutoff, and ``is_valid`` counts them up to twice that: positions
# that went through a strain and back differ by rounding, and no pair may then find its atom's places taken.
ROUNDING = 1e-3
KGRID_MARGIN = 1.05  # the reciprocal box holds for cells up to this much longer than the one it was built for


class Topology(struct.PyTreeNode):
    """Who neighbours whom, and through which cell image.

    neighbors: index j of each neighbour of atom i, in ``slots`` padded places.
    shifts: integer image S, so that r_ij = R_j + S·cell - R_i.
    mask: which slots are in use.
    reference_positions, reference_cell: the geometry it was built for, read only
        by ``status`` to tell when the skin is used up.
    overflow: an atom had more neighbours than slots; the list is then incomplete.
    cutoff, skin: Å.
    kgrid: largest integers (n1, n2, n3) of the reciprocal-lattice box.
    k_cutoff: every reciprocal vector shorter than this, 1/Å, lies in the box.
    near: how many neighbours of an atom an evaluation has room for, if it looks only at those within the cutoff
        (``narrow``); None: at all slots.
    layout: the atoms over devices; in slabs, the rows of the first three are those of the slabs.
    """

    neighbors: Int[Array, "atoms slots"]
    shifts: Int[Array, "atoms slots 3"]
    mask: Bool[Array, "atoms slots"]
    reference_positions: Float[Array, "atoms 3"]
    reference_cell: Float[Array, "3 3"]
    overflow: Bool[Array, ""]
    cutoff: float = struct.field(pytree_node=False)
    skin: float = struct.field(pytree_node=False)
    kgrid: tuple[int, int, int] = struct.field(pytree_node=False)
    k_cutoff: float = struct.field(pytree_node=False)
    near: int | None = struct.field(pytree_node=False, default=None)
    layout: Whole | Slabs = Whole()


def build_topology(
    state: State,
    cutoff: float,
    skin: float = 0.0,
    k_cutoff: float = 0.0,
    slots: int | None = None,
    kgrid: tuple[int, int, int] | None = None,
) -> Topology:
    """Neighbours of every atom within ``cutoff + skin``, any cell shape or size.

    Args:
        state: positions and cell; padding atoms get no neighbours.
        cutoff, skin: Å.
        k_cutoff: reciprocal cutoff, 1/Å; 0 for no reciprocal sum.
        slots: fixed number of slots; if too few, ``overflow`` is set and the
            surplus dropped, to be caught by ``status``. By default enough are made.
        kgrid: fixed reciprocal box, for shapes shared by a batch.

    Raises:
        FerrojaxError: two atoms at the same place.
    """
    positions = np.asarray(state.positions, np.float64)
    cell = np.asarray(state.cell, np.float64)
    real = np.flatnonzero(np.asarray(state.numbers) > 0)
    center, other, images = _pairs(positions[real], cell, cutoff + skin)
    counts = np.bincount(center, minlength=len(real))
    slots = slots or _round_up(max(int(counts.max(initial=0)), 1), SLOT_BUCKET)
    place = np.arange(len(center)) - np.repeat(np.cumsum(counts) - counts, counts)
    keep = place < slots
    row, place = real[center[keep]], place[keep]
    neighbors = np.zeros((len(positions), slots), np.int32)
    shifts = np.zeros((len(positions), slots, 3), np.int16)
    mask = np.zeros((len(positions), slots), bool)
    neighbors[row, place] = real[other[keep]]
    shifts[row, place] = images[keep]
    mask[row, place] = True
    return Topology(
        neighbors=jnp.asarray(neighbors),
        shifts=jnp.asarray(shifts),
        mask=jnp.asarray(mask),
        reference_positions=state.positions,
        reference_cell=state.cell,
        overflow=jnp.asarray(not keep.all()),
        cutoff=float(cutoff),
        skin=float(skin),
        kgrid=kgrid or reciprocal_box(cell, k_cutoff),
        k_cutoff=float(k_cutoff),
    )


def with_topology(state: State, cutoff: float, skin: float = 0.0, k_cutoff: float = 0.0, **fixed) -> State:
    """The state with a topology built for its present geometry (see build_topology)."""
    return state.replace(topology=build_topology(state, cutoff, skin, k_cutoff, **fixed))


def rebuild(state: State, approach: float = APPROACH) -> State:
    """The state with its topology made anew: same shapes if they still suffice, larger ones if not.

    ``approach``: see ``narrow``.
    """
    old = _require(state)
    slots = old.neighbors.shape[1]
    # With room to grow: a cell that just fits would outgrow the box again in the next time step.
    needed = reciprocal_box(np.asarray(state.cell), old.k_cutoff, margin=1.0 + 0.5 * (KGRID_MARGIN - 1.0))
    kgrid = old.kgrid if all(n <= m for n, m in zip(needed, old.kgrid)) else None
    new = build_topology(state, old.cutoff, old.skin, old.k_cutoff, slots, kgrid)
    if bool(new.overflow):
        new = build_topology(state, old.cutoff, old.skin, old.k_cutoff, None, kgrid)
    found = state.replace(topology=old.layout.divide(new, state))
    return found if old.near is None else narrow(found, old.near, approach)


def narrow(state: State, least: int = 0, approach: float = APPROACH) -> State:
    """The state whose evaluations use the neighbours within the cutoff alone, so that a thick skin costs little.

    ``is_valid`` is False when an atom comes to have more of them than there are places, and ``rebuild`` then gives more.

    Args:
        state: with a topology. Stacked states get places enough for each.
        least: places that suffice if half the approach does not take more, so that shapes stay.
        approach: Å; places for the pairs up to this much beyond the cutoff, which the next steps may bring within it.
    """
    topology = _require(state)
    near = least
    if _most_neighbors(state, approach / 2) > least:
        near = min(_round_up(_most_neighbors(state, approach), SLOT_BUCKET), topology.mask.shape[-1])
    return state.replace(topology=topology.replace(near=near))


def _most_neighbors(state: State, beyond: float) -> int:
    stacked = state.positions.ndim == 3
    count = jax.vmap(coordination, (0, None)) if stacked else coordination
    return int(np.nonzero(np.asarray(count(state, beyond)))[-1].max())


def within_cutoff(state: State) -> Topology:
    """The topology without the pairs of the skin if it is a narrow one (``narrow``), else as it is; for code on one device's part."""
    topology = _require(state)
    slots = topology.mask.shape[1]
    if topology.near is None or topology.near >= slots:
        return topology
    near = topology.near
    upto = jnp.cumsum(_close(state, ROUNDING), 1)
    # Slot k takes the first pair at which the count exceeds k.
    chosen = jax.vmap(lambda count: jnp.searchsorted(count, jnp.arange(1, near + 1)))(upto)
    chosen = jnp.minimum(chosen, slots - 1)
    return topology.replace(
        neighbors=jnp.take_along_axis(topology.neighbors, chosen, 1),
        shifts=jnp.take_along_axis(topology.shifts, chosen[..., None], 1),
        mask=jnp.arange(near) < upto[:, -1:],
        near=None,
    )


def carry_over(new: State, old: State) -> State:
    """``new`` with the topology of an earlier state of the same atoms: as it is while valid, else made anew in the same shapes.

    So functions compiled for the one serve the other.
    """
    state = new.replace(topology=_require(old))
    return state if bool(_is_valid(state)) else rebuild(state)


def is_valid(state: State) -> Bool[Array, ""]:
    """True while the topology holds every pair within the cutoff; jit-safe.

    With F the deformation from the reference cell and u the displacements beyond it,
    no unlisted pair can be closer than σ_min(F)·(cutoff + skin) - 2 max|u|.
    False too after an overflow, when the cell outgrew the reciprocal box, or when an atom
    has more neighbours than a narrow topology has room for.
    """
    topology = _require(state)
    deformation = inverse(topology.reference_cell) @ state.cell
    moved = state.positions - topology.reference_positions @ deformation
    real = (state.numbers > 0)[:, None]
    reach = jnp.sqrt(jnp.max(jnp.sum(jnp.where(real, moved, 0.0) ** 2, -1)))
    shrink = smallest_stretch(deformation)
    # Rounding of the two must not flag a structure that has not moved.
    slack = 64 * jnp.finfo(state.cell.dtype).eps * (topology.cutoff + topology.skin)
    listed = shrink * (topology.cutoff + topology.skin) - 2 * reach + slack >= topology.cutoff
    lengths = jnp.linalg.norm(state.cell, axis=1) * topology.k_cutoff / (2 * np.pi)
    covered = jnp.all(lengths < jnp.asarray(topology.kgrid, lengths.dtype) + 1) | (topology.k_cutoff == 0)
    fits = True if topology.near is None else jnp.sum(coordination(state, 2 * ROUNDING)[topology.near + 1 :]) == 0
    return listed & covered & fits & ~topology.overflow


_is_valid = jax.jit(is_valid)


def edge_vectors(state: State) -> Float[Array, "atoms slots 3"]:
    """r_ij = R_j + S·cell - R_i for every slot; meaningless where the mask is False."""
    return jnp.stack(edge_components(state), -1)


def edge_components(state: State) -> tuple[Float[Array, "atoms slots"], ...]:
    """x, y and z of ``edge_vectors``, apart: on a CPU the bonds take half the time of arrays whose last axis is three."""
    topology = _require(state)
    shifts, others = topology.shifts.astype(state.cell.dtype), topology.layout.extend(state.positions)
    images = [sum(shifts[..., a] * state.cell[a, x] for a in range(3)) for x in range(3)]
    x, y, z = (others[:, x][topology.neighbors] + images[x] - state.positions[:, x, None] for x in range(3))
    return x, y, z


def _close(state: State, beyond: float | Array) -> Bool[Array, "atoms slots"]:
    """Which slots hold a pair closer than the cutoff and so much beyond, Å."""
    topology = _require(state)
    return topology.mask & (sum(x**2 for x in edge_components(state)) < (topology.cutoff + beyond) ** 2)


@jax.jit
def coordination(state: State, beyond: float | Float[Array, ""] = 0.0) -> Int[Array, " slots_and_one"]:
    """How many atoms have 0, 1, 2, ... neighbours within the cutoff and so much beyond, Å."""

    def of(_: None, here: State, beyond: Array) -> Array:
        count = jnp.sum(_close(here, beyond), 1)
        return here.topology.layout.total(jnp.bincount(count, length=here.topology.mask.shape[1] + 1))

    return _require(state).layout.evaluate(of, None, state, jnp.asarray(beyond, state.positions.dtype))


def layout(state: State) -> Whole | Slabs:
    """How the atoms of a state lie over devices."""
    return _require(state).layout


def reciprocal_box(cell: np.ndarray, k_cutoff: float, margin: float = KGRID_MARGIN) -> tuple[int, int, int]:
    """Integers (n1, n2, n3) of the box that holds every |k| < k_cutoff: n_a = floor(k_cutoff |a_a| / 2π)."""
    n = np.floor(margin * k_cutoff * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    return int(n[0]), int(n[1]), int(n[2])


def _pairs(positions: np.ndarray, cell: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import vesin

    listing = vesin.NeighborList(cutoff=cutoff, full_list=True)
    i, j, image, distance = listing.compute(points=positions, box=cell, periodic=True, quantities="ijSd")
    if len(distance) and distance.min() < 1e-3:
        k = int(distance.argmin())
        raise FerrojaxError(f"atoms {i[k]} and {j[k]} are at the same place; remove one of them.")
    i, j = i.astype(np.int64), j.astype(np.int64)
    # By i, j and image, in one key: sorting by five takes longer than finding the pairs.
    low, size = image.min(0, initial=0), image.max(0, initial=0) - image.min(0, initial=0) + 1
    key = i * len(positions) + j
    for axis in range(3):
        key = key * int(size[axis]) + (image[:, axis] - low[axis])
    order = np.argsort(key)
    return i[order], j[order], image[order]


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _require(state: State) -> Topology:
    if state.topology is None:
        raise FerrojaxError("the state has no topology; make one with model.prepare(atoms) or with_topology(state, cutoff).")
    return state.topology
