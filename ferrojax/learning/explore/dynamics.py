"""Frames of molecular dynamics, many runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from ase import Atoms
from jax import numpy as jnp

from ferrojax.data.checks.contact import CLOSE
from ferrojax.dynamics.protocols import at
from ferrojax.dynamics.replicas import Replicas, run_replicas
from ferrojax.dynamics.rollout import Integrator
from ferrojax.enthalpy import shared_enthalpy
from ferrojax.learning.explore.check import is_open, name_of, tagged, without_copies
from ferrojax.state import State
from ferrojax.topology import SLOT_BUCKET

ROOM = 1.2  # times the slots of the first structure


def molecular_dynamics(
    model: Any,
    params: Any,
    atoms: Atoms,
    integrators: Sequence[Integrator],
    steps: int,
    every: int = 50,
    skip: int = 0,
    field: Any = (0.0, 0.0, 0.0),
    seed: int = 0,
    skin: float = 2.0,
    dtype: Any = np.float32,
    closest: float = CLOSE,
) -> list[Atoms]:
    """Frames of runs from one structure, one run an integrator, all side by side (``run_replicas``).

        ramps = [LangevinNPT(dt=2.0, temperature=Ramp(300.0, high, duration=20e3)) for high in (600.0, 900.0)]
        frames = molecular_dynamics(model, params, atoms, ramps, steps=10_000)

    Args:
        integrators: of one kind; temperatures and stresses may be protocols.
        steps: of each run. every: steps between frames. skip: steps before the first frame that is kept.
        field: V/Å, a protocol, or one for each run as ``stack([...])``.
        skin, dtype: of the runs; small cells change their shape much at constant stress and need a thick skin.
        closest: frames with atoms nearer, in sums of covalent radii, are left out.

    A run that blows up gives the frames before, with a warning. ``info`` of a frame has the run, the time (fs) and the temperature that
    the thermostat held then (K).

    Raises FerrojaxError as ``run_replicas`` does.
    """
    state = with_room(model, model.prepare(atoms, dtype, skin=skin, name=name_of(atoms)))
    key = jax.random.key(seed)
    found = run_replicas(shared_enthalpy(model), params, state, list(integrators), steps, key=key, field=field, every=every)
    frames = [
        frame for k, integrator in enumerate(integrators) for frame in _frames(found, k, integrator, atoms, skip) if is_open(frame, closest)
    ]
    return without_copies(frames)


def with_room(model: Any, state: State) -> State:
    """The state with more neighbour slots and reciprocal vectors than it needs now, so that a changing cell is not compiled for anew."""
    slots, kgrid = state.topology.mask.shape[1], state.topology.kgrid
    slots = -(-int(ROOM * slots) // SLOT_BUCKET) * SLOT_BUCKET
    dtype = np.dtype(state.cell.dtype).type
    return model.prepare(state, dtype, skin=state.topology.skin, slots=slots, kgrid=tuple(n + 1 for n in kgrid))


def _frames(found: Replicas, k: int, integrator: Any, atoms: Atoms, skip: int) -> list[Atoms]:
    records = found.records
    frames = []
    for row in np.flatnonzero(np.asarray(records.fresh[k]) & (np.asarray(records.step[k]) > skip)):
        assert records.positions is not None
        time = float(records.step[k, row]) * float(integrator.dt)
        frames.append(frame_at(atoms, records.positions[k, row], records.cell[k, row], integrator, time, run=k))
    return frames


def frame_at(atoms: Atoms, positions: Any, cell: Any, integrator: Any, time: float, **more: Any) -> Atoms:
    """The atoms at new places, wrapped; ``info`` has more, the time (fs) and the temperature that the thermostat held then (K)."""
    frame = Atoms(atoms.numbers, positions=np.asarray(positions, float), cell=np.asarray(cell, float), pbc=True)
    frame.wrap()
    held = {"temperature": float(at(integrator.temperature, jnp.asarray(time)))} if hasattr(integrator, "temperature") else {}
    return tagged(frame, f"{name_of(atoms)}, molecular dynamics", **more, time=time, **held)
