"""Minimisation over modes and strain, and stationary points."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from ferrojax.effective.clamp import check_clamp
from ferrojax.effective.enthalpy import EffectiveHamiltonian
from ferrojax.effective.lattice import LatticeState
from ferrojax.effective.params import HeffParams
from ferrojax.errors import FerrojaxError

NEWTON_LIMIT = 3000  # unknowns; the Hessian is dense


@dataclass
class LatticeRelaxation:
    """A relaxed lattice: its state, full strain tensor, enthalpy (eV), largest force (eV/Å) and iterations."""

    state: LatticeState
    strain: Float[Array, "3 3"]
    energy: float
    max_force: float
    steps: int


def minimise(
    enthalpy: EffectiveHamiltonian,
    params: HeffParams,
    state: LatticeState,
    strain: Any = None,
    field: Any = (0.0, 0.0, 0.0),
    clamp: str = "free",
    tolerance: float = 1e-8,
    max_steps: int = 2000,
) -> LatticeRelaxation:
    """Nearest minimum over the modes (and explicit acoustic displacements), the strain following in closed form.

        minimise F(u, w, η(u), E) over u and w

    L-BFGS; the strain is quadratic in F, so eliminating it changes neither minima nor slopes.

    Args:
        strain: (3, 3), what an epitaxial or fixed clamp holds; zero by default. field: V/Å.
        clamp: see clamped_strain. tolerance: eV/Å on the largest component of a force, float64 needed below 1e-5.

    Raises FerrojaxError if not converged after ``max_steps``, or if a mode runs away.
    """
    check_clamp(clamp)
    held, outer = _conditions(state, strain, field)
    state, steps = _descend(enthalpy, clamp, params, state, held, outer, tolerance, max_steps)
    return _finish(enthalpy, clamp, params, state, held, outer, tolerance, int(steps))


def stationary(
    enthalpy: EffectiveHamiltonian,
    params: HeffParams,
    state: LatticeState,
    strain: Any = None,
    field: Any = (0.0, 0.0, 0.0),
    clamp: str = "free",
    tolerance: float = 1e-8,
    max_steps: int = 50,
) -> LatticeRelaxation:
    """Nearest stationary point, of any index, by Newton's method: saddles such as the site-centred wall.

    Arguments and errors are those of ``minimise``. Least squares, so that directions without
    stiffness (a net acoustic displacement) do no harm. Up to 3000 unknowns.
    """
    check_clamp(clamp)
    held, outer = _conditions(state, strain, field)
    if state.coordinates.size > NEWTON_LIMIT:
        raise FerrojaxError(f"stationary: more than {NEWTON_LIMIT} unknowns; use minimise or a smaller lattice.")
    steps = 0
    while steps < max_steps:
        state, force = _newton(enthalpy, clamp, params, state, held, outer)
        steps += 1
        if not force > tolerance:  # also ends at NaN, which _finish reports
            break
    return _finish(enthalpy, clamp, params, state, held, outer, tolerance, steps)


def _conditions(state: LatticeState, strain: Any, field: Any) -> tuple[Array, Array]:
    dtype = state.modes.dtype
    return jnp.zeros((3, 3), dtype) if strain is None else jnp.asarray(strain, dtype), jnp.asarray(field, dtype)


def _reduced(enthalpy, clamp, params: HeffParams, state: LatticeState, held, field):
    """F of the free coordinates alone, where they start, and how to put them back into the state."""
    start = state.coordinates.reshape(-1)

    def place(x: Array) -> LatticeState:
        return state.at(x.reshape(-1, 3))

    def value(x: Array) -> Array:
        here = place(x)
        return enthalpy(params, here, enthalpy.strain_at(params, here, held, clamp), field)

    return value, start, place


@functools.partial(jax.jit, static_argnums=(0, 1))
def _descend(enthalpy, clamp, params, state, held, field, tolerance, max_steps):
    value, start, place = _reduced(enthalpy, clamp, params, state, held, field)
    solver = optax.lbfgs(memory_size=20)
    both = optax.value_and_grad_from_state(value)

    def go_on(carry) -> Array:
        _, _, grad, step = carry
        return (step < max_steps) & (jnp.max(jnp.abs(grad)) > tolerance) & jnp.isfinite(grad).all()

    def step(carry):
        x, memory, _, count = carry
        energy, grad = both(x, state=memory)
        updates, memory = solver.update(grad, memory, x, value=energy, grad=grad, value_fn=value)
        return optax.apply_updates(x, updates), memory, optax.tree.get(memory, "grad"), count + 1

    carry = (start, solver.init(start), jax.grad(value)(start), jnp.zeros((), jnp.int32))
    x, _, _, count = jax.lax.while_loop(go_on, step, carry)
    return place(x), count


@functools.partial(jax.jit, static_argnums=(0, 1))
def _newton(enthalpy, clamp, params, state, held, field):
    value, start, place = _reduced(enthalpy, clamp, params, state, held, field)
    x = start - jnp.linalg.lstsq(jax.hessian(value)(start), jax.grad(value)(start))[0]
    return place(x), jnp.max(jnp.abs(jax.grad(value)(x)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _residual(enthalpy, clamp, params, state, held, field):
    value, start, _ = _reduced(enthalpy, clamp, params, state, held, field)
    energy, grad = jax.value_and_grad(value)(start)
    return energy, jnp.max(jnp.abs(grad)), enthalpy.strain_at(params, state, held, clamp)


def _finish(enthalpy, clamp, params, state, held, field, tolerance, steps) -> LatticeRelaxation:
    energy, force, strain = _residual(enthalpy, clamp, params, state, held, field)
    largest = float(jnp.max(jnp.abs(state.modes)))
    if not largest < 0.5 * float(params.a0):  # also true of NaN
        raise FerrojaxError(
            f"a local mode ran away to {largest:.3g} Å: under this pressure, strain or field the polynomial on-site energy has no "
            "bound minimum near the start; lessen them or start elsewhere."
        )
    if not force <= tolerance:
        raise FerrojaxError(
            f"not converged after {steps} steps: largest force {force:.2g} eV/Å, wanted {tolerance:.2g}; "
            "allow more steps, start closer, loosen the tolerance, or use float64."
        )
    return LatticeRelaxation(state, strain, float(energy), float(force), steps)
