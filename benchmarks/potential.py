"""Speed of energy + forces + stress of both presets, float32, charges and long range included.

    python benchmarks/potential.py --sizes 40 625 5000 20480 --json benchmarks/results/potential-cpu.json

Cells are rattled PbTiO3 supercells with the skin of a molecular-dynamics run. A column
"recompiled" tells whether a second structure of the same bucket had to be compiled. The claims are
those of idle cores, so they take the best of many calls: on a shared host the median is 10 to 40 % above it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

import ferrojax
from ferrojax.enthalpy import make_enthalpy
from ferrojax.files import write_text
from ferrojax.potential import Model, preset
from ferrojax.response.first import energy_forces_stress


def supercell(atoms: int, seed: int) -> Atoms:
    """Rattled PbTiO3 of about ``atoms`` atoms, as close to a cube as it gets."""
    n = max(1, round(atoms / 5) ** (1 / 3))
    repeats = [int(n), int(n), int(n)]
    for axis in range(3):
        if 5 * np.prod(repeats) < atoms * 0.95:
            repeats[axis] += 1
    unit = Atoms(
        "PbTiO3", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)], cell=[3.97] * 3, pbc=True
    )
    structure = unit * repeats
    structure.rattle(0.05, seed=seed)
    return structure


def measure(name: str, atoms: int, skin: float) -> dict:
    """One row: compile time, median and best time of a call, memory, recompilation."""
    model = Model(preset(name, ("Pb", "Ti", "O"), eps_inf=8.2))
    params = model.init(jax.random.key(0))
    enthalpy, field = make_enthalpy(model), jnp.zeros(3, jnp.float32)
    structure = supercell(atoms, 0)
    state = model.prepare(structure, skin=skin)
    start = time.perf_counter()
    jax.block_until_ready(energy_forces_stress(enthalpy, params, state, field))
    compile_time = time.perf_counter() - start
    jax.block_until_ready(energy_forces_stress(enthalpy, params, state, field))  # fetches the memory that later calls reuse
    times = []
    for _ in range(21 if len(structure) > 10_000 else 61):  # seconds of work: host load comes and goes
        start = time.perf_counter()
        jax.block_until_ready(energy_forces_stress(enthalpy, params, state, field))
        times.append(time.perf_counter() - start)
    before = energy_forces_stress._cache_size()
    other = model.prepare(supercell(atoms, 1), skin=skin, slots=state.topology.neighbors.shape[1], kgrid=state.topology.kgrid)
    jax.block_until_ready(energy_forces_stress(enthalpy, params, other, field))
    return {
        "preset": name,
        "atoms": len(structure),
        "slots": state.topology.neighbors.shape[1],
        "us_per_atom": 1e6 * statistics.median(times) / len(structure),
        "us_per_atom_best": 1e6 * min(times) / len(structure),
        "compile_s": compile_time,
        "memory_gib": _memory(),
        "recompiled": energy_forces_stress._cache_size() > before,
    }


def record(rows: list[dict], command: str) -> None:
    """Put the numbers into the claims register: CPU claims from a CPU, GPU claims from an accelerator."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
    import claims

    register = claims.load()
    on_cpu = jax.default_backend() == "cpu"
    kind, size = ("cpu", 625) if on_cpu else ("gpu", 40000)
    for name in sorted({row["preset"] for row in rows}):
        own = {row["atoms"]: row["us_per_atom_best"] for row in rows if row["preset"] == name}
        if size in own:
            claims.update(register, f"A-speed-{kind}-{name}", value=float(f"{own[size]:.3g}"), command=command, note="")
        large = [cost for atoms, cost in own.items() if 625 <= atoms <= 21000]
        if on_cpu and len(large) > 2:
            claims.update(register, f"A-speed-flat-{name}", value=float(f"{max(large) / min(large):.3g}"), command=command, note="")
    recompiled = sum(row["recompiled"] for row in rows)
    claims.update(register, "A-speed-recompilations", value=float(recompiled), command=command, note="")
    claims.save(register)
    claims.write_pages()


def _memory() -> float:
    """Peak memory, GiB: of the accelerator, or of the process (all sizes so far)."""
    stats = jax.devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"] / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def environment() -> dict:
    """Device and versions, to stand beside every number."""
    return {
        "device": jax.devices()[0].device_kind,
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "versions": {"ferrojax": ferrojax.__version__, "jax": jax.__version__, "python": platform.python_version()},
    }


def write_json(path: Path, **numbers: Any) -> None:
    """The numbers with device and versions beside them."""
    write_text(path, json.dumps({**environment(), **numbers}, indent=1) + "\n")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[40, 320, 625, 5000, 20480, 40000], help="atoms")
    parser.add_argument("--presets", nargs="+", default=["fast", "accurate"])
    parser.add_argument("--skin", type=float, default=0.3, help="Å")
    parser.add_argument("--json", type=Path, help="write the table here too")
    parser.add_argument("--claims", action="store_true", help="record the numbers in docs/claims.json")
    options = parser.parse_args()
    rows = []
    print(environment())
    print(f"{'preset':10}{'atoms':>8}{'slots':>7}{'us/atom':>10}{'best':>8}{'compile s':>11}{'GiB':>7}  recompiled")
    for name in options.presets:
        for atoms in sorted(options.sizes):
            row = measure(name, atoms, options.skin)
            rows.append(row)
            print(
                f"{row['preset']:10}{row['atoms']:8}{row['slots']:7}{row['us_per_atom']:10.1f}{row['us_per_atom_best']:8.1f}"
                f"{row['compile_s']:11.1f}{row['memory_gib']:7.2f}  {row['recompiled']}",
                flush=True,
            )
    if options.json:
        write_json(options.json, rows=rows)
    if options.claims:
        record(rows, "python benchmarks/potential.py")


if __name__ == "__main__":
    main()
