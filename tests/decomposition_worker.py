"""One system on one device and on many, in its own process with eight devices: python decomposition_worker.py FILE CHECK..."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from random_model import polar_perovskite, random_model

import ferrojax
from ferrojax.distributed.decomposition import decompose
from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.response.first import born_charges, energy_forces_stress
from ferrojax.state import State
from ferrojax.topology import is_valid, narrow, rebuild

jax.config.update("jax_enable_x64", True)
FIELD = jnp.array([0.01, -0.02, 0.03])
OPEN = ferrojax.Boundary(("E", "E", "D"), (1.0, 2.0, 3.0))
# Every pair of preset, long range and number of devices; the dipole enters the energy itself at an open boundary.
CASES = [("accurate", "mesh", 8)]
MORE_CASES = [("fast", "ewald", 2), ("fast", "mesh", 4), ("fast", "ewald", 8), ("accurate", "mesh", 2), ("accurate", "ewald", 4)]


@jax.jit(static_argnums=0)
def observables(enthalpy: Enthalpy, params: dict, state: State) -> dict[str, jax.Array]:
    """Energy, forces, strain derivative and dipole in one reverse pass."""

    def of(positions, strain, field):
        return enthalpy(params, state.replace(positions=positions), strain, field)

    energy, (slope, torsion, dipole) = jax.value_and_grad(of, (0, 1, 2))(state.positions, jnp.zeros((3, 3)), FIELD)
    return {"energy": energy, "forces": -slope, "stress": torsion / state.volume, "dipole": -dipole}


def prepared(name: str, skin: float = 0.2) -> State:
    """55 atoms, which divide by none of the numbers of devices, in a long skewed cell."""
    return random_model(name)[0].prepare(polar_perovskite((1, 1, 11)), np.float64, skin=skin)


def agreement(cases: list[tuple[str, str, int]] = CASES) -> dict[str, dict]:
    results, alone = {}, {}
    for name, method, count in cases:
        model, params = random_model(name)
        enthalpy = ferrojax.make_enthalpy(model, OPEN if method == "ewald" else ferrojax.Boundary(), method)
        state = prepared(name)
        if (name, method) not in alone:
            alone[name, method] = observables(enthalpy, params, state)
        many = observables(enthalpy, params, decompose(state, jax.devices()[:count]))
        results |= {f"{name}-{method}-{count}": {"alone": alone[name, method], "many": many}}
    return results


def more_agreement() -> dict[str, dict]:
    return agreement(MORE_CASES)


def second_derivatives() -> dict[str, dict]:
    """Born charges, and a gradient with respect to the parameters of a function of the forces."""
    model, params = random_model("fast")
    enthalpy = ferrojax.make_enthalpy(model)

    def misfit(params, state):
        return jnp.sum(energy_forces_stress(enthalpy, params, state, FIELD)[1] ** 2)

    gradient = jax.jit(jax.grad(misfit))
    results = {}
    for key, state in (("alone", prepared("fast")), ("many", decompose(prepared("fast"), jax.devices()[:4]))):
        slope = jnp.concatenate([x.ravel() for x in jax.tree.leaves(gradient(params, state))])
        results[key] = {"born": born_charges(enthalpy, params, state, FIELD), "parameters": slope}
    return results


def validity() -> dict[str, object]:
    """Flags of a stale and an overflown halo, and observables after every atom has moved to another slab."""
    model, params = random_model("fast")
    enthalpy, plain = ferrojax.make_enthalpy(model), prepared("fast")
    state = decompose(plain, jax.devices()[:4])
    cramped = decompose(plain, jax.devices()[:4], places=3)
    wider = rebuild(cramped)
    near = decompose(narrow(prepared("fast", 1.0)), jax.devices()[:4])
    crowded = near.replace(topology=near.topology.replace(near=8))
    moved = state.positions.at[7, 1].add(0.11)
    step = 0.37 * plain.cell[2] + np.random.default_rng(5).normal(0, 0.03, plain.positions.shape)
    fresh, stale = (s.replace(positions=s.positions + step) for s in (plain, state))
    fresh = rebuild(fresh)
    again = rebuild(stale)
    owners = [np.asarray(s.topology.layout.owned).reshape(4, -1) for s in (state, again)]
    many = observables(enthalpy, params, again)
    compiled = observables._cache_size()
    observables(enthalpy, params, state)
    states = {"fresh": state, "moved": state.replace(positions=moved), "stale": stale, "again": again, "cramped": cramped, "wider": wider}
    states |= {"near": near, "crowded": crowded, "less_crowded": rebuild(crowded)}
    return {
        "valid": {name: is_valid(s) for name, s in states.items()},
        "moved_home": np.mean([np.isin(a, b).mean() for a, b in zip(*owners)]),
        "recompiled": observables._cache_size() > compiled,
        "migrated": {"alone": observables(enthalpy, params, fresh), "many": many},
        "widened": {"alone": observables(enthalpy, params, plain), "many": observables(enthalpy, params, wider)},
        "narrow": {"alone": observables(enthalpy, params, plain), "many": observables(enthalpy, params, near)},
    }


def trajectory() -> dict[str, dict]:
    """A hot run whose skin is used up more than once."""
    model, params = random_model("fast")
    enthalpy, results = ferrojax.make_enthalpy(model), {}
    for key, state in (("alone", prepared("fast", 0.25)), ("many", decompose(prepared("fast", 0.25), jax.devices()[:4]))):
        done = ferrojax.run(enthalpy, params, state, ferrojax.NVE(dt=1.0), 30, key=jax.random.key(3), temperature=600.0, field=FIELD)
        results[key] = {"positions": done.state.positions, "dipole": done.records.dipole, "total": done.records.total}
        results[key] |= {"rebuilds": done.rebuilds}
    return results


def refusals() -> dict[str, str]:
    model, params = random_model("fast")
    state, short = prepared("fast"), model.prepare(polar_perovskite((1, 1, 5)), np.float64)
    one = decompose(state, jax.devices()[:2])
    attempts = {
        "thin": lambda: decompose(short, jax.devices()),
        "few": lambda: decompose(model.prepare(polar_perovskite(), np.float64), jax.devices()),
        "none": lambda: decompose(state, []),
        "twice": lambda: decompose(one, jax.devices()[:2]),
        "bare": lambda: decompose(state.replace(topology=None)),
        "outside": lambda: model.terms(params, one),
    }
    return {name: _message(attempt) for name, attempt in attempts.items()}


def _message(attempt) -> str:
    try:
        attempt()
    except FerrojaxError as error:
        return str(error)
    return ""


def main() -> None:
    """Store everything under names such as agreement/fast-mesh-2/many/forces."""
    flat, _ = jax.tree_util.tree_flatten_with_path({check: globals()[check]() for check in sys.argv[2:]})
    np.savez(Path(sys.argv[1]), **{"/".join(str(k.key) for k in path): np.asarray(leaf) for path, leaf in flat})


if __name__ == "__main__":
    main()
