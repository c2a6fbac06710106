"""180° walls at 0 K: energies against the number of cells, and the profile.

    python experiments/effective-hamiltonian/walls.py

Writes experiments/effective-hamiltonian/walls/: summary.json and walls.png. The reference values are those of the records of the
parameter sets.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np

from ferrojax import effective, plotting
from ferrojax.files import write_text

SETS = ("pbtio3-lda", "batio3-wc")
CELLS = 16  # of the reference


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    folder = Path(__file__).with_suffix("")
    folder.mkdir(exist_ok=True)
    rows, profiles = [], {}
    for name in SETS:
        params, reference = effective.load_parameters(name), effective.load_record(name).reference.walls
        for centre in ("cell", "site"):
            found = effective.wall(params, CELLS, centre)
            wanted = getattr(reference, centre) if reference else None
            rows.append({"set": name, "centre": centre, "mJ_per_m2": found.energy, "reference_mJ_per_m2": wanted})
            profiles[name, centre] = np.asarray(found.state.modes[:, 0, 0, 2])
            print(json.dumps(rows[-1]), flush=True)
    write_text(folder / "summary.json", json.dumps({"cells": CELLS, "walls": rows}, indent=1) + "\n")
    draw(profiles, folder / "walls.png")


def draw(profiles: dict[tuple[str, str], np.ndarray], path: Path) -> None:
    with plotting.journal():
        figure, panels = plotting.figure(1, len(SETS), width=plotting.PAGE, height=65)
        for axes, name in zip(panels, SETS):
            for centre, marker in (("cell", "o-"), ("site", "s--")):
                profile = profiles[name, centre]
                place = np.arange(len(profile)) + (0.5 if centre == "cell" else 0.0)
                axes.plot(place, profile, marker, label=f"{centre}-centred")
            axes.set(xlabel="x (cells)", ylabel="$u_z$ (Å)", title=name)
            axes.legend()
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
