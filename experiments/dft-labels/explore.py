"""A first pool of structures to label: dynamics at constant stress, strained and mode-displaced cells, thinned by their diversity.

    python experiments/dft-labels/explore.py experiments/dft-labels/pool-pbtio3.yaml      # again after a kill: goes on

The potential only moves the atoms; none of its labels are used. Writes runs/explore/<name of the configuration>.extxyz below the working
folder; ``origin``, ``group`` (atoms) and ``source`` (its number in the configuration) stand in the comment of each frame.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from pathlib import Path
from typing import Any

import ase.io
import jax
import numpy as np
import yaml
from ase import Atoms
from ase.build import make_supercell

from ferrojax import load, relax
from ferrojax.dynamics import LangevinNPT, Ramp
from ferrojax.enthalpy import shared_enthalpy
from ferrojax.files import write_text
from ferrojax.learning.diversity import descriptors, farthest_points
from ferrojax.learning.explore import domain_walls, mode_displaced, molecular_dynamics, strained, without_copies
from ferrojax.learning.explore.modes import supercell_matrix
from ferrojax.shipped import model_folder
from ferrojax.state import to_ase
from ferrojax.units import GPA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file of the pool")
    path = parser.parse_args().config
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    model, params, _ = load(model_folder(settings["model"], path.parent))
    phases = {name: relaxed(model, params, name, cell) for name, cell in settings["phases"].items()}
    taken = ase.io.read(settings["taken"], ":") if "taken" in settings else []  # chosen before: the new ones differ from these
    output = Path("runs/explore") / f"{path.stem}.extxyz"
    pool = ase.io.read(output, ":") if output.exists() else [] if taken else at_rest(phases)
    finished = {int(atoms.info["source"]) for atoms in pool}
    for k, source in enumerate(settings["sources"]):
        if k in finished:  # a run that was stopped goes on
            continue
        began = time.monotonic()
        kind, count = source["kind"], source["keep"]
        found = GENERATORS[kind](model, params, phases[source["phase"]], source, settings["seed"] + k)
        low, high = source.get("volume_A3_per_atom", (0.0, np.inf))
        found = [atoms for atoms in found if low <= atoms.get_volume() / len(atoms) <= high]
        chosen = thinned(model, params, found, count, taken)
        for atoms in chosen:
            atoms.info["source"] = k
        pool = without_copies(pool + chosen)
        write(output, pool)
        print(f"{source['phase']:12s} {kind:10s} {len(found):5d} -> {len(chosen):3d}   {time.monotonic() - began:6.1f} s", flush=True)
    print(dict(sorted(Counter(len(atoms) for atoms in pool).items())))


def at_rest(phases: dict[str, Atoms]) -> list[Atoms]:
    """The phases themselves, with their origin."""
    found = [atoms.copy() for atoms in phases.values()]
    for atoms in found:
        atoms.info = {"origin": f"{atoms.info['name']}, relaxed", "source": -1}
    return found


def relaxed(model: Any, params: Any, name: str, cell: dict) -> Atoms:
    """A phase at rest, its space group kept."""
    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    places = np.array(scaled) + np.array(cell.get("shifts", np.zeros((5, 3))))
    atoms = Atoms(cell["formula"], scaled_positions=places, cell=cell["cell_A"], pbc=True)
    with jax.enable_x64(True):
        state = model.prepare(atoms, np.float64, skin=1.0)
        found = relax(shared_enthalpy(model), params, state, symmetric=True, force_tolerance=1e-5)
        result = to_ase(found.state)
    print(f"{name}: {found.groups}, cell {np.round(result.cell.cellpar(), 4)}", flush=True)
    result.info["name"] = f"{cell['formula']} {name}"
    return result


def larger(atoms: Atoms, source: dict) -> Atoms:
    """The supercell a source is of, under the name of the phase and the number of atoms."""
    cell = make_supercell(atoms, supercell_matrix(source.get("supercell", (1, 1, 1))), wrap=False)
    cell.info["name"] = f"{atoms.info['name']}, {len(cell)} atoms"
    return cell


def by_dynamics(model: Any, params: Any, atoms: Atoms, source: dict, seed: int) -> list[Atoms]:
    runs = [(t, p) for t in source["temperatures_K"] for p in source["pressures_GPa"]]
    length = source["steps"] * source["time_step_fs"]
    integrators = [
        LangevinNPT(
            dt=source["time_step_fs"],
            temperature=Ramp(float(low), float(high), duration=length),
            stress=-p * GPA,
            tau_cell=500.0,
            friction_cell=0.005,
            cell=source.get("cell", "triclinic"),
        )
        for (low, high), p in runs
    ]
    every, skip = source["every"], source.get("skip", 0)
    return molecular_dynamics(model, params, larger(atoms, source), integrators, source["steps"], every, skip, seed=seed)


def by_strain(model: Any, params: Any, atoms: Atoms, source: dict, seed: int) -> list[Atoms]:
    options = {name: tuple(source[name]) for name in ("strain", "shear") if name in source}
    return strained(larger(atoms, source), source["count"], rattle=source.get("rattle_A", 0.0), seed=seed, **options)


def by_modes(model: Any, params: Any, atoms: Atoms, source: dict, seed: int) -> list[Atoms]:
    matrix, limit = source.get("supercell", (1, 1, 1)), source.get("maximum_A")
    return mode_displaced(model, params, atoms, source["count"], matrix, source.get("temperature_K", 300.0), limit, seed)


def by_walls(model: Any, params: Any, atoms: Atoms, source: dict, seed: int) -> list[Atoms]:
    return domain_walls(atoms, source["cells"], count=source["count"], rattle=source["rattle_A"], seed=seed)


GENERATORS = {"md": by_dynamics, "strained": by_strain, "modes": by_modes, "walls": by_walls}


def thinned(model: Any, params: Any, frames: list[Atoms], count: int, taken: list[Atoms]) -> list[Atoms]:
    """The ``count`` frames that differ most from each other and from those taken."""
    if len(frames) <= count:
        return frames
    known = descriptors(model, params, taken) if taken else None
    chosen, _ = farthest_points(descriptors(model, params, frames), count, known)
    return [frames[k] for k in chosen]


def write(path: Path, pool: list[Atoms]) -> None:
    for atoms in pool:
        atoms.info |= {"group": len(atoms), "system": atoms.info["origin"]}  # errors and shares of a split go by the system
    text = io.StringIO()
    ase.io.write(text, pool, format="extxyz")
    write_text(path, text.getvalue())


if __name__ == "__main__":
    main()
