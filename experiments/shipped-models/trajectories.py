"""Frames of a model's own dynamics at constant stress, drawn at random, to be labelled and compared with what the model said.

    python experiments/shipped-models/trajectories.py pbtio3-v1 experiments/dft-labels/structures/pbtio3-npt.extxyz
    python experiments/shipped-models/trajectories.py pbtio3-v1 experiments/dft-labels/structures/pbtio3-spot.extxyz --sizes 40

Cells at 300, 600 and 900 K, three edges free as in the PTO-test (cells this small slip along their planes if they may shear,
as no crystal does). No frame is chosen for what it looks like: a choice of diverse frames would
measure the tails. Their labels go to dft-labels/labels/, where validate.py reads them; never train on them.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import make_supercell
from reference import perovskite

from ferrojax import load
from ferrojax.dynamics import LangevinNPT
from ferrojax.files import write_text
from ferrojax.learning.explore import molecular_dynamics

LABELS = Path(__file__).resolve().parent.parent / "dft-labels"
TEMPERATURES = (300.0, 600.0, 900.0)  # K
CELLS = {
    5: (np.eye(3, dtype=int), 4),
    10: (np.diag([1, 1, 2]), 3),
    20: (np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 2]]), 1),
    40: (2 * np.eye(3, dtype=int), 1),  # larger than any cell of the training: spot checks, an hour of a core each
}  # atoms: (cell, frames)
DT, STEPS, EVERY, SKIP = 2.0, 15_000, 100, 2_500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("pbtio3-v1", "batio3-v1"))
    parser.add_argument("output", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", choices=CELLS, default=[5, 10, 20], help="atoms (default 5 10 20)")
    options = parser.parse_args()
    relaxed = json.loads((LABELS / f"{options.name.removesuffix('-v1')}-relaxed.json").read_text())
    start = perovskite(relaxed.get("tetragonal", relaxed["cubic"]))
    frames = [
        frame
        for k, (size, (cell, count)) in enumerate(CELLS.items())
        if size in options.sizes
        for frame in drawn(options.name, make_supercell(start, cell), count, k)
    ]
    text = io.StringIO()
    ase.io.write(text, frames, format="extxyz")
    write_text(options.output, text.getvalue())
    print(f"{len(frames)} frames in {options.output}")


def drawn(name: str, atoms: Atoms, count: int, seed: int) -> list[Atoms]:
    """``count`` frames at each temperature."""
    model, params, _ = load(name)
    integrators = [LangevinNPT(dt=DT, temperature=t, tau_cell=500.0, friction_cell=0.005, cell="orthorhombic") for t in TEMPERATURES]
    frames = molecular_dynamics(model, params, atoms, integrators, STEPS, EVERY, SKIP, seed=seed)
    random, chosen = np.random.default_rng(seed), []
    for kelvin in TEMPERATURES:
        here = [frame for frame in frames if frame.info["temperature"] == kelvin]
        for k in sorted(random.choice(len(here), count, replace=False)):
            here[k].info["system"] = f"{atoms.get_chemical_formula()}, {kelvin:g} K"
            chosen.append(here[k])
    return chosen


if __name__ == "__main__":
    main()
