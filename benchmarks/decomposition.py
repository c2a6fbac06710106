"""Weak scaling of energy + forces + stress of one system in slabs over devices, float32, long range included.

    python benchmarks/decomposition.py --json benchmarks/results/decomposition-cpu.json

Without an accelerator the devices are virtual and share the cores, so the wall time says nothing; the
processor time of all threads, per atom, does: it is the total work, and "overhead" is its
growth over one device that holds one device's share. The column "one device" is the same system undivided.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
from ase import Atoms
from potential import environment, write_json

from ferrojax.distributed.decomposition import decompose
from ferrojax.enthalpy import make_enthalpy
from ferrojax.potential import Model, preset
from ferrojax.response.first import energy_forces_stress
from ferrojax.state import State

UNIT = Atoms(
    "PbTiO3", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)], cell=[3.97] * 3, pbc=True
)
BYTES = {"pred": 1, "s8": 1, "s16": 2, "s32": 4, "f32": 4, "f64": 8, "c64": 8, "c128": 16}
COLUMNS = {"preset": "preset", "devices": "devices", "atoms": "atoms", "us/atom": "us_per_atom", "cpu us/atom": "cpu_us_per_atom",
           "overhead": "overhead", "one device": "cpu_us_per_atom_one_device", "halo/atom": "halo_per_atom",
           "bytes/atom": "bytes_per_atom", "MiB/device": "mib_per_device"}  # fmt: skip
COLLECTIVE = re.compile(r"= (.*?) (collective-permute|all-reduce|reduce-scatter|all-gather|all-to-all)(?:-start)?\(")


def measure(name: str, cells: tuple[int, int, int], devices: int, repeats: int, whole: bool = False) -> dict:
    """Times per atom of ``devices`` shares of ``cells`` unit cells, in slabs or ``whole`` on one device."""
    model = Model(preset(name, ("Pb", "Ti", "O"), eps_inf=8.2))
    params, enthalpy, field = model.init(jax.random.key(0)), make_enthalpy(model, long_range="mesh"), jnp.zeros(3, jnp.float32)
    structure = UNIT * (cells[0], cells[1], cells[2] * devices)
    structure.rattle(0.05, seed=0)
    state = model.prepare(structure, skin=0.3)
    divided = devices > 1 and not whole
    state = decompose(state, jax.devices()[:devices], along=2) if divided else state
    compiled = energy_forces_stress.lower(enthalpy, params, state, field).compile()
    wall, work = _best_times(lambda: compiled(params, state, field), repeats)
    return {
        "preset": name,
        "devices": devices if divided else 1,
        "atoms": len(structure),
        "us_per_atom": 1e6 * wall / len(structure),
        "cpu_us_per_atom": 1e6 * work / len(structure),
        "halo_per_atom": _halo(state, len(structure)) if divided else 0.0,
        "bytes_per_atom": _communicated(compiled.as_text()) * devices / len(structure) if divided else 0.0,
        "mib_per_device": _memory(compiled) / 2**20,
    }


def _best_times(call, repeats: int) -> tuple[float, float]:
    """Least wall time and least processor time of all threads, s: what else runs on the machine only adds to them."""
    jax.block_until_ready(call())  # fetches the memory that later calls reuse
    wall, work = [], []
    for _ in range(repeats):
        start, start_work = time.perf_counter(), time.process_time()
        jax.block_until_ready(call())
        wall.append(time.perf_counter() - start)
        work.append(time.process_time() - start_work)
    return min(wall), min(work)


def _halo(state: State, atoms: int) -> float:
    layout = state.topology.layout
    return (len(layout.to_left) + len(layout.to_right)) / atoms


def _communicated(program: str) -> int:
    """Bytes that a device receives in all collective operations of a compiled program."""
    total = 0
    for shapes, _ in COLLECTIVE.findall(program):
        for kind, sizes in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            total += BYTES[kind] * math.prod(int(n) for n in sizes.split(",") if n)
    return total


def _memory(compiled) -> int:
    """Bytes of arguments, results and intermediates on one device, by the compiler's account."""
    stats = compiled.memory_analysis()
    return stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes


def record(rows: list[dict]) -> None:
    """Put the overhead at eight devices into the claims register."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
    import claims

    register = claims.load()
    for row in rows:
        if row["preset"] == "fast" and row["devices"] == 8:
            value = float(f"{row['overhead']:.3g}")
            claims.update(
                register, "B-decomposition-weak-scaling", value=value, command="python benchmarks/decomposition.py --claims", note=""
            )
    claims.save(register)
    claims.write_pages()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--presets", nargs="+", default=["fast", "accurate"])
    parser.add_argument("--cells", type=int, nargs=3, default=[6, 6, 6], help="unit cells of five atoms on each device")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the table here too")
    parser.add_argument("--claims", action="store_true", help="record the overhead in docs/claims.json")
    options = parser.parse_args()
    # One thread a device: in a pool of threads those that wait for work count as busy.
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    jax.config.update("jax_num_cpu_devices", max(options.devices))
    rows = []
    print(environment())
    print("".join(f"{title:>15}" for title in COLUMNS))
    for name in options.presets:
        base = measure(name, options.cells, 1, options.repeats)
        for devices in sorted({1, *(n for n in options.devices if n <= len(jax.devices()))}):
            row = base if devices == 1 else measure(name, options.cells, devices, options.repeats)
            alone = base if devices == 1 else measure(name, options.cells, devices, options.repeats, whole=True)
            row["overhead"] = row["cpu_us_per_atom"] / base["cpu_us_per_atom"]
            row["cpu_us_per_atom_one_device"] = alone["cpu_us_per_atom"]
            row["mib_one_device"] = alone["mib_per_device"]
            rows.append(row)
            values = (row[key] for key in COLUMNS.values())
            print("".join(f"{value:15.4g}" if isinstance(value, float) else f"{value:>15}" for value in values), flush=True)
    if options.json:
        write_json(options.json, cells=options.cells, rows=rows)
    if options.claims:
        record(rows)


if __name__ == "__main__":
    main()
