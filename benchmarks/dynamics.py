"""Speed of molecular dynamics: the runner against bare energy + forces, and against ASE's integrator with the same potential.

    python benchmarks/dynamics.py --claims --json benchmarks/results/dynamics-cpu.json

625 atoms of PbTiO3, weights of experiments/titanates, float32, 1 fs. "bare": one compiled call that
returns energy and forces. "runner": Langevin and NPT through ``ferrojax.run`` with files written every
100 steps. "ase": Langevin of ASE with our calculator. Rounds are interleaved; the best
of each way counts, as other load on the host only slows it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from ase import units
from ase.md.langevin import Langevin as ASELangevin
from potential import environment, supercell, write_json

from ferrojax.calculator import FerrojaxCalculator
from ferrojax.dynamics import NPT, Langevin, NoseHoover
from ferrojax.dynamics.run import run
from ferrojax.enthalpy import make_enthalpy
from ferrojax.potential import Model, load
from ferrojax.topology import narrow

ROOT = Path(__file__).resolve().parent.parent
STEPS = 200  # of one sample


def prepare(preset: str, atoms: int, skin: float):
    """Trained titanate weights, PbTiO3 of so many atoms near its minimum, the enthalpy."""
    model, params, _ = load(ROOT / "experiments" / "titanates" / preset / "model")
    structure = supercell(atoms, 0)
    structure.rattle(0.02, seed=1)
    return model, params, structure, narrow(model.prepare(structure, skin=skin)), make_enthalpy(model)


def bare(enthalpy, params, state) -> Callable[[], float]:
    """Seconds a compiled call of energy and forces."""
    strain, field = jnp.zeros((3, 3), jnp.float32), jnp.zeros(3, jnp.float32)

    @jax.jit
    def evaluate(positions):
        return jax.value_and_grad(lambda x: enthalpy(params, state.replace(positions=x), strain, field))(positions)

    def sample() -> float:
        start = time.perf_counter()
        for _ in range(STEPS // 4):
            jax.block_until_ready(evaluate(state.positions))
        return (time.perf_counter() - start) / (STEPS // 4)

    return sample


def runner(enthalpy, params, state, integrator, folder: Path) -> Callable[[], float]:
    """Seconds a step of ``ferrojax.run`` with files."""
    start = run(enthalpy, params, state, integrator, 1, key=jax.random.key(0), every=100, temperature=300.0)
    count = iter(range(10**6))

    def sample() -> float:
        begin = time.perf_counter()
        output = folder / f"{type(integrator).__name__}-{next(count)}"
        run(enthalpy, params, start.state, integrator, STEPS, progress=start.progress, every=100, output=output)
        return (time.perf_counter() - begin) / STEPS

    return sample


def ase_langevin(model: Model, params, structure) -> Callable[[], float]:
    """Seconds a step of ASE's Langevin with our calculator, in the same precision."""
    atoms = structure.copy()
    atoms.calc = FerrojaxCalculator(model, params, dtype="float32")
    dynamics = ASELangevin(atoms, timestep=units.fs, temperature_K=300.0, friction=0.002 / units.fs)

    def sample() -> float:
        start = time.perf_counter()
        dynamics.run(STEPS // 4)
        return (time.perf_counter() - start) / (STEPS // 4)

    return sample


def measure(preset: str, atoms: int, skin: float, rounds: int) -> dict[str, float]:
    """Least seconds a step of each way over the rounds, the first (compilation) dropped."""
    model, params, structure, state, enthalpy = prepare(preset, atoms, skin)
    with tempfile.TemporaryDirectory() as folder:
        ways = {"bare": bare(enthalpy, params, state), "ase": ase_langevin(model, params, structure)}
        for integrator in (Langevin(dt=1.0), NoseHoover(dt=1.0), NPT(dt=1.0)):
            ways[type(integrator).__name__] = runner(enthalpy, params, state, integrator, Path(folder))
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, sample in ways.items():
                seconds = sample()
                if number:
                    times[name].append(seconds)
    return {name: min(values) for name, values in times.items()} | {"atoms": len(structure)}


def record(row: dict[str, float], command: str) -> None:
    """Put the numbers into the claims register."""
    sys.path.insert(0, str(ROOT / "tools"))
    import claims

    register = claims.load()
    where = "cpu" if jax.default_backend() == "cpu" else "gpu"
    hours = row["Langevin"] * 1e6 / 3600
    claims.update(register, f"B-nanosecond-{where}", value=float(f"{hours:.3g}"), command=command, note="")
    if where == "cpu":
        overhead = 100 * (row["Langevin"] / row["bare"] - 1)
        claims.update(register, "B-runner-overhead", value=float(f"{overhead:.3g}"), command=command, note="")
        claims.update(register, "B-peer-ase", value=float(f"{row['ase'] / row['Langevin']:.3g}"), command=command, note="")
    claims.save(register)
    claims.write_pages()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--atoms", type=int, default=625)
    parser.add_argument("--skin", type=float, default=2.0, help="Å")
    parser.add_argument("--rounds", type=int, default=10, help="the host is shared: five left 12 %% between runs of one way")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--claims", action="store_true", help="record the numbers in docs/claims.json")
    options = parser.parse_args()
    print(environment())
    row = measure(options.preset, options.atoms, options.skin, options.rounds)
    for name in ("bare", "Langevin", "NoseHoover", "NPT", "ase"):
        seconds = row[name]
        print(f"{name:12}{1e3 * seconds:9.2f} ms/step{1e6 * seconds / row['atoms']:9.1f} us/atom/step  {seconds / row['bare']:.3f} x bare")
    print(f"1 ns of 1 fs steps: {row['Langevin'] * 1e6 / 3600:.2f} h; ASE takes {row['ase'] / row['Langevin']:.2f} times as long")
    if options.json:
        write_json(options.json, preset=options.preset, seconds_per_step=row)
    if options.claims:
        record(row, "python benchmarks/dynamics.py --claims")


if __name__ == "__main__":
    main()
