"""Speed of 180° walls in a field along the polarization, and the law of creep that it follows.

    python experiments/effective-hamiltonian/wall_motion.py experiments/effective-hamiltonian/batio3-wc-wall-motion.yaml

Writes beside the configuration a folder of its name: speeds.csv (one row a run), summary.json and speeds.png. A study that was
stopped goes on after its last whole run.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import parameters, read_configuration

from ferrojax import effective, plotting
from ferrojax.dynamics import Constant, Langevin, run
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.kinetics import Creep, creep
from ferrojax.ferroelectrics.walls import Walls, fit_walls, track, velocity
from ferrojax.files import write_text
from ferrojax.units import KV_PER_CM

COLUMNS = ("temperature_K", "field_kV_per_cm", "seed", "speed_m_per_s", "error_m_per_s", "travel_A", "picoseconds")
CLOSEST = 8.0  # cells between the walls, below which they feel each other: the series ends there
FEWEST = 20  # frames of a series


def main() -> None:
    settings, folder = read_configuration(__doc__)
    table = folder / "speeds.csv"
    rows = [] if not table.exists() else [{k: float(v) for k, v in row.items()} for row in csv.DictReader(table.open(newline=""))]
    done = {(row["temperature_K"], row["field_kV_per_cm"], row["seed"]) for row in rows}
    wanted = [(kelvin, field) for kelvin, fields in settings["fields_kV_per_cm"].items() for field in fields]
    for (kelvin, field), seed in itertools.product(wanted, settings["seeds"]):
        if (kelvin, field, seed) not in done:
            rows.append(dict(zip(COLUMNS, (kelvin, field, seed, *measure(settings, kelvin, field, seed)))))
            store(table, rows)
            print("  ".join(f"{value:.4g}" for value in rows[-1].values()), flush=True)
    report(settings, rows, folder)


def measure(settings: dict, kelvin: float, field: float, seed: int) -> tuple[float, float, float, float]:
    """Speed and its error (m/s) at which the two walls move together, how far each went (Å) and in what time (ps)."""
    shape, dt = tuple(settings["shape"]), settings["dt"]
    params = parameters(settings)
    enthalpy = effective.make_enthalpy(shape, clamp="free")
    start = effective.stripes(shape, settings["start_A"], shape[0], jnp.float32)
    state = effective.prepare(params, start)
    langevin = Langevin(dt=dt, temperature=jnp.asarray(float(kelvin)), friction=settings["friction"])
    settled = run(enthalpy, params, state, langevin, settings["settle_steps"], key=jax.random.key(seed), every=500, keep_positions=False)
    # The first half of the stripes points along +z, so this field moves its walls apart and those of the other domain together.
    push = Constant(jnp.array([0.0, 0.0, field * KV_PER_CM], jnp.float32))
    steps, here, fits, times = round(settings["chunk_ps"] * 1e3 / dt), settled.state, [], []
    edge = float(params.a0)
    while len(times) * settings["every"] * dt < settings["longest_ps"] * 1e3:
        key = jax.random.fold_in(jax.random.key(1000 + seed), len(times))
        more = run(enthalpy, params, here, langevin, steps, key=key, field=push, every=settings["every"])
        here = more.state
        for modes in np.asarray(more.records.positions, float):
            found = two_walls(modes.reshape(*shape, 3)[..., 2].mean((1, 2)), edge)
            if found is None:
                break
            fits.append(found)
            times.append(len(times) * settings["every"] * dt)
        else:
            continue
        break
    if len(fits) < FEWEST:
        return float("nan"), float("nan"), float("nan"), len(fits) * settings["every"] * dt / 1e3
    fits, times = fits[settings["skip"] :], times[settings["skip"] :]
    places = track(fits, np.full(len(fits), shape[0] * edge))
    # A wall where P rises with x moves to lower x when the field favours +z.
    together = -(places * np.array(fits[0].signs)).mean(1)
    speed = velocity(np.array(times), together)
    return speed.value, speed.error, float(together[-1] - together[0]), (times[-1] - times[0]) / 1e3


def two_walls(profile: np.ndarray, edge: float) -> Walls | None:
    """The walls of a profile over the planes, Å; None once they are too close, gone, or joined by others."""
    length = len(profile) * edge
    try:
        found = fit_walls(profile, length)
    except FerrojaxError:
        return None
    if len(found.signs) != 2:
        return None
    apart = abs(found.places[1] - found.places[0])
    return found if min(apart, length - apart) > CLOSEST * edge else None


def store(table: Path, rows: list[dict[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    write_text(table, text.getvalue())


def report(settings: dict, rows: list[dict[str, float]], folder: Path) -> None:
    """summary.json and speeds.png."""
    points = means(rows)
    # Creep ends where walls no longer wait for nuclei; faster ones flow, with a speed linear in the field.
    moving = [p for p in points if settings["clear"] * p["error_m_per_s"] < p["speed_m_per_s"] < settings["creep_below_m_per_s"]]
    columns = [np.array([p[name] for p in moving]) for name in ("field_kV_per_cm", "speed_m_per_s", "temperature_K", "error_m_per_s")]
    law = creep(*columns) if len(moving) > 3 else None
    fixed = creep(*columns, exponent=1.0) if len(moving) > 3 else None
    summary = {"settings": settings, "points": points, "creep": law and as_dict(law), "merz": fixed and as_dict(fixed)}
    write_text(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    draw(settings, points, law, folder / "speeds.png")
    print(json.dumps({"creep": summary["creep"], "merz": summary["merz"]}, indent=1))


def means(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """Over the seeds; the error is the larger of their scatter's and that of the fits."""
    points = []
    for kelvin, field in sorted({(row["temperature_K"], row["field_kV_per_cm"]) for row in rows}):
        same = [row for row in rows if (row["temperature_K"], row["field_kV_per_cm"]) == (kelvin, field)]
        same = [row for row in same if np.isfinite(row["speed_m_per_s"])]
        if same:
            speeds = np.array([row["speed_m_per_s"] for row in same])
            scatter = speeds.std(ddof=1) / len(speeds) ** 0.5 if len(speeds) > 1 else 0.0
            own = np.sqrt(np.sum([row["error_m_per_s"] ** 2 for row in same])) / len(speeds)
            values = (kelvin, field, float(speeds.mean()), float(max(scatter, own)))
            points.append(dict(zip(("temperature_K", "field_kV_per_cm", "speed_m_per_s", "error_m_per_s"), values)))
    return points


