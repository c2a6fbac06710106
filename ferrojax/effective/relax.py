"""Strain in closed form, minimisation over modes and strain, and stationary points."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ferrojax.effective.enthalpy import EffectiveHamiltonian
from ferrojax.effective.lattice import LatticeState, strain_tensor, voigt_strain
from ferrojax.effective.params import HeffParams
from ferrojax.effective.terms import elastic_tensor, outer_load, strain_sources
from ferrojax.errors import FerrojaxError

# Voigt components that a substrate in the xy plane holds, and those it leaves free.
HELD, LOOSE = jnp.array([0, 1, 5]), jnp.array([2, 3, 4])
NEWTON_LIMIT = 3000  # unknowns; the Hessian is dense


@dataclass
class LatticeRelaxation:
    """A relaxed lattice: its state, full strain tensor, enthalpy (eV), largest force (eV/Å) and iterations."""

    state: LatticeState
    strain: Float[Array, "3 3"]
    energy: float
    max_force: float
    steps: int


def relaxed_strain(params: HeffParams, state: LatticeState) -> Float[Array, "3 3"]:
    """The homogeneous strain at which the stress is the outer one, for given modes.

    η = -B⁻¹ (⟨y⟩ - a0³ σ) in Voigt components; at pressure p, -a0³ σ = p a0³ (1, 1, 1, 0, 0, 0).
    """
    return strain_tensor(-jnp.linalg.solve(elastic_tensor(params), _pull(params, state)))


def epitaxial_strain(params: HeffParams, state: LatticeState, misfit: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    """The strain of a film on a substrate in the xy plane: xx, yy and xy as in ``misfit``, the rest relaxed.

    For an equibiaxial misfit ε: η3 = (-2 B12 ε - f3)/B11 and η4,5 = -f4,5/B44, with f = ⟨y⟩ - a0³ σ.
    """
    elastic, held = elastic_tensor(params), voigt_strain(misfit)[HELD]
    force = _pull(params, state)[LOOSE] + elastic[LOOSE][:, HELD] @ held
    loose = -jnp.linalg.solve(elastic[LOOSE][:, LOOSE], force)
    return strain_tensor(jnp.zeros(6, held.dtype).at[HELD].set(held).at[LOOSE].set(loose))


def clamped_strain(params: HeffParams, state: LatticeState, strain: Float[Array, "3 3"], clamp: str) -> Float[Array, "3 3"]:
    """The strain under a clamp: "free" relaxes all of it, "epitaxial" all but the film plane, "fixed" nothing.

    Raises FerrojaxError for another word.
    """
    if clamp == "free":
        return relaxed_strain(params, state)
    if clamp == "epitaxial":
        return epitaxial_strain(params, state, strain)
    if clamp == "fixed":
        return strain
    raise FerrojaxError(f"the clamp must be 'free', 'epitaxial' or 'fixed'; got {clamp!r}.")


def _pull(params: HeffParams, state: LatticeState) -> Float[Array, "6"]:
    sources = strain_sources(params, jnp.moveaxis(state.modes, -1, 0), state.occupation)
    return jnp.mean(sources, (1, 2, 3)) - outer_load(params)


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
    held, outer = _conditions(state, strain, field)
    if ravel_pytree((state.modes, state.acoustic))[0].size > NEWTON_LIMIT:
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
    start, unravel = ravel_pytree((state.modes, state.acoustic))

    def place(x: Array) -> LatticeState:
        modes, acoustic = unravel(x)
        return state.replace(modes=modes, acoustic=acoustic)

    def value(x: Array) -> Array:
        here = place(x)
        return enthalpy(params, here, clamped_strain(params, here, held, clamp), field)

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
    return energy, jnp.max(jnp.abs(grad)), clamped_strain(params, state, held, clamp)


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
