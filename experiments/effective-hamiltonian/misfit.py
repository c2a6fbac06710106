"""Phases of a film held by its substrate, in misfit strain and temperature: cooled at each misfit from the paraelectric phase.

    python experiments/effective-hamiltonian/misfit.py experiments/effective-hamiltonian/batio3-wc-misfit.yaml

Writes beside the configuration a folder of its name: phases.csv, summary.json and phases.png. A study that was stopped goes on
after its last whole misfit. The names of the phases are those of Pertsev, Zembilgotov and Tagantsev, Phys. Rev. Lett. 80, 1988 (1998).
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import parameters, store

from ferrojax import analysis, effective, plotting
from ferrojax.dynamics import Constant, Langevin, run
from ferrojax.files import write_text
from ferrojax.study import read_study

COLUMNS = ("misfit_percent", "temperature_K", "in_plane_small_A", "in_plane_large_A", "out_of_plane_A", "phase")
SHOWN = {"p": "p (0, 0, 0)", "c": "c (0, 0, P)", "aa": "aa (P, P, 0)", "a": "a (P, 0, 0)", "ac": "ac (P, 0, P')", "r": "r (P, P, P')"}


def main() -> None:
    settings, folder = read_study(__doc__)
    table = folder / "phases.csv"
    rows = list(csv.DictReader(table.open(newline=""))) if table.exists() else []
    done = {float(row["misfit_percent"]) for row in rows}
    for misfit in settings["misfits_percent"]:
        if misfit not in done:
            rows += cool(settings, misfit)
            store(table, rows, COLUMNS)
    report(settings, rows, folder)


def cool(settings: dict, misfit: float) -> list[dict[str, Any]]:
    """Every temperature in turn, each from where the last one ended."""
    shape = tuple(settings["shape"])
    params = parameters(settings)
    enthalpy = effective.make_enthalpy(shape, clamp="epitaxial")
    cubic = float(effective.relaxed_strain(params, effective.uniform_state((1, 1, 1), (0.0, 0.0, 0.0)))[0, 0])
    plane = Constant((cubic + misfit / 100) * jnp.diag(jnp.array([1.0, 1.0, 0.0], jnp.float32)))
    noise = 0.02 * jax.random.normal(jax.random.key(settings["seed"]), (*shape, 3), jnp.float32)
    state = effective.prepare(params, effective.LatticeState(noise))
    rows = []
    for index, kelvin in enumerate(settings["temperatures_K"]):
        langevin = Langevin(dt=settings["dt"], temperature=jnp.asarray(float(kelvin)), friction=settings["friction"])
        options = {"strain": plane, "every": settings["every"], "keep_positions": False}
        key = jax.random.fold_in(jax.random.key(settings["seed"]), index)
        settled = run(enthalpy, params, state, langevin, settings["settle_steps"], key=key, **options)
        averaged = run(enthalpy, params, settled.state, langevin, settings["average_steps"], progress=settled.progress, **options)
        state = averaged.state
        mode = averaged.records.dipole.astype(float) / (np.prod(shape) * float(params.charge))
        flat = np.column_stack([mode[:, :2], np.zeros(len(mode))])
        small, large = analysis.order_parameter(flat, settings["window"])[1:]
        height = float(analysis.order_parameter(np.column_stack([0 * mode[:, :2], mode[:, 2]]), settings["window"])[2])
        name = recognise(small, large, height, settings["threshold_A"])
        rows.append(dict(zip(COLUMNS, (misfit, kelvin, small, large, height, name))))
        print("  ".join(f"{v:.4g}" if not isinstance(v, str) else v for v in rows[-1].values()), flush=True)
    return rows


def recognise(small: float, large: float, height: float, threshold: float) -> str:
    """p: paraelectric; c: P across the film; a, aa: in it, along [100] or [110]; ac, r: tilted out of it from those."""
    plane = "" if large < threshold else "a" if small < threshold else "aa"
    if height < threshold:
        return plane or "p"
    return {"": "c", "a": "ac", "aa": "r"}[plane]


def report(settings: dict, rows: list[dict[str, Any]], folder: Path) -> None:
    """summary.json (lines between phases) and phases.png."""
    misfits = sorted({float(row["misfit_percent"]) for row in rows})
    kelvins = sorted({float(row["temperature_K"]) for row in rows})
    names = {(float(row["misfit_percent"]), float(row["temperature_K"])): row["phase"] for row in rows}
    columns = [[names[m, t] for t in kelvins] for m in misfits]
    found = {f"{m:g}": analysis.transitions(kelvins, column) for m, column in zip(misfits, columns)}
    write_text(folder / "summary.json", json.dumps({"settings": settings, "transitions_on_heating": found}, indent=1) + "\n")
    present = [label for name, label in SHOWN.items() if any(name in column for column in columns)]
    with plotting.journal():
        figure, axes = plotting.figure()
        plotting.phase_diagram(
            axes, np.array(misfits), np.array(kelvins), [[SHOWN[name] for name in column] for column in columns], present
        )
        axes.set(xlabel="misfit strain (%)", ylabel="T (K)")
        plotting.save(figure, folder / "phases.png")


if __name__ == "__main__":
    main()
