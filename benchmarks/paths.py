"""Switching paths against ASE: the same barrier, and how much sooner; what derivatives of a barrier cost.

    python benchmarks/paths.py --json benchmarks/results/paths-cpu.json

Coherent reversal of PbTiO3 in its relaxed tetragonal cell, the model of experiments/titanates, float64, 9 images, a climbing image, the
same straight start, spring and force tolerance, in a field, without which symmetry alone would put an image on the saddle. Every time is
that of a second run, so without compilation, unless it says otherwise. ASE gets a FerrojaxCalculator an image and the faster of its FIRE
and BFGS. Neither checks that the ends are minima.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from potential import environment, write_json

from ferrojax.calculator import FerrojaxCalculator
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.paths import minimum_energy_path, second_derivatives, switching_barrier
from ferrojax.paths.barrier import activation_at
from ferrojax.potential import load

ROOT = Path(__file__).resolve().parent.parent
IMAGES, SPRING, TOLERANCE = 9, 5.0, 0.001  # eV/Å², eV/Å
FIELD = (0.0, 0.0, 0.01)  # V/Å
SITES = [(0, 0, 0.094), (0.5, 0.5, 0.556), (0.5, 0.5, 0.978), (0.5, 0, 0.473), (0, 0.5, 0.473)]  # PBEsol


class Material:
    """Tetragonal PbTiO3, relaxed, and its mirror image, in n x n x n cells."""

    def __init__(self, folder: Path, n: int) -> None:
        self.model, self.params, self.info = load(folder)
        self.enthalpy = make_enthalpy(self.model)
        unit = Atoms("PbTiO3", scaled_positions=SITES, cell=[3.874, 3.874, 4.2], pbc=True)
        start = self.model.prepare(unit, np.float64, skin=1.0)
        up = relax(self.enthalpy, self.params, start, cell=np.eye(3), force_tolerance=1e-6).state.to_ase()
        down = up.copy()
        # Every atom at its image nearest to the first end: so ASE wants it, and so cells can be repeated.
        shift = find_mic(up.positions * [0.0, 0.0, -2.0], up.cell)[0]
        down.positions = up.positions + shift - shift.mean(0)
        self.up, self.down = (self._at_rest(atoms).repeat(n) for atoms in (up, down))

    def _at_rest(self, atoms: Atoms) -> Atoms:
        start = self.model.prepare(atoms, np.float64, skin=1.0)
        return relax(self.enthalpy, self.params, start, FIELD, cell=False, force_tolerance=1e-6).state.to_ase()

    def ends(self) -> list[Any]:
        """Both as states."""
        return [self.model.prepare(atoms, np.float64, skin=1.0) for atoms in (self.up, self.down)]


def ours(material: Material) -> tuple[Any, float]:
    """The path and the wall time (s) of a second run."""
    ends = material.ends()
    for _ in range(2):
        start = time.perf_counter()
        settings = {"images": IMAGES, "field": FIELD, "spring": SPRING, "force_tolerance": TOLERANCE, "check_ends": False}
        path = minimum_energy_path(material.enthalpy, material.params, *ends, **settings)
        elapsed = time.perf_counter() - start
    return path, elapsed


def theirs(material: Material, optimizer: Any) -> tuple[float, float, int]:
    """Barrier (eV), wall time (s) and steps of ASE."""
    calculators = [FerrojaxCalculator(material.model, material.params, field=FIELD, dataset="", skin=1.0) for _ in range(IMAGES)]
    for _ in range(2):
        images = [material.up.copy() for _ in range(IMAGES - 1)] + [material.down.copy()]
        for image, calculator in zip(images, calculators):
            image.calc = calculator
        start = time.perf_counter()
        band = NEB(images, k=SPRING, climb=True, method="improvedtangent")
        band.interpolate(mic=False)
        search = optimizer(band, logfile=None)
        if not search.run(fmax=TOLERANCE, steps=2000):
            return np.nan, np.inf, search.nsteps
        energies = [image.get_potential_energy() for image in images]
        elapsed = time.perf_counter() - start
    return max(energies) - energies[0], elapsed, search.nsteps


def compare(material: Material) -> dict[str, float]:
    """A row of the comparison with ASE."""
    path, seconds = ours(material)
    row: dict[str, Any] = {"atoms": len(material.up), "barrier_eV": path.barrier, "seconds": seconds, "steps": path.steps}
    runs = {optimizer.__name__: theirs(material, optimizer) for optimizer in (FIRE, BFGS)}
    for name, (other, elapsed, count) in runs.items():
        row |= {f"{name}_difference_meV": 1e3 * abs(other - path.barrier), f"{name}_seconds": elapsed, f"{name}_steps": count}
    best = min(runs, key=lambda name: runs[name][1])
    return (
        row
        | {"ase": best, "difference_meV": row[f"{best}_difference_meV"], "ratio": row[f"{best}_seconds"] / seconds}
        | second_time(material, path)
    )


def gradient_cost(material: Material) -> dict[str, float]:
    """Seconds for a barrier (ends, path and saddle) and for all its first derivatives."""
    for _ in range(2):
        begun = time.perf_counter()
        settings = {"images": IMAGES, "field": FIELD, "start": "mode"}
        found = switching_barrier(material.enthalpy, material.params, *material.ends(), **settings)
        whole = time.perf_counter() - begun
    begun = time.perf_counter()
    activation_at(material.enthalpy, found.path.conditions, found.first, found.saddle)
    first = time.perf_counter() - begun
    alone = whole - 2 * first  # the call differentiates both ways
    return {"barrier_eV": found.forward.barrier, "barrier_s": alone, "first_s": first, "gradient_cost": (alone + first) / alone}


def second_time(material: Material, path: Any) -> dict[str, float]:
    """Seconds for all second derivatives between the first image and the highest, with and without compilation."""
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        second_derivatives(material.enthalpy, path.conditions, path.points[0], path.points[path.top])
        times.append(time.perf_counter() - begun)
    return {"second_with_compilation_s": times[0], "second_s": times[1]}


def record(rows: list[dict], cost: dict, command: str) -> None:
    """Put the numbers into the claims register: the worst of the sizes."""
    sys.path.insert(0, str(ROOT / "tools"))
    import claims

    values = {
        "D-neb-ase": max(row["difference_meV"] for row in rows),
        "D-neb-speed": min(row["ratio"] for row in rows),
        "D-barrier-gradient-cost": cost["gradient_cost"],
        "D-barrier-second-time": max(row["second_with_compilation_s"] for row in rows),
    }
    register = claims.load()
    for name, value in values.items():
        claims.update(register, name, value=float(f"{value:.3g}"), command=command)
    claims.save(register)
    claims.write_pages()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "experiments" / "titanates" / "fast" / "model")
    parser.add_argument("--cells", type=int, nargs="+", default=[1, 2], help="n of n x n x n cells")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--claims", action="store_true", help="record the numbers in docs/claims.json")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print(environment())
    rows = []
    for n in options.cells:
        material = Material(options.model, n)
        rows.append(compare(material))
        print(rows[-1], flush=True)
    cost = gradient_cost(Material(options.model, 1))
    print(cost)
    if options.json:
        write_json(options.json, comparison=rows, gradient=cost)
    if options.claims:
        record(rows, cost, "python benchmarks/paths.py")


if __name__ == "__main__":
    main()
