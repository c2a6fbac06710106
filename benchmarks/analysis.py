"""Speed of local analysis: from the positions of a frame to its polarization map and topological charge, float64.

    python benchmarks/analysis.py --json benchmarks/results/analysis-cpu.json

Rattled tetragonal PbTiO3. "map": displacements and dipoles of all cells; "charge": Berg-Lüscher sums of all layers; "tilts": octahedral
rotations, not part of the total; "cells": finding the cells, once a trajectory; "read": the frame from an H5MD file. "cpu" is processor
time of all threads.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms
from potential import write_json

from ferrojax import ferroelectrics as fe

BORN = {"Pb": 3.90, "Ti": 7.06, "O": (-5.83, -2.56)}
SITES = [(0, 0, 0.094), (0.5, 0.5, 0.556), (0.5, 0.5, 0.978), (0.5, 0, 0.473), (0, 0.5, 0.473)]
REPEATS = 7


def crystal(cells: int) -> Atoms:
    atoms = Atoms("PbTiO3", scaled_positions=SITES, cell=[3.874, 3.874, 4.2], pbc=True).repeat(cells)
    atoms.positions += np.random.default_rng(0).normal(0, 0.05, atoms.positions.shape)
    return atoms


def timed(function: Callable) -> tuple[float, float, object]:
    """Least wall and processor time of several calls, seconds, and the result."""
    wall, cpu, result = [], [], None
    for _ in range(REPEATS):
        start, start_cpu = time.perf_counter(), time.process_time()
        result = function()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return min(wall), min(cpu), result


def measure(cells_along: int) -> dict:
    """One row."""
    atoms = crystal(cells_along)
    start = time.perf_counter()
    cells = fe.find_cells(atoms, "Pb", "Ti")
    finding = time.perf_counter() - start
    charges, cell, volume = fe.born_tensors(cells, atoms, BORN), atoms.cell.array, atoms.get_volume()
    u = cells.displacements(atoms.positions, cell)
    mapping, mapping_cpu, found = timed(lambda: fe.local_polarization(cells, charges, cells.displacements(atoms.positions, cell), volume))
    charge, charge_cpu, _ = timed(lambda: fe.topological_charge(cells.grid(found)))
    tilting, _, _ = timed(lambda: fe.tilts(cells, u, cell))
    total = mapping + charge
    return {
        "atoms": len(atoms),
        "map_s": mapping,
        "charge_s": charge,
        "atoms_per_s": len(atoms) / total,
        "atoms_per_cpu_s": len(atoms) / (mapping_cpu + charge_cpu),
        "tilts_s": tilting,
        "cells_s": finding,
        "read_s": reading(atoms),
    }


def reading(atoms: Atoms) -> float:
    """Seconds to read one frame."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.h5"
        with h5py.File(path, "w") as file:
            group = file.create_group("particles/all")
            group["species"], group["box/edges"] = atoms.numbers, atoms.cell.array
            group["position/value"] = atoms.positions[None].astype(np.float32)
        return timed(lambda: next(fe.frames(path)))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[10, 28, 59], help="cells along each axis (5 atoms each)")
    parser.add_argument("--json", type=Path, help="write the table here too")
    options = parser.parse_args()
    rows = []
    print(f"{'atoms':>9}{'map s':>9}{'charge s':>10}{'atoms/s':>11}{'per cpu s':>11}{'tilts s':>9}{'cells s':>9}{'read s':>9}")
    for cells in options.cells:
        row = measure(cells)
        rows.append(row)
        numbers = f"{row['map_s']:9.4f}{row['charge_s']:10.4f}{row['atoms_per_s']:11.3g}{row['atoms_per_cpu_s']:11.3g}"
        print(f"{row['atoms']:9}{numbers}{row['tilts_s']:9.4f}{row['cells_s']:9.3f}{row['read_s']:9.4f}", flush=True)
    if options.json:
        write_json(options.json, dtype="float64", rows=rows)


if __name__ == "__main__":
    main()
