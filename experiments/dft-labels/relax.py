"""Cubic and tetragonal perovskites relaxed by GPAW itself, at the settings of the labels; run with the python of `make dft`:

    GPAW_SETUP_PATH=.venv-dft/setups .venv-dft/bin/python experiments/dft-labels/relax.py PbTiO3 experiments/dft-labels/pbtio3-relaxed.json

Writes lattice constants, fractional positions, energies and the final stress; what is there already is not done again.
GPAW is under the GPL and runs here as a program of its own, outside ferrojax.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import gpaw
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from gpaw import GPAW, PW

STARTS = {  # (element A, a of cubic, a and c of tetragonal, displacements of A, B, O apical, O equatorial along c in units of c)
    "PbTiO3": ("Pb", 3.922, 3.874, 4.200, 0.094, 0.056, -0.022, -0.027),
    "BaTiO3": ("Ba", 3.982, 3.974, 4.040, 0.0, 0.018, -0.028, -0.017),
}
FORCE = 0.003  # eV/Å, also of the strain: the virial over the number of atoms, so 0.04 GPa


def main(formula: str, file: str) -> None:
    path = Path(file)
    found = json.loads(path.read_text()) if path.exists() else {}
    for phase in ("cubic", "tetragonal"):
        if phase not in found:
            found[phase] = relaxed(start(formula, phase))
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(found, indent=1) + "\n")
            os.replace(temporary, path)


def start(formula: str, phase: str) -> Atoms:
    element, cubic, a, c, *shifts = STARTS[formula]
    a, c, shifts = (cubic, cubic, [0.0] * 4) if phase == "cubic" else (a, c, shifts)
    places = [(0, 0, shifts[0]), (0.5, 0.5, 0.5 + shifts[1]), (0.5, 0.5, shifts[2]), (0.5, 0, 0.5 + shifts[3]), (0, 0.5, 0.5 + shifts[3])]
    return Atoms([element, "Ti", "O", "O", "O"], scaled_positions=places, cell=(a, a, c), pbc=True)


def relaxed(atoms: Atoms) -> dict:
    """BFGS over atoms and cell; after it a fresh calculation at the final cell, so that its plane waves are those of the labels."""
    begun = time.time()
    for _ in range(2):
        atoms.calc = calculator()
        BFGS(FrechetCellFilter(atoms), logfile="-").run(fmax=FORCE, steps=60)
    atoms.calc = calculator()
    return {
        "cell": atoms.cell.array.tolist(),
        "scaled_positions": atoms.get_scaled_positions(wrap=False).tolist(),
        "symbols": list(atoms.symbols),
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces().tolist(),
        "stress": atoms.get_stress().tolist(),
        "seconds": time.time() - begun,
        "gpaw": gpaw.__version__,
    }


def calculator() -> GPAW:
    """The settings of the labels; symmetry only spares k-points."""
    return GPAW(
        mode=PW(800),
        xc="PBEsol",
        kpts={"size": (5, 5, 5), "gamma": True},
        occupations={"name": "fixed-uniform"},
        convergence={"density": 1e-5, "eigenstates": 4e-8},
        txt=None,
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])
