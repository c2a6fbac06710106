"""Speed of one force evaluation of the effective Hamiltonian, with the strain adiabatically eliminated.

    python benchmarks/effective.py --sizes 16 32 64 --json benchmarks/results/effective-cpu.json

BaTiO3, random modes, forces -∂F/∂u inside a compiled loop, as a molecular-dynamics run sees
them; "MD" is a whole Langevin step of such a run at constant stress, the strain following. "best"
is the fastest of several loops: other load on the machine only slows them.
"exponent" is the slope of log time by log cells from the size before.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from potential import environment, write_json

from ferrojax.dynamics import Langevin, run
from ferrojax.effective import HeffParams, LatticeState, load_parameters, make_enthalpy, prepare

REPEATS = 5
CELLS_PER_LOOP = 1_000_000  # force evaluations times cells in one timed loop, about


def force_loop(size: int) -> Callable:
    """Jitted steepest descent: a number of force evaluations, each from the modes the last one left."""
    enthalpy = make_enthalpy((size, size, size))
    strain, field = jnp.zeros((3, 3)), jnp.zeros(3)

    def run(params: HeffParams, modes: Float[Array, "x y z 3"], steps: int) -> Float[Array, "x y z 3"]:
        slope = jax.grad(lambda u: enthalpy(params, LatticeState(u), strain, field))
        return jax.lax.fori_loop(0, steps, lambda _, u: u - 1e-4 * slope(u), modes)

    return jax.jit(run)


def dynamics_step(size: int, params: HeffParams, modes: Float[Array, "x y z 3"]) -> float:
    """Seconds of a Langevin step, the best of several segments."""
    shape = (size, size, size)
    enthalpy, state = make_enthalpy(shape, clamp="free"), prepare(params, LatticeState(modes))
    steps = max(2, CELLS_PER_LOOP // size**3)
    langevin, times, options = Langevin(dt=2.0, temperature=300.0), [], {"every": steps, "keep_positions": False}
    found = run(enthalpy, params, state, langevin, steps, key=jax.random.key(0), **options)
    for _ in range(REPEATS):
        start = time.perf_counter()
        found = run(enthalpy, params, found.state, langevin, steps, progress=found.progress, **options)
        times.append((time.perf_counter() - start) / steps)
    return min(times)


def measure(size: int, dtype: type) -> dict:
    """One row: compile time, time of an evaluation, memory."""
    modes = 0.1 * jax.random.normal(jax.random.key(0), (size, size, size, 3), dtype)
    params, loop = load_parameters("batio3-wc"), force_loop(size)
    start = time.perf_counter()
    jax.block_until_ready(loop(params, modes, 1))
    compile_time = time.perf_counter() - start
    steps = max(2, CELLS_PER_LOOP // size**3)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(loop(params, modes, steps))
        times.append((time.perf_counter() - start) / steps)
    return {
        "cells": size**3,
        "ms": 1e3 * sorted(times)[len(times) // 2],
        "ms_best": 1e3 * min(times),
        "us_per_cell": 1e6 * min(times) / size**3,
        "cell_steps_per_s": size**3 / min(times),
        "compile_s": compile_time,
        "md_ms": 1e3 * dynamics_step(size, params, modes),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,  # of the process so far
    }


def record(rows: list[dict], command: str) -> None:
    """Put the numbers into the claims register."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
    import claims

    register, on_cpu = claims.load(), jax.default_backend() == "cpu"
    by_cells = {row["cells"]: row for row in rows}

    def put(name: str, value: float) -> None:
        claims.update(register, name, value=float(f"{value:.3g}"), command=command, note="")

    if 64**3 in by_cells:
        put("C-force-speed" if on_cpu else "C-speed-gpu", by_cells[64**3]["cell_steps_per_s"])
    if on_cpu and 128**3 in by_cells:
        put("C-scale-time", by_cells[128**3]["md_ms"] / 1e3)
        put("C-scale-memory", by_cells[128**3]["peak_gib"])
        if 16**3 in by_cells:
            put("C-scale-exponent", math.log(by_cells[128**3]["ms_best"] / by_cells[16**3]["ms_best"]) / math.log(8**3))
    claims.save(register)
    claims.write_pages()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64], help="cells along each edge")
    parser.add_argument("--double", action="store_true", help="float64 instead of float32")
    parser.add_argument("--json", type=Path, help="write the table here too")
    parser.add_argument("--claims", action="store_true", help="record the numbers in docs/claims.json")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", options.double)
    print(environment())
    print(f"{'cells':>9}{'ms':>10}{'best':>10}{'us/cell':>10}{'cells/s':>11}{'exponent':>10}{'MD ms':>10}{'compile s':>11}{'peak GiB':>10}")
    rows: list[dict] = []
    for size in sorted(options.sizes):
        row = measure(size, jnp.float64 if options.double else jnp.float32)
        last = rows[-1] if rows else None
        row["exponent"] = math.log(row["ms_best"] / last["ms_best"]) / math.log(row["cells"] / last["cells"]) if last else None
        rows.append(row)
        exponent = "–" if row["exponent"] is None else f"{row['exponent']:.2f}"
        print(
            f"{row['cells']:9}{row['ms']:10.3f}{row['ms_best']:10.3f}{row['us_per_cell']:10.4f}{row['cell_steps_per_s']:11.2e}"
            f"{exponent:>10}{row['md_ms']:10.2f}{row['compile_s']:11.1f}{row['peak_gib']:10.2f}",
            flush=True,
        )
    if options.json:
        write_json(options.json, dtype="float64" if options.double else "float32", rows=rows)
    if options.claims:
        record(rows, "python benchmarks/effective.py --sizes " + " ".join(str(s) for s in sorted(options.sizes)) + " --claims")


if __name__ == "__main__":
    main()
