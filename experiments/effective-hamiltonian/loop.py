"""P-E loops of an effective Hamiltonian in a triangular field along z.

    python experiments/effective-hamiltonian/loop.py experiments/effective-hamiltonian/batio3-wc-loops.yaml

Writes beside the configuration a folder of its name: summary.json, loops.csv and loops.png. The runs themselves go to
runs/, with checkpoints: one that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import parameters

from ferrojax import effective, plotting
from ferrojax.dynamics import Langevin, Output, Triangle, run
from ferrojax.dynamics.records import Records
from ferrojax.ferroelectrics.hysteresis import Hysteresis, hysteresis
from ferrojax.files import write_csv, write_text
from ferrojax.study import read_study

RUNS = Path(__file__).resolve().parents[2] / "runs"
UP = np.array([0.0, 0.0, 1.0])


def main() -> None:
    settings, folder = read_study(__doc__)
    loops: dict[float, list[Hysteresis]] = {}
    for kelvin in settings["temperatures_K"]:
        for seed in settings["seeds"]:
            loops.setdefault(float(kelvin), []).append(loop(settings, float(kelvin), seed, RUNS / folder.name / f"{kelvin}K-{seed}"))
            report(settings, loops, folder)


def loop(settings: dict, kelvin: float, seed: int, output: Path) -> Hysteresis:
    """One loop: a quarter of a period from zero field to the top, then whole cycles."""
    period = 2 * settings["sweep_ps"] * 1e3  # from one end of the field to the other is a sweep
    return hysteresis(drive(settings, kelvin, seed, output, (0.25 + settings["cycles"]) * period), UP, period)


def drive(settings: dict, kelvin: float, seed: int, output: Path, time: float) -> Records:
    """From the poled state, settled at zero field, through ``time`` fs of the triangular field."""
    shape = tuple(settings["shape"])
    params = parameters(settings)
    enthalpy = effective.make_enthalpy(shape, clamp="free")
    state = effective.prepare(params, effective.uniform_state(shape, settings["start_A"], jnp.float32))
    langevin = Langevin(dt=settings["dt"], temperature=jnp.asarray(kelvin), friction=settings["friction"])
    settled = run(enthalpy, params, state, langevin, settings["settle_steps"], key=jax.random.key(seed), every=500, keep_positions=False)
    field = Triangle(jnp.array([0.0, 0.0, settings["amplitude_V_per_A"]], jnp.float32), 2 * settings["sweep_ps"] * 1e3)
    return run(
        enthalpy,
        params,
        settled.state,
        langevin,
        round(time / settings["dt"]),
        key=jax.random.key(1000 + seed),
        field=field,
        every=settings["every"],
        output=Output(output, trajectory=None, checkpoint_seconds=120.0),
    ).records


def report(settings: dict, loops: dict[float, list[Hysteresis]], folder: Path) -> None:
    """summary.json, loops.csv and loops.png of the loops so far."""
    rows = []
    for kelvin, repeats in loops.items():
        coercive = np.array([abs(field) for h in repeats for field in h.coercive_field if field is not None])
        remanence = np.array([abs(p) for h in repeats for p in h.remanence])
        count = max(1, len(coercive))
        rows.append(
            {
                "temperature_K": kelvin,
                "coercive_field_kV_per_cm": float(coercive.mean()) if len(coercive) else None,
                "coercive_field_error": float(coercive.std(ddof=1) / count**0.5) if count > 1 else None,
                "branches": len(coercive),
                "remanence_C_per_m2": float(remanence.mean()),
                "area_MJ_per_m3": float(np.mean([h.area for h in repeats])),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    write_text(folder / "summary.json", json.dumps({"settings": settings, "loops": rows}, indent=1) + "\n")
    table = [row for kelvin, (h, *_) in loops.items() for row in samples(kelvin, h.field, h.polarization, 1000)]
    write_csv(folder / "loops.csv", table, ("temperature_K", "field_kV_per_cm", "polarization_C_per_m2"))
    draw(loops, folder / "loops.png")


def samples(name: float, field: np.ndarray, polarization: np.ndarray, count: int) -> list[tuple]:
    """Rows of a table: about ``count`` fields (kV/cm) and polarizations, each after what names the run."""
    keep = max(1, len(field) // count)
    return [(name, f"{e:.4f}", f"{p:.6f}") for e, p in zip(field[::keep], polarization[::keep])]


def draw(loops: dict[float, list[Hysteresis]], path: Path) -> None:
    with plotting.journal():
        figure, axes = plotting.figure()
        for colour, (kelvin, repeats) in zip(plotting.PALETTE, loops.items()):
            whole = repeats[0].cycle >= 0
            plotting.loop(axes, repeats[0].field[whole], repeats[0].polarization[whole], color=colour, linewidth=0.8, label=f"{kelvin:g} K")
        axes.legend()
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
