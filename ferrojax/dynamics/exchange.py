"""Replica exchange: a ladder of temperatures, fields, stresses or parameters whose neighbours swap places now and then.

Rungs i and j with reduced enthalpies u_i(x) = β_i (F_i(x; E_i) + p V - V₀ Tr(T_i η)) swap with probability

    min(1, exp(-Δ)),    Δ = u_i(x_j) + u_j(x_i) - u_i(x_i) - u_j(x_j),

which keeps the product of their Boltzmann distributions; for temperatures alone Δ = (β_i - β_j)(F_j - F_i), for
fields alone Δ = β [F(x_i; E_j) + F(x_j; E_i) - F(x_i; E_i) - F(x_j; E_j)]. Momenta are scaled by √(T_new/T_old), so
kinetic energies drop out. Sugita and Okamoto, Chem. Phys. Lett. 314, 141 (1999); chains: Mori and Okamoto, J. Phys. Soc. Jpn.
79, 074003 (2010). It is the settings that move between replicas, not the atoms: no topology has to travel.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.dynamics.barostat import external_energy, slopes, stress_tensor
from ferrojax.dynamics.protocols import Constant, Protocol, as_protocol, at
from ferrojax.dynamics.replicas import Replicas, run_replicas
from ferrojax.dynamics.rollout import Integrator, Progress, Record
from ferrojax.dynamics.stacking import Stacked, as_stacked, count_of
from ferrojax.dynamics.system import System
from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.units import BOLTZMANN

Conditions = tuple[Any, Any, Any]  # integrator, params, field


@dataclass
class Exchange:
    """A finished ladder.

    records: NumPy arrays (rungs, records, ...), each row at the conditions of its rung.
    attempts, accepted: (rungs - 1,), swaps between each rung and the next. places: (rounds + 1, replicas), the rung of
    each replica. replicas: where each stands, in the order of the replicas.
    """

    records: Record
    attempts: np.ndarray
    accepted: np.ndarray
    places: np.ndarray
    replicas: Replicas

    @property
    def acceptance(self) -> np.ndarray:
        """Share of swaps accepted between each rung and the next; NaN where none was tried."""
        return np.where(self.attempts > 0, self.accepted / np.maximum(self.attempts, 1), np.nan)

    @property
    def round_trips(self) -> np.ndarray:
        """How often each replica went from the lowest rung to the highest and back."""
        top = self.places.max()
        ends = [[p for p in walk if p in (0, top)] for walk in self.places.T]
        turns = [sum(a != b for a, b in zip(e, e[1:])) for e in ends]
        return np.array(turns) // 2

    def report(self) -> str:
        """Acceptance of each pair of rungs, a line each."""
        lines = [f"rungs {k} and {k + 1}: {a:.0%} of {n} swaps" for k, (a, n) in enumerate(zip(self.acceptance, self.attempts))]
        return "\n".join([*lines, f"round trips: {self.round_trips.sum()}"])


def exchange(
    enthalpy: Enthalpy,
    params: Any,
    state: State,
    integrator: Integrator | list[Integrator] | Stacked,
    rounds: int,
    *,
    key: Array,
    field: Any = (0.0, 0.0, 0.0),
    swap_every: int = 100,
    every: int = 10,
    keep_positions: bool = False,
    devices: Sequence[jax.Device] | None = None,
) -> Exchange:
    """Replicas on a ladder: ``rounds`` of ``swap_every`` steps, after each of which every other pair of neighbours may swap.

    Arguments as of ``run_replicas``; integrator (temperature, stress), field and params may be ``stack([...])``, one per rung in the order
    of the ladder. All must be constant in time.

    Args:
        state: one for all rungs.

    Raises:
        FerrojaxError: NVE, a condition that changes with time, swap_every not a multiple of every, a replica that blows up.
    """
    dtype = state.cell.dtype
    value = field if isinstance(field, Stacked | Protocol) else jnp.asarray(field)
    ladder = {"integrator": as_stacked(integrator, dtype), "params": params, "field": as_stacked(value, dtype)}
    _check(ladder, swap_every, every)
    count = count_of(ladder)
    start, draws = jax.random.split(key)
    if rounds < 1:
        raise FerrojaxError(f"exchange: rounds must be at least 1; got {rounds}.")
    settings = {"every": every, "key": start, "keep_positions": keep_positions, "devices": devices}
    rung, fleet, parts, places = np.arange(count), None, [], [np.arange(count)]
    attempts, accepted = np.zeros(count - 1, int), np.zeros(count - 1, int)
    for number in range(rounds):
        here = _of(ladder, rung)
        fleet = run_replicas(
            enthalpy, here["params"], state, here["integrator"], swap_every, field=here["field"], after=fleet, **settings
        )  # fmt: skip
        if fleet.failures:
            raise FerrojaxError(f"exchange: {next(iter(fleet.failures.values()))} A ladder needs all its rungs.")
        parts.append(jax.tree.map(lambda leaf: leaf[np.argsort(rung)], fleet.records))  # noqa: B023
        lower = np.arange(number % 2, count - 1, 2)
        after, goes = _swapped(enthalpy, ladder, fleet, rung, lower, jax.random.fold_in(draws, number))
        attempts[lower] += 1
        accepted[lower] += goes
        progress = _moved(enthalpy, fleet.state, fleet.progress, _opened(here), _opened(_of(ladder, after)), _axes(ladder))
        rung, fleet = after, dataclasses.replace(fleet, progress=progress)
        places.append(rung)
    assert fleet is not None
    records = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *parts)
    return Exchange(records, attempts, accepted, np.array(places), fleet)


def _swapped(enthalpy, ladder, fleet, rung, lower, key) -> tuple[np.ndarray, np.ndarray]:
    """Rungs of the replicas after pairs (k, k + 1), k in ``lower``, have tried to swap; and which did."""
    partner = np.arange(len(rung))
    partner[lower], partner[lower + 1] = lower + 1, lower
    conditions = [_opened(_of(ladder, places)) for places in (rung, partner[rung])]
    own, other = (np.asarray(_reduced(enthalpy, fleet.state, fleet.progress, x, _axes(ladder))) for x in conditions)
    chance = np.exp(np.minimum(-swap_exponent(own, other, rung, lower), 0.0))
    goes = np.asarray(jax.random.uniform(key, (len(lower),))) < chance
    moved = np.isin(rung, np.concatenate([lower[goes], lower[goes] + 1]))
    return np.where(moved, partner[rung], rung), goes


def swap_exponent(own: np.ndarray, other: np.ndarray, rung: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Δ of each pair of rungs (k, k + 1), k in ``lower``, from each replica's reduced enthalpy at its own rung and at its partner's."""
    gain = (other - own)[np.argsort(rung)]
    return gain[lower] + gain[lower + 1]


