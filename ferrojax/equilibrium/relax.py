"""Relaxation of positions, and of the cell, in an electric field by L-BFGS."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.response.first import energy_forces_stress
from ferrojax.state import State, apply_strain
from ferrojax.topology import is_valid, rebuild
from ferrojax.units import GPA

MAX_STRAIN_ROUND = 0.02  # the reduced field is made Cartesian again after at most this much strain


@dataclass
class Relaxation:
    """A relaxed state and how well it converged.

    energy: enthalpy, eV. max_force: largest force on an atom, eV/Å; max_stress: largest
    stress component on the strains set free, eV/Å³. steps: iterations over all rounds.
    """

    state: State
    energy: float
    max_force: float
    max_stress: float
    steps: int


def relax(
    enthalpy: Enthalpy,
    params: Any,
    state: State,
    field: Sequence[float] | np.ndarray | Array = (0.0, 0.0, 0.0),
    cell: bool | np.ndarray = True,
    force_tolerance: float = 1e-3,
    stress_tolerance: float = 0.01 * GPA,
    max_steps: int = 500,
) -> Relaxation:
    """Nearest minimum of the enthalpy over positions and, unless ``cell`` is False, strain.

        minimise F(R₀ + u, ε, E) over u and symmetric ε

    L-BFGS on x = (u, J ε), J = (V/N)^(1/3) N^(1/2) (Sheppard et al., J. Chem. Phys. 136,
    074103 (2012)), in rounds: after each the strain is made part of the state, so that the
    field is the Cartesian ``field`` at the end, and the topology is rebuilt.

    Args:
        state: from ``model.prepare(atoms, np.float64, skin=1.0)``. field: V/Å.
        cell: True, False, or a symmetric (3, 3) mask of the strains set free.
        force_tolerance: eV/Å, on the longest force. stress_tolerance: eV/Å³.

    Raises FerrojaxError if it has not converged after ``max_steps`` iterations or runs away.
    """
    free = np.broadcast_to(np.asarray(cell, float), (3, 3))
    if not np.array_equal(free, free.T):
        raise FerrojaxError("relax: the cell mask must be symmetric, as a strain is.")
    mask, e = jnp.asarray(free, state.cell.dtype), jnp.asarray(field, state.cell.dtype)
    tolerances, steps, moved = (force_tolerance, stress_tolerance), 0, -1
    while True:
        state = rebuild(state)
        energy, force, stress = _residual(enthalpy, params, state, e, mask)
        result = Relaxation(state, float(energy), float(force), float(stress), steps)
        if result.max_force <= force_tolerance and result.max_stress <= stress_tolerance:
            return result
        if not np.isfinite(result.energy) or steps >= max_steps or moved == 0:
            raise FerrojaxError(_failed(result, tolerances))
        state, taken = _round(enthalpy, params, state, e, mask, *tolerances, max_steps - steps)
        moved = int(taken)
        steps += moved


@functools.partial(jax.jit, static_argnums=0)
def _residual(enthalpy, params, state, field, mask) -> tuple[Array, Array, Array]:
    energy, forces, stress = energy_forces_stress(enthalpy, params, state, field)
    return energy, _longest(forces), jnp.max(jnp.abs(stress * mask))


@functools.partial(jax.jit, static_argnums=0)
def _round(enthalpy, params, state, field, mask, force_tolerance, stress_tolerance, max_steps) -> tuple[State, Array]:
    """L-BFGS from a state until converged, out of steps, out of skin, or strained by MAX_STRAIN_ROUND."""
    atoms = jnp.sum(state.numbers > 0)
    scale = (state.volume / atoms) ** (1 / 3) * jnp.sqrt(atoms)

    def strain_of(x: Array) -> Float[Array, "3 3"]:
        return mask * (x[-3:] + x[-3:].T) / (2 * scale)

    def value(x: Array) -> Array:
        return enthalpy(params, state.replace(positions=state.positions + x[:-3]), strain_of(x), field)

    def strained(x: Array) -> State:
        return apply_strain(state.replace(positions=state.positions + x[:-3]), strain_of(x))

    solver = optax.lbfgs(memory_size=20)
    both = optax.value_and_grad_from_state(value)

    def go_on(carry) -> Array:
        x, _, grad, step = carry
        stress = jnp.max(jnp.abs(grad[-3:])) * scale / state.volume
        unconverged = (_longest(grad[:-3]) > force_tolerance) | (stress > stress_tolerance)
        here = is_valid(strained(x)) & (jnp.max(jnp.abs(strain_of(x))) < MAX_STRAIN_ROUND) & jnp.isfinite(grad).all()
        return (step < max_steps) & unconverged & here

    def step(carry):
        x, memory, _, count = carry
        energy, grad = both(x, state=memory)
        updates, memory = solver.update(grad, memory, x, value=energy, grad=grad, value_fn=value)
        return optax.apply_updates(x, updates), memory, optax.tree.get(memory, "grad"), count + 1

    start = jnp.zeros((len(state.numbers) + 3, 3), state.positions.dtype)
    carry = (start, solver.init(start), jax.grad(value)(start), jnp.zeros((), jnp.int32))
    x, _, _, count = jax.lax.while_loop(go_on, step, carry)
    return strained(x), count


def _longest(vectors: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.max(jnp.sum(vectors**2, -1)))


def _failed(result: Relaxation, tolerances: tuple[float, float]) -> str:
    return (
        f"relax: not converged after {result.steps} steps: largest force {result.max_force:.2g} eV/Å (wanted {tolerances[0]:.2g}), "
        f"stress {result.max_stress / GPA:.2g} GPa (wanted {tolerances[1] / GPA:.2g}); start closer to a minimum, allow more steps, "
        "or use float64."
    )
