"""Constant stress and temperature, stochastic: Langevin noise on the particles and on the cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array

from ferrojax.dynamics.barostat import (
    Energy,
    Matrix,
    Number,
    cell_mass,
    drift,
    external_push,
    kick,
    kick_cell,
    project,
    slopes,
    stress_tensor,
)
from ferrojax.dynamics.motion import deformed_momenta
from ferrojax.matrix import square_root


class NPTLangevinState(struct.PyTreeNode):
    """As NPTNoseHooverState, with ``freedom`` N_f and the key of the noise, ``rng``, in place of the chains."""

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
    freedom: Array
    rng: Array


def npt_langevin(
    energy: Energy,
    dt: Number,
    kT: Number,
    stress: Any = 0.0,
    cell: str = "triclinic",
    gamma: Number = 0.1,
    gamma_cell: Number = 0.1,
    tau_cell: Number = None,
    constrain: Callable[[Array, Array], Array] | None = None,
    follows_cell: bool = True,
) -> tuple[Callable[..., NPTLangevinState], Callable[..., NPTLangevinState]]:
    """``(init, apply)`` in the manner of jax-md, for any ``energy(position, cell=..., **kwargs)``, in consistent units.

    The equations of ferrojax.dynamics.barostat with friction ``gamma`` on momenta and ``gamma_cell`` on the
    rate of the cell, split as BAOAB: one energy evaluation a step. The stationary distribution is that
    of the Nose-Hoover form; Gao, Fang and Wang, J. Chem. Phys. 144, 124113 (2016).

    ``constrain(momenta, mass)`` is applied to the momenta after the noise; by default it removes
    the motion of the centre of mass. Other arguments as in npt_nose_hoover.
    """
    tau_cell = 1000 * dt if tau_cell is None else tau_cell
    constrain = remove_centre_of_mass if constrain is None else constrain
    kind = cell

    def init(key: Array, position: Array, cell: Matrix, mass: Array, momenta: Array, freedom: Number = None, **kwargs: Any):
        heat = jnp.asarray(kwargs.pop("kT", kT), cell.dtype)
        kwargs.pop("stress", None)
        freedom = jnp.asarray(position.size - 3 if freedom is None else freedom, cell.dtype)
        potential, force, torsion = slopes(energy, position, cell, follows_cell, **kwargs)
        inertia = jnp.asarray(cell_mass(heat, freedom, tau_cell), cell.dtype)
        return NPTLangevinState(
            position, momenta, force, mass, cell, jnp.zeros_like(cell), inertia, cell, potential, torsion, freedom, key
        )  # fmt: skip

    def noise(state: NPTLangevinState, heat: Array) -> NPTLangevinState:
        """Exact Ornstein-Uhlenbeck step of momenta and rate."""
        rng, first, second = jax.random.split(state.rng, 3)
        keep, keep_cell = jnp.exp(-jnp.asarray(gamma * dt, heat.dtype)), jnp.exp(-jnp.asarray(gamma_cell * dt, heat.dtype))
        xi = jax.random.normal(first, state.momentum.shape, heat.dtype)
        momentum = keep * state.momentum + jnp.sqrt((1 - keep**2) * heat * state.mass) * xi
        eta = project(kind, jax.random.normal(second, (3, 3), heat.dtype))
        rate = keep_cell * state.rate + jnp.sqrt((1 - keep_cell**2) * heat / state.cell_mass) * eta
        return state.replace(momentum=constrain(momentum, state.mass), rate=rate, rng=rng)

    def push_cell(state: NPTLangevinState, outside: Array, time: Array) -> Array:
        push = external_push(state.cell, state.reference, outside)
        return kick_cell(state, kind, push, state.freedom, time, follows_cell)

    def apply(state: NPTLangevinState, **kwargs: Any) -> NPTLangevinState:
        heat, outside = (jnp.asarray(kwargs.pop(name, default), state.cell.dtype) for name, default in (("kT", kT), ("stress", stress)))
        deform, half = kwargs.pop("deform", None), jnp.asarray(dt, state.cell.dtype) / 2
        deform = None if deform is None else square_root(deform)
        outside = stress_tensor(outside, state.cell.dtype)
        state = state.replace(rate=push_cell(state, outside, half))
        state = state.replace(momentum=kick(state, state.freedom, half, follows_cell))
        state = _drifted(state, half, deform, follows_cell)
        state = noise(state, heat)
        state = _drifted(state, half, deform, follows_cell)
        potential, force, torsion = slopes(energy, state.position, state.cell, follows_cell, **kwargs)
        state = state.replace(potential=potential, force=force, torsion=torsion)
        state = state.replace(momentum=kick(state, state.freedom, half, follows_cell))
        return state.replace(rate=push_cell(state, outside, half))

    return init, apply


def remove_centre_of_mass(momenta: Array, mass: Array) -> Array:
    """Momenta in the frame of the centre of mass."""
    return momenta - mass * jnp.sum(momenta, 0) / jnp.sum(mass)


def _drifted(state: NPTLangevinState, time: Number, deform: Matrix | None, follows_cell: bool) -> NPTLangevinState:
    position, cell = drift(state, time, deform, follows_cell)
    return state.replace(position=position, cell=cell, momentum=deformed_momenta(state.momentum, deform))
