"""Atoms in slabs along a cell axis, one slab a device, joined by collective operations.

A device holds the rows of the topology of its own atoms. What it needs of its two
neighbours comes by ``ppermute`` (the halo), sums over atoms by ``psum``, and the charge
mesh is transformed in slabs. All of it is differentiable to any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Complex, Float, Int, Shaped

from ferrojax.distributed.halo import find_halos, slab_atoms
from ferrojax.distributed.layout import T
from ferrojax.errors import FerrojaxError

if TYPE_CHECKING:
    from ferrojax.state import State
    from ferrojax.topology import Topology

AXIS = "slabs"
ON_EACH, SPLIT = PartitionSpec(), PartitionSpec(AXIS)


class Slabs(struct.PyTreeNode):
    """Layout over the devices of a mesh with the one axis ``AXIS`` (methods as in ``Whole``).

    owned: the atom in each row; rows of padding hold the number of atoms, an index past the end.
    to_left, to_right: own rows that the left and the right neighbour need, padded with 0.
    mesh: the devices in the order of their slabs. along: cell axis that the slabs divide.

    Extended rows are [own | from the left | from the right], and ``neighbors`` of a
    divided topology points there. The methods but ``evaluate`` and ``divide`` are for code
    that runs on one slab, inside ``evaluate``.
    """

    owned: Int[Array, " rows"]
    to_left: Int[Array, " places"]
    to_right: Int[Array, " places"]
    mesh: Mesh = struct.field(pytree_node=False)
    along: int = struct.field(pytree_node=False)

    def extend(self, rows: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """Own rows, then those the neighbours sent.

        Raises FerrojaxError outside ``evaluate``, where a divided topology fits no positions.
        """
        try:
            lax.axis_index(AXIS)
        except NameError:
            raise FerrojaxError(
                "this function needs the whole system on one device, but the state is decomposed; give it one from model.prepare(atoms)."
            ) from None
        devices = self.mesh.size
        from_left = lax.ppermute(rows[self.to_right], AXIS, [(d, (d + 1) % devices) for d in range(devices)])
        from_right = lax.ppermute(rows[self.to_left], AXIS, [(d, (d - 1) % devices) for d in range(devices)])
        return jnp.concatenate([rows, from_left, from_right])

    def collect(self, rows: Shaped[Array, "..."], like: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """What was added to the rows of ``extend(like)`` goes home the way they came, backwards."""
        return jax.vjp(self.extend, like)[1](rows)[0]

    def own(self, rows: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """Rows of this slab's atoms out of those of the whole system, zero on padding."""
        return rows.at[self.owned].get(mode="fill", fill_value=0)

    def total(self, sums: T) -> T:
        """Sum over the devices."""
        return lax.psum(sums, AXIS)

    def spectrum(self, grid: Float[Array, "a b c"]) -> Complex[Array, "a b_part c_half"]:
        """Transform of the grids summed over the devices: planes first, then columns, with an exchange between."""
        slab = lax.psum_scatter(_padded(grid, 0, self.mesh.size), AXIS, scatter_dimension=0, tiled=True)
        planes = _padded(jnp.fft.rfft2(slab), 1, self.mesh.size)
        columns = lax.all_to_all(planes, AXIS, split_axis=1, concat_axis=0, tiled=True)
        return jnp.fft.fft(columns[: len(grid)], axis=0)

    def share(self, values: Float[Array, " b"]) -> Float[Array, " b_part"]:
        """Values on the columns of this device."""
        parts = _padded(values, 0, self.mesh.size).reshape(self.mesh.size, -1)
        return parts[lax.axis_index(AXIS)]

    def evaluate(self, function: Callable[..., Any], params: Any, state: State, *replicated: Array) -> Any:
        """function(params, slab, *replicated) on every device, where slab is the state of its own atoms.

        The function must return the same on all devices: totals, and what follows from them.
        """
        topology = jax.tree.map(lambda _: SPLIT, state.topology).replace(
            reference_positions=ON_EACH, reference_cell=ON_EACH, overflow=ON_EACH
        )
        whole = state.replace(positions=ON_EACH, cell=ON_EACH, numbers=ON_EACH, topology=topology)

        def on_slab(params: Any, state: State, *replicated: Array) -> Any:
            assert isinstance(state.topology.layout, Slabs)
            own = state.topology.layout.own
            return function(params, state.replace(positions=own(state.positions), numbers=own(state.numbers)), *replicated)

        specs = (ON_EACH, whole, *(ON_EACH for _ in replicated))
        return jax.shard_map(on_slab, mesh=self.mesh, in_specs=specs, out_specs=ON_EACH)(params, state, *replicated)

    def divide(self, topology: Topology, state: State) -> Topology:
        """A topology of the whole system in slabs anew, with halos of the present size if that suffices."""
        places = len(self.to_left) // self.mesh.size
        divided = divide(topology, state, self.mesh, self.along, places)
        return divide(topology, state, self.mesh, self.along) if bool(divided.overflow) else divided


