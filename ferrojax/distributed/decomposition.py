"""Spatial decomposition: one system over several devices, behind the ordinary State."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from ferrojax.distributed.slabs import AXIS, ON_EACH, Slabs, divide
from ferrojax.errors import FerrojaxError
from ferrojax.state import State


def decompose(state: State, devices: Sequence[jax.Device] | None = None, along: int | None = None, places: int | None = None) -> State:
    """The state with its topology in slabs over devices; every enthalpy and what derives from it then runs on all of them.

    Positions, numbers and results keep the user's order and are on every device (a few
    dozen bytes an atom); neighbour lists, and all that the network computes, are divided.
    ``rebuild`` sorts the atoms into slabs anew. The enthalpy is that of one device to rounding:

        F = Σ_d F_short(atoms of d) + F_long(S),   S = Σ_d S_d

    Args:
        state: from ``model.prepare(atoms, skin=...)``.
        devices: one for each slab; by default all there are.
        along: cell axis, 0 to 2, that the slabs divide; by default that of the thickest cell.
        places: atoms a halo has room for on each side, if not chosen by need; too few set the
            topology's ``overflow``, and ``rebuild`` then makes more.

    Raises:
        FerrojaxError: fewer atoms than devices, slabs thinner than cutoff + skin, no
            topology, or a state that is decomposed already.
    """
    devices = list(jax.devices() if devices is None else devices)
    if state.topology is None or isinstance(state.topology.layout, Slabs):
        raise FerrojaxError("decompose needs a state with the topology of the whole system; make one with model.prepare(atoms, skin=1.0).")
    atoms = int(np.sum(np.asarray(state.numbers) > 0))
    if not 1 <= len(devices) <= atoms:
        raise FerrojaxError(f"decompose: {len(devices)} devices for {atoms} atoms; give at least one device, and one atom for each.")
    thickness = 1.0 / np.linalg.norm(np.linalg.inv(np.asarray(state.cell, np.float64)), axis=0)
    mesh = Mesh(np.asarray(devices), (AXIS,))
    topology = divide(state.topology, state, mesh, int(np.argmax(thickness)) if along is None else along, places)
    return jax.device_put(state.replace(topology=None), NamedSharding(mesh, ON_EACH)).replace(topology=topology)
