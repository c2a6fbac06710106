"""A small run in its own process: python md_worker.py FOLDER STEPS [bytes that a file may grow to]."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

from toy_model import ToyModel, rattled_triclinic  # noqa: E402

from ferrojax.dynamics import Langevin, Output, run  # noqa: E402
from ferrojax.errors import FerrojaxError  # noqa: E402
from ferrojax.state import apply_strain  # noqa: E402
from ferrojax.topology import edge_vectors  # noqa: E402

PARAMS = {"stiffness": 1.5, "length": 2.6}


def springs(params, state, strain, field):
    """Morse-like pairs over the neighbour list and formal charges in a field: compiles in a moment."""
    strained = apply_strain(state, strain)
    r = jnp.sqrt(jnp.where(state.topology.mask, jnp.sum(edge_vectors(strained) ** 2, -1), 1.0))
    inside = state.topology.mask & (r < 4.5)
    like = (state.numbers[:, None] - state.numbers[state.topology.neighbors]) == 0
    away = r - params["length"]
    pair = params["stiffness"] * (jnp.exp(-2.5 * away) - jnp.where(like, 0.2, 1.0) * jnp.exp(-1.2 * away))
    charges = jnp.where(state.numbers % 2 == 0, 1.0, -1.0)
    return 0.5 * jnp.sum(jnp.where(inside, pair * (1 - (r / 4.5) ** 2) ** 2, 0.0)) - field @ (charges @ state.positions)


def first_state():
    """A skin so small that the topology is rebuilt often."""
    return ToyModel().prepare(rattled_triclinic(), skin=0.35, k_tolerance=1e-2)


def simulate(folder, steps: int, **settings):
    """The run of the tests, into a folder, with a checkpoint after every segment."""
    output = Output(folder, **({"velocities": True, "checkpoint_seconds": 0.0} | settings))
    return run(springs, PARAMS, first_state(), Langevin(1.0, 400.0, 0.02), steps, key=jax.random.key(5), every=5, output=output)


def main() -> None:
    """Run and store the final arrays."""
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        end = simulate(folder, steps)
    except FerrojaxError as error:
        sys.exit(f"refused: {error}")
    motion = end.progress.motion
    arrays = {"position": motion.position, "momentum": motion.momentum, "noise": jax.random.key_data(motion.rng)}
    np.savez(folder / "final.npz", records=end.records.total, **arrays)


if __name__ == "__main__":
    main()