def reduced_enthalpy(enthalpy: Enthalpy, state: State, progress: Progress, settings: Conditions) -> Float[Array, ""]:
    """Reduced enthalpy u = β (F + p V - V₀ Tr(T η)) of where a replica stands, under (integrator, params, field)."""
    integrator, params, field = settings
    motion, zero = progress.motion, jnp.zeros((), state.cell.dtype)
    system = System(enthalpy, params, state, progress.reference)
    energy = system.energy(motion.position, as_protocol(field)(zero), getattr(motion, "cell", None))
    if hasattr(integrator, "stress"):
        energy += external_energy(motion.cell, motion.reference, stress_tensor(at(integrator.stress, zero), zero.dtype))
    return energy / (BOLTZMANN * at(integrator.temperature, zero))


def move(enthalpy: Enthalpy, state: State, progress: Progress, old: Conditions, new: Conditions) -> Progress:
    """Where a replica stands, at the temperature of new conditions and with their forces."""
    zero = jnp.zeros((), state.cell.dtype)
    factor = jnp.sqrt(at(new[0].temperature, zero) / at(old[0].temperature, zero))
    motion, field = progress.motion, as_protocol(new[2])(zero)
    system = System(enthalpy, new[1], state, progress.reference)
    inner = getattr(motion, "inner", motion)
    changes: dict[str, Any] = {"momentum": inner.momentum * factor}
    if hasattr(motion, "rate"):
        changes["rate"] = motion.rate * factor
        potential, force, torsion = slopes(system.energy, motion.position, motion.cell, field=field)
        changes |= {"potential": potential, "force": force, "torsion": torsion}
    else:
        changes["force"] = system.forces(motion.position, field)
    # The momentum of a chain goes as kT: its mass is kT τ².
    chains = {n: c.replace(momentum=c.momentum * factor**2) for n in ("chain", "cell_chain") if (c := getattr(motion, n, None)) is not None}
    if inner is motion:
        return progress.replace(motion=dataclasses.replace(motion, **changes, **chains))
    return progress.replace(motion=dataclasses.replace(motion, inner=dataclasses.replace(inner, **changes), **chains))


@functools.partial(jax.jit, static_argnums=(0, 4))
def _reduced(enthalpy, state, progress, settings, axes):
    return jax.vmap(functools.partial(reduced_enthalpy, enthalpy), in_axes=(0, 0, axes))(state, progress, settings)


@functools.partial(jax.jit, static_argnums=(0, 5))
def _moved(enthalpy, state, progress, old, new, axes):
    return jax.vmap(functools.partial(move, enthalpy), in_axes=(0, 0, axes, axes))(state, progress, old, new)


def _of(ladder: dict[str, Any], rung: np.ndarray) -> dict[str, Any]:
    """The conditions of each replica."""
    return {name: item.pick(rung) if isinstance(item, Stacked) else item for name, item in ladder.items()}


def _opened(settings: dict[str, Any]) -> Conditions:
    opened = [x.tree if isinstance(x, Stacked) else x for x in settings.values()]
    return opened[0], opened[1], opened[2]


def _axes(settings: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(0 if isinstance(x, Stacked) else None for x in settings.values())


def _check(ladder: dict[str, Any], swap_every: int, every: int) -> None:
    """Raise FerrojaxError for what has no Boltzmann distribution to sample."""
    opened = _opened(ladder)
    integrator, field = opened[0], opened[2]
    if not hasattr(integrator, "temperature"):
        raise FerrojaxError("exchange: every rung needs a thermostat; NVE has no temperature.")
    for name in ("field", "temperature", "stress"):
        value = field if name == "field" else getattr(integrator, name, None)
        if isinstance(value, Protocol) and not isinstance(value, Constant):
            raise FerrojaxError(f"exchange: the {name} must be constant in time on every rung; got {type(value).__name__}.")
    if swap_every % every:
        raise FerrojaxError(
            f"exchange: swap_every ({swap_every}) must be a multiple of every ({every}), so that records have even spacing."
        )
