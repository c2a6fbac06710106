"""What a lattice needs before it moves."""

from __future__ import annotations

import jax.numpy as jnp

from ferrojax.effective.domains import check_wells
from ferrojax.effective.lattice import LatticeState
from ferrojax.effective.params import HeffParams
from ferrojax.errors import FerrojaxError


def prepare(params: HeffParams, state: LatticeState) -> LatticeState:
    """The state with what dynamics and Monte Carlo need: its cell at zero strain and the masses.

    Raises FerrojaxError if under the outer stress a second, deeper well lies where the on-site
    polynomial was never fitted (see ``check_wells``), and for tilts without inertia.
    """
    if params.weights is None:  # further couplings change the wells
        check_wells(params)
    if state.tilts is not None and params.tilt_inertia is None:
        raise FerrojaxError("the state has tilts, but the parameters no tilt_inertia; give params.replace(tilt_inertia=jnp.asarray(...)).")
    dtype = state.modes.dtype
    cell = params.a0.astype(dtype) * jnp.diag(jnp.asarray(state.shape, dtype))
    tilt = jnp.ones(()) if params.tilt_inertia is None else params.tilt_inertia
    return state.replace(cell=cell, mass=jnp.stack([params.mode_mass, params.acoustic_mass, tilt]).astype(dtype))
