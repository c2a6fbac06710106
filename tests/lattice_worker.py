"""One lattice on one device and on four, in its own process: python lattice_worker.py. Prints the largest differences as JSON."""

from __future__ import annotations

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from ferrojax import effective
from ferrojax.dynamics import Langevin, run
from ferrojax.errors import FerrojaxError

jax.config.update("jax_enable_x64", True)


def main() -> None:
    mesh = Mesh(np.array(jax.devices()), ("slabs",))
    found: dict[str, float | str] = {"devices": len(jax.devices())}
    params = effective.load_parameters("batio3-wc")
    rng = np.random.default_rng(0)
    for name, shape, boundary in (
        ("bulk", (8, 4, 6), effective.LatticeBoundary()),
        ("film", (4, 8, 3), effective.LatticeBoundary(dead_layers=1)),
    ):
        state = effective.prepare(params, effective.LatticeState(jnp.asarray(0.1 * rng.normal(size=(*shape, 3)))))
        spread = effective.shard(state, mesh)
        zero, field = jnp.zeros((3, 3)), jnp.array([0.01, 0.0, 0.02])
        values = []
        for enthalpy, here in (
            (effective.make_enthalpy(shape, boundary), state),
            (effective.make_enthalpy(shape, boundary, mesh=mesh), spread),
        ):
            values.append(jax.jit(jax.value_and_grad(enthalpy, (0, 1)))(params, here, zero, field))
        (energy, slopes), (spread_energy, spread_slopes) = values
        found[f"{name} energy"] = abs(float(energy - spread_energy))
        found[f"{name} forces"] = float(np.abs(np.asarray(slopes[1].modes) - np.asarray(spread_slopes[1].modes)).max())
        found[f"{name} parameters"] = max(
            float(np.abs(np.asarray(a) - np.asarray(b)).max() / (1 + np.abs(np.asarray(a)).max()))
            for a, b in zip(jax.tree.leaves(slopes[0]), jax.tree.leaves(spread_slopes[0]))
        )
        found[f"{name} pieces"] = len({shard.device for shard in spread_slopes[1].modes.addressable_shards})
    shape = (8, 4, 6)
    state = effective.prepare(params, effective.LatticeState(jnp.asarray(0.1 * rng.normal(size=(*shape, 3)))))
    ends = []
    for mesh_or_none, here in ((None, state), (mesh, effective.shard(state, mesh))):
        enthalpy = effective.make_enthalpy(shape, clamp="free", mesh=mesh_or_none)
        ends.append(run(enthalpy, params, here, Langevin(dt=2.0, temperature=300.0), 20, key=jax.random.key(0)).state.modes)
    found["run"] = float(np.abs(np.asarray(ends[0]) - np.asarray(ends[1])).max())
    try:
        effective.make_enthalpy((6, 4, 6), mesh=mesh)
    except FerrojaxError as error:
        found["refusal"] = str(error)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