def divide(topology: Topology, state: State, mesh: Mesh, along: int, places: int | None = None) -> Topology:
    """The topology of a whole system in slabs of equal numbers of atoms along a cell axis, on the devices of a mesh.

    ``places``: atoms a halo has room for on each side; if too few, ``overflow`` is set and
    pairs are missing. By default some more than are needed.

    Raises:
        FerrojaxError: a slab needs atoms from beyond its neighbours.
    """
    cell = np.asarray(state.cell, np.float64)
    height = (np.asarray(state.positions, np.float64) @ np.linalg.inv(cell))[:, along] % 1.0
    owned = slab_atoms(np.asarray(state.numbers), height, mesh.size)
    neighbors, shifts, mask = (_rows(x, owned) for x in (topology.neighbors, topology.shifts, topology.mask))
    halos = find_halos(owned, neighbors, mask, places)
    if halos is None:
        raise FerrojaxError(_too_thin(cell, along, topology.cutoff + topology.skin, mesh.size))
    split, on_each = NamedSharding(mesh, SPLIT), NamedSharding(mesh, ON_EACH)
    lists = (halos.neighbors, shifts, halos.mask, owned.ravel(), halos.to_left.ravel(), halos.to_right.ravel())
    neighbors, shifts, mask, own, to_left, to_right = jax.device_put(lists, split)
    reference = (topology.reference_positions, topology.reference_cell, topology.overflow)
    positions, cell, overflow = jax.device_put([np.asarray(x) for x in reference], on_each)
    return topology.replace(
        neighbors=neighbors,
        shifts=shifts,
        mask=mask,
        reference_positions=positions,
        reference_cell=cell,
        overflow=overflow | halos.overflow,
        layout=Slabs(own, to_left, to_right, mesh, along),
    )


def _rows(x: Array, owned: np.ndarray) -> np.ndarray:
    """Rows of a whole topology in the order of the slabs; zero where a slab is padded."""
    rows = np.asarray(x)
    return np.concatenate([rows, np.zeros_like(rows[:1])])[owned.ravel()]


def _padded(x: Array, axis: int, multiple: int) -> Array:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, -x.shape[axis] % multiple)
    return jnp.pad(x, widths)


def _too_thin(cell: np.ndarray, along: int, reach: float, devices: int) -> str:
    thickness = 1.0 / np.linalg.norm(np.linalg.inv(cell)[:, along])
    # Three slabs on a ring all touch each other, so three always do.
    most = max(3, int(thickness / reach))
    return (
        f"decompose: {devices} slabs across {thickness:.1f} Å (cell axis {along}) are thinner than cutoff + skin = {reach:.2f} Å; "
        f"use at most {most} devices, a cell longer along this axis, or a smaller skin."
    )
