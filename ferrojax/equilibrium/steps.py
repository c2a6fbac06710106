"""The compiled steps of relaxation: residual, a round of L-BFGS, a Newton step, for one state or side by side for many."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float

from ferrojax.dynamics.stacking import stack
from ferrojax.equilibrium.linear import matrix_of
from ferrojax.equilibrium.symmetry import Symmetry
from ferrojax.response.first import energy_forces_stress
from ferrojax.state import State, apply_strain, strain_length
from ferrojax.topology import is_valid

MAX_STRAIN_ROUND = 0.02  # the reduced field is made Cartesian again after at most this much strain
ROUND = 100  # iterations of L-BFGS before its progress is judged
FLAT = 1e-9  # of the largest eigenvalue: directions that Newton's method leaves alone


class Conditions(struct.PyTreeNode):
    """What a structure relaxes under: field (V/Å), mask of the strains set free, outer stress (eV/Å³), symmetry to keep."""

    field: Float[Array, "3"]
    mask: Float[Array, "3 3"]
    stress: Float[Array, "3 3"]
    symmetry: Symmetry


class Tolerances(struct.PyTreeNode):
    """eV/Å, on the longest force; eV/Å³, on the stress."""

    force: float
    stress: float


def residual(enthalpy, params, state: State, conditions: Conditions) -> tuple[Array, Array, Array]:
    """Enthalpy (eV), longest force (eV/Å), and what the stress on the free strains lacks to the outer one (eV/Å³)."""
    energy, forces, stress = energy_forces_stress(enthalpy, params, state, conditions.field)
    return energy, _longest(forces), jnp.max(jnp.abs((stress - conditions.stress) * conditions.mask))


def descend(enthalpy, params, state: State, conditions: Conditions, tolerances: Tolerances, budget: int | Array) -> tuple[State, Array]:
    """L-BFGS until converged, out of budget or skin, or strained by MAX_STRAIN_ROUND; the state and the iterations."""
    value, strained, scale = _coordinates(enthalpy, params, state, conditions)
    solver = optax.lbfgs(memory_size=20)
    both = optax.value_and_grad_from_state(value)

    def go_on(carry) -> Array:
        x, _, grad, step = carry
        stress = jnp.max(jnp.abs(grad[-3:])) * scale / state.volume
        unconverged = (_longest(grad[:-3]) > tolerances.force) | (stress > tolerances.stress)
        small = jnp.max(jnp.abs(_strain(x, conditions, scale))) < MAX_STRAIN_ROUND
        return (step < budget) & unconverged & is_valid(strained(x)) & small & jnp.isfinite(grad).all()

    def step(carry):
        x, memory, _, count = carry
        energy, grad = both(x, state=memory)
        updates, memory = solver.update(grad, memory, x, value=energy, grad=grad, value_fn=value)
        return optax.apply_updates(x, updates), memory, optax.tree.get(memory, "grad"), count + 1

    start = jnp.zeros((len(state.numbers) + 3, 3), state.positions.dtype)
    carry = (start, solver.init(start), jax.grad(value)(start), jnp.zeros((), jnp.int32))
    x, _, _, count = jax.lax.while_loop(go_on, step, carry)
    return strained(x), count


def newton(enthalpy, params, state: State, conditions: Conditions) -> tuple[State, Array]:
    """One Newton step in atoms and cell, and the lowest eigenvalue of the Hessian (eV/Å², directions without stiffness left out)."""
    value, strained, _ = _coordinates(enthalpy, params, state, conditions)
    start = jnp.zeros((len(state.numbers) + 3, 3), state.positions.dtype)
    slope = jax.grad(lambda x: value(x.reshape(-1, 3)))
    matrix = matrix_of(lambda v: jax.jvp(slope, (start.reshape(-1),), (v,))[1], start.size, start.dtype)
    values, vectors = jnp.linalg.eigh((matrix + matrix.T) / 2)
    stiff = jnp.abs(values) > FLAT * jnp.max(jnp.abs(values))
    step = -vectors @ jnp.where(stiff, (vectors.T @ slope(start.reshape(-1))) / jnp.where(stiff, values, 1.0), 0.0)
    return strained(step.reshape(-1, 3)), jnp.min(jnp.where(stiff, values, jnp.inf))


def each(step: Callable, enthalpy: Any, params: Any, states: list[State], conditions: list[Conditions], *shared: Any) -> list[tuple]:
    """A step of every state: one alone, many side by side as one program. States and conditions must be of one shape."""
    if len(states) == 1:
        return [_alone(step, enthalpy, params, states[0], conditions[0], *(x[0] if isinstance(x, list) else x for x in shared))]
    stacked = [jnp.stack([jnp.asarray(v) for v in x]) if isinstance(x, list) else x for x in shared]
    axes = (None, 0, 0, *(0 if isinstance(x, list) else None for x in shared))
    many = _side_by_side(step, enthalpy, axes, params, stack(states).tree, stack(conditions).tree, *stacked)
    return [tuple(jax.tree.map(lambda leaf, k=k: leaf[k], part) for part in many) for k in range(len(states))]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _alone(step, enthalpy, params, state, conditions, *shared):
    return step(enthalpy, params, state, conditions, *shared)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _side_by_side(step, enthalpy, axes, params, states, conditions, *shared):
    return jax.vmap(functools.partial(step, enthalpy), axes)(params, states, conditions, *shared)


def _coordinates(enthalpy, params, state: State, conditions: Conditions):
    """G(x) = F - V₀ σ:ε of x = (u, J ε), the strained state at x, and J."""
    scale = strain_length(state)

    def moved(x: Array) -> State:
        return state.replace(positions=state.positions + conditions.symmetry.vectors(x[:-3]))

    def value(x: Array) -> Array:
        strain = _strain(x, conditions, scale)
        return enthalpy(params, moved(x), strain, conditions.field) - state.volume * jnp.sum(conditions.stress * strain)

    return value, lambda x: apply_strain(moved(x), _strain(x, conditions, scale)), scale


def _strain(x: Array, conditions: Conditions, scale: Array) -> Float[Array, "3 3"]:
    return conditions.mask * conditions.symmetry.tensor(x[-3:] + x[-3:].T) / (2 * scale)


def _longest(vectors: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.max(jnp.sum(vectors**2, -1)))
