"""Phases of an effective Hamiltonian while it is heated or cooled.

    python experiments/effective-hamiltonian/scan.py experiments/effective-hamiltonian/batio3-lda-heating.yaml

Writes beside the configuration a folder of its name: scan.csv (one row a temperature), summary.json and scan.png. A scan
that was stopped goes on after its last whole temperature; one that is whole is only drawn anew.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import parameters

from ferrojax import analysis, effective, plotting
from ferrojax.dynamics import HybridMonteCarlo, Langevin, MonteCarlo, NoseHoover, run
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_bytes, write_csv, write_text
from ferrojax.study import read_study
from ferrojax.units import E_PER_A2

METHODS = {
    "langevin": lambda s: Langevin(dt=s["dt"], temperature=0.0, friction=s.get("friction", 0.002)),
    "nose-hoover": lambda s: NoseHoover(dt=s["dt"], temperature=0.0, tau=s.get("tau", 200.0)),
    "monte-carlo": lambda s: MonteCarlo(temperature=0.0, dt=s["dt"]),
    "hybrid": lambda s: HybridMonteCarlo(dt=s["dt"], temperature=0.0, leaps=s.get("leaps", 20)),
}
COLUMNS = ("temperature_K", "u1_A", "u2_A", "u3_A", "P_C_per_m2", "P_error", "a1_A", "a2_A", "a3_A", "energy_meV", "energy_error", "phase")


def main() -> None:
    settings, folder = read_study(__doc__)
    rows = _table(folder)
    if [row["temperature_K"] for row in rows] != settings["temperatures_K"]:
        rows = scan(settings, folder)
    report(settings, rows, folder)


def scan(settings: dict, folder: Path) -> list[dict]:
    """Every temperature in turn, each from where the last one ended."""
    shape = tuple(settings["shape"])
    params = parameters(settings)
    enthalpy = effective.make_enthalpy(shape, clamp="free")
    start = effective.uniform_state(shape, settings["start_A"], jnp.float32)
    noise = settings.get("noise_A", 0.02) * jax.random.normal(jax.random.key(settings["seed"]), start.modes.shape, jnp.float32)
    state = effective.prepare(params, start.replace(modes=start.modes + noise))
    rows, modes = _resume(folder)
    if modes is not None:
        state = state.replace(modes=jnp.asarray(modes))
    integrator, every = METHODS[settings["method"]](settings), settings["every"]
    for index, kelvin in enumerate(settings["temperatures_K"]):
        if index < len(rows):
            continue
        hot = integrator.replace(temperature=jnp.asarray(float(kelvin)))
        key = jax.random.fold_in(jax.random.key(settings["seed"]), index)
        options = {"every": every, "keep_positions": False}
        settled = run(enthalpy, params, state, hot, settings["settle_steps"], key=key, **options)
        averaged = run(enthalpy, params, settled.state, hot, settings["average_steps"], progress=settled.progress, **options)
        state = averaged.state
        rows.append(_row(kelvin, averaged.records, params, state, settings))
        _store(folder, rows, np.asarray(state.modes))
        print("  ".join(f"{v:.5g}" if isinstance(v, float) else str(v) for v in rows[-1].values()), flush=True)
    return rows


def _row(kelvin: float, records, params: effective.HeffParams, state: effective.LatticeState, settings: dict) -> dict:
    cells, charge, a0 = state.modes.size // 3, float(params.charge), float(params.a0)
    mode = records.dipole.astype(float) / (cells * charge)
    components = analysis.order_parameter(mode, settings.get("window", 20))
    strength = analysis.mean(np.linalg.norm(mode, axis=1) * charge / a0**3 * E_PER_A2)
    energy = analysis.mean(1e3 * records.potential.astype(float) / cells)
    lengths = np.linalg.norm(records.cell.astype(float), axis=2).mean(0) / state.shape
    order = np.argsort(np.abs(mode.mean(0)))
    phase = analysis.recognise(components, settings["threshold_A"])
    values = (kelvin, *components, strength.value, strength.error, *lengths[order], energy.value, energy.error, phase)
    return {name: v if isinstance(v, str) else float(v) for name, v in zip(COLUMNS, values)}


def _resume(folder: Path) -> tuple[list[dict], np.ndarray | None]:
    table, place = folder / "scan.csv", folder / "place.npz"
    if not place.exists():
        return [], None
    with np.load(place) as saved:
        modes, count = saved["modes"], int(saved["count"])
    rows = _table(folder)
    if len(rows) < count:
        raise FerrojaxError(f"{table}: has {len(rows)} rows, but the scan had finished {count}; remove {place} to start anew.")
    return rows[:count], modes


def _table(folder: Path) -> list[dict]:
    """The rows of scan.csv, none if it is not there."""
    table = folder / "scan.csv"
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return [{k: v if k == "phase" else float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def _store(folder: Path, rows: list[dict], modes: np.ndarray) -> None:
    data = io.BytesIO()
    np.savez(data, modes=modes, count=len(rows))
    write_csv(folder / "scan.csv", rows, COLUMNS)
    write_bytes(folder / "place.npz", data.getvalue())


def report(settings: dict, rows: list[dict], folder: Path) -> None:
    """summary.json and scan.png."""
    kelvins, phases = [r["temperature_K"] for r in rows], [r["phase"] for r in rows]
    found = [{"from": a, "to": b, "temperature_K": t} for a, b, t in analysis.transitions(kelvins, phases)]
    summary = {"settings": settings, "transitions": found, "reference": settings.get("reference"), "rows": rows}
    write_text(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    if len(rows) > 1:
        draw(settings, rows, found, folder / "scan.png")
    for item in found:
        print(f"{item['from']} -> {item['to']}: {item['temperature_K']:.1f} K")


def draw(settings: dict, rows: list[dict], found: list[dict], path: Path) -> None:
    """Mean modes and lattice constants with the transitions."""
    kelvins, marks = [r["temperature_K"] for r in rows], "v^o"
    with plotting.journal():
        figure, (above, below) = plotting.figure(2, 1, height=115, sharex=True)
        for axes, kind, letter in ((above, "u", r"\langle|u_{}|\rangle"), (below, "a", "a_{}")):
            for k, marker in enumerate(marks, start=1):
                axes.plot(kelvins, [r[f"{kind}{k}_A"] for r in rows], marker + "-", label=f"${letter.format(k)}$")
            for item in found:
                axes.axvline(item["temperature_K"], color="0.7", linewidth=0.8, zorder=0)
        above.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
        below.legend()
        above.set(ylabel="mean mode (Å)")
        above.set_title(settings["title"], pad=17)
        below.set(xlabel="T (K)", ylabel="lattice constants (Å)")
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