def as_dict(law: Creep) -> dict[str, Any]:
    pairs = {"ln_v0": law.log_speed, "barrier_eV": law.barrier, "exponent": law.exponent}
    return {name: {"value": e.value, "error": e.error} for name, e in pairs.items()} | {"at_kV_per_cm": law.at}


def draw(settings: dict, points: list[dict[str, float]], law: Creep | None, path: Path) -> None:
    with plotting.journal():
        figure, axes = plotting.figure()
        for colour, kelvin in zip(plotting.PALETTE, sorted({p["temperature_K"] for p in points})):
            here = [p for p in points if p["temperature_K"] == kelvin and p["speed_m_per_s"] > 0]
            field, speed, error = (np.array([p[n] for p in here]) for n in ("field_kV_per_cm", "speed_m_per_s", "error_m_per_s"))
            axes.errorbar(1e3 / field, speed, error, fmt="o", ms=3, capsize=2, color=colour, label=f"{kelvin:g} K")
            if law is not None:
                fine = np.linspace(field.min(), field.max(), 100)
                kt = 8.617333262e-5 * kelvin
                curve = np.exp(law.log_speed.value - law.barrier.value / kt * (law.at / fine) ** law.exponent.value)
                axes.plot(1e3 / fine, curve, color=colour, lw=0.8)
        axes.set(xlabel="1/E (cm/MV)", ylabel="wall speed (m/s)", yscale="log", title=settings["title"])
        axes.legend()
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
