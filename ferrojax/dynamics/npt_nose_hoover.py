"""Constant stress and temperature: full-cell Martyna-Tobias-Klein dynamics with Nose-Hoover chains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from ferrojax.dynamics.barostat import (
    FREEDOM,
    Energy,
    Matrix,
    Number,
    cell_mass,
    drift,
    external_energy,
    external_push,
    kick,
    kick_cell,
    slopes,
    stress_tensor,
)
from ferrojax.dynamics.chain import Chain, chain_energy, half_step, start_chain
from ferrojax.dynamics.motion import deformed_momenta


class NPTNoseHooverState(struct.PyTreeNode):
    """position, momentum, force: (atoms, 3); mass: (atoms, 1). cell: rows; rate: v, 1/time; cell_mass: W.

    reference: the cell that deviatoric stress refers to. potential: U; torsion: ∂U/∂X. chain,
    cell_chain: Nose-Hoover chains of the particles and of the cell.
    """

    position: Array
    momentum: Array
    force: Array
    mass: Array
    cell: Array
    rate: Array
    cell_mass: Array
    reference: Array
    potential: Array
    torsion: Array
    chain: Chain
    cell_chain: Chain


def npt_nose_hoover(
    energy: Energy,
    dt: Number,
    kT: Number,
    stress: Any = 0.0,
    cell: str = "triclinic",
    tau: Number = None,
    tau_cell: Number = None,
    follows_cell: bool = True,
) -> tuple[Callable[..., NPTNoseHooverState], Callable[..., NPTNoseHooverState]]:
    """``(init, apply)`` in the manner of jax-md, for any ``energy(position, cell=..., **kwargs)``, in consistent units.

    Equations of motion and ``cell``: see ferrojax.dynamics.barostat. Explicit reversible splitting of Martyna, Tuckerman,
    Tobias and Klein, Mol. Phys. 87, 1117 (1996), with the flows of position and momentum exact for any rate matrix.

    Args:
        stress: outside, tension positive: a number, Voigt components or a 3 x 3 matrix (pressure p is stress -p).
        tau: period of both chains (default 100 dt). tau_cell: sets the inertia of the cell (default 1000 dt).
        follows_cell: False if a deformation of the cell leaves the coordinates alone (see ferrojax.dynamics.barostat).

    init(key, position, cell, mass, momenta, freedom=3N-3, **kwargs) draws nothing; apply(state, **kwargs) also
    takes ``kT``, ``stress`` and ``deform`` (a deformation imposed during the step) instead of those above.
    """
    tau = 100 * dt if tau is None else tau
    tau_cell = 1000 * dt if tau_cell is None else tau_cell
    kind = cell

    def init(key: Array, position: Array, cell: Matrix, mass: Array, momenta: Array, freedom: Number = None, **kwargs: Any):
        heat = jnp.asarray(kwargs.pop("kT", kT), cell.dtype)
        kwargs.pop("stress", None)
        freedom = position.size - 3 if freedom is None else freedom
        potential, force, torsion = slopes(energy, position, cell, follows_cell, **kwargs)
        inertia = jnp.asarray(cell_mass(heat, freedom, tau_cell), cell.dtype)
        return NPTNoseHooverState(
            position, momenta, force, mass, cell, jnp.zeros_like(cell), inertia, cell, potential, torsion,
            start_chain(freedom, tau, cell.dtype), start_chain(FREEDOM[kind], tau, cell.dtype),
        )  # fmt: skip

    def heat_bath(state: NPTNoseHooverState, heat: Array) -> NPTNoseHooverState:
        """Half a step of both chains."""
        inner, scale = half_step(state.chain, _kinetic(state), heat, jnp.asarray(dt, heat.dtype))
        outer, cell_scale = half_step(state.cell_chain, _cell_kinetic(state), heat, jnp.asarray(dt, heat.dtype))
        return state.replace(momentum=state.momentum * scale, rate=state.rate * cell_scale, chain=inner, cell_chain=outer)

    def push_cell(state: NPTNoseHooverState, outside: Array, time: Array) -> Array:
        push = external_push(state.cell, state.reference, outside)
        return kick_cell(state, kind, push, state.chain.freedom, time, follows_cell)

    def apply(state: NPTNoseHooverState, **kwargs: Any) -> NPTNoseHooverState:
        heat, outside = (jnp.asarray(kwargs.pop(name, default), state.cell.dtype) for name, default in (("kT", kT), ("stress", stress)))
        time = jnp.asarray(dt, state.cell.dtype)
        deform, half = kwargs.pop("deform", None), time / 2
        outside, freedom = stress_tensor(outside, state.cell.dtype), state.chain.freedom
        state = heat_bath(state, heat)
        state = state.replace(rate=push_cell(state, outside, half))
        state = state.replace(momentum=kick(state, freedom, half, follows_cell))
        position, cell = drift(state, time, deform, follows_cell)
        state = state.replace(momentum=deformed_momenta(state.momentum, deform))
        potential, force, torsion = slopes(energy, position, cell, follows_cell, **kwargs)
        state = state.replace(position=position, cell=cell, potential=potential, force=force, torsion=torsion)
        state = state.replace(momentum=kick(state, freedom, half, follows_cell))
        state = state.replace(rate=push_cell(state, outside, half))
        return heat_bath(state, heat)

    return init, apply


def npt_nose_hoover_invariant(state: NPTNoseHooverState, kT: Number, stress: Any = 0.0) -> Float[Array, ""]:
    """What the dynamics conserve at constant kT and stress: U + K + ½ W Tr vvᵀ + p V - V₀ Tr(T η) + both chains."""
    outside = stress_tensor(stress, state.cell.dtype)
    total = state.potential + _kinetic(state) + _cell_kinetic(state) + external_energy(state.cell, state.reference, outside)
    return total + chain_energy(state.chain, kT) + chain_energy(state.cell_chain, kT)


def _kinetic(state: NPTNoseHooverState) -> Array:
    return 0.5 * jnp.sum(state.momentum**2 / state.mass)


def _cell_kinetic(state: NPTNoseHooverState) -> Array:
    return 0.5 * state.cell_mass * jnp.sum(state.rate**2)
