"""P-E loops of a potential at several frequencies, and how the coercive field follows.

    python experiments/loops/loops.py experiments/loops/pbtio3.yaml

The configuration is that of `ferrojax loop`, with a list of periods. Writes beside it a folder of its name: summary.json,
loops.csv and loops.png. The runs go to runs/, with checkpoints: one that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ferrojax import plotting
from ferrojax.dynamics.simulate import pe_loop
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.hysteresis import Hysteresis
from ferrojax.ferroelectrics.kinetics import frequency_law
from ferrojax.files import write_csv, write_text
from ferrojax.study import read_study

RUNS = Path(__file__).resolve().parents[2] / "runs"
POINTS = 500  # of a loop in loops.csv


def main() -> None:
    settings, folder = read_study(__doc__)
    loops: dict[float, Hysteresis] = {}
    for period in settings.pop("periods_ps"):
        place = RUNS / "loops" / folder.name / f"{period:g}ps"
        config = settings | {"loop": settings["loop"] | {"period_ps": period}, "output": settings["output"] | {"folder": str(place)}}
        loops[float(period)] = pe_loop(config)
        report(settings, loops, folder)


def report(settings: dict, loops: dict[float, Hysteresis], folder: Path) -> None:
    """What is known so far."""
    rows = [{"period_ps": period} | numbers(loop) for period, loop in loops.items()]
    found = {"settings": settings, "loops": rows, "law": law(rows)}
    write_text(folder / "summary.json", json.dumps(found, indent=1) + "\n")
    table = [row for period, loop in loops.items() for row in samples(period, loop)]
    write_csv(folder / "loops.csv", table, ("period_ps", "field_kV_per_cm", "polarization_C_per_m2"))
    with plotting.journal():
        figure, axes = plotting.figure()
        for colour, (period, loop) in zip(plotting.PALETTE, loops.items()):
            plotting.loop(axes, loop.field, loop.polarization, color=colour, linewidth=0.8, label=f"{1e3 / period:g} GHz")
        axes.legend()
        plotting.save(figure, folder / "loops.png")
    print(json.dumps({"loops": rows, "law": found["law"]}, indent=1), flush=True)


def samples(period: float, loop: Hysteresis) -> list[tuple]:
    """Rows of loops.csv."""
    keep = max(1, len(loop.field) // POINTS)
    return [(period, f"{e:.4f}", f"{p:.6f}") for e, p in zip(loop.field[::keep], loop.polarization[::keep])]


def numbers(loop: Hysteresis) -> dict[str, float | None]:
    """Half width and half height of the loop; the loss."""
    return {
        "coercive_field_kV_per_cm": loop.half_width,
        "remanence_C_per_m2": loop.remanent,
        "area_MJ_per_m3": loop.area,
    }


def law(rows: list[dict]) -> dict | None:
    """E_c = E1 (f/f1)^β, once there are three loops that switch."""
    switching = [row for row in rows if row["coercive_field_kV_per_cm"] is not None]
    try:
        fit = frequency_law(
            np.array([1e3 / row["period_ps"] for row in switching]), np.array([row["coercive_field_kV_per_cm"] for row in switching])
        )
    except FerrojaxError:
        return None
    return {"exponent": fit.exponent.value, "error": fit.exponent.error, "field_kV_per_cm": fit.field.value, "at_GHz": fit.at}


if __name__ == "__main__":
    main()
