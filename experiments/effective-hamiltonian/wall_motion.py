"""Speed of 180° walls in a field along the polarization, and Merz's law at each temperature that has enough slow ones.

    python experiments/effective-hamiltonian/wall_motion.py experiments/effective-hamiltonian/pbtio3-wall-motion.yaml

Writes beside the configuration a folder of its name: speeds.csv (one row a run), summary.json and speeds.png. A study that was
stopped goes on after its last whole run.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import parameters, store

from ferrojax import effective, plotting
from ferrojax.dynamics import Constant, Langevin, run
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.kinetics import Merz, merz
from ferrojax.ferroelectrics.walls import Walls, fit_walls, profile, track, velocity
from ferrojax.files import write_text
from ferrojax.study import read_study
from ferrojax.units import KV_PER_CM

COLUMNS = ("temperature_K", "field_kV_per_cm", "seed", "speed_m_per_s", "error_m_per_s", "travel_A", "picoseconds")
CLOSEST = 8.0  # cells between the walls, below which they feel each other: the series ends there
FEWEST = 20  # frames of a series


def main() -> None:
    settings, folder = read_study(__doc__)
    table = folder / "speeds.csv"
    rows = [] if not table.exists() else [{k: float(v) for k, v in row.items()} for row in csv.DictReader(table.open(newline=""))]
    done = {(row["temperature_K"], row["field_kV_per_cm"], row["seed"]) for row in rows}
    wanted = [(kelvin, field) for kelvin, fields in settings["fields_kV_per_cm"].items() for field in fields]
    for (kelvin, field), seed in itertools.product(wanted, settings["seeds"]):
        if (kelvin, field, seed) not in done:
            rows.append(dict(zip(COLUMNS, (kelvin, field, seed, *measure(settings, kelvin, field, seed)))))
            store(table, rows, COLUMNS)
            print("  ".join(f"{value:.4g}" for value in rows[-1].values()), flush=True)
    report(settings, rows, folder)


def measure(settings: dict, kelvin: float, field: float, seed: int) -> tuple[float, float, float, float]:
    """Speed and its error (m/s) at which the two walls move together, how far each went (Å) and in what time (ps)."""
    edge, fits, times = float(parameters(settings).a0), [], []
    for time, planes in profiles(settings, kelvin, field, seed):
        found = two_walls(planes, edge)
        if found is None:
            break
        fits.append(found)
        times.append(time)
    if len(fits) < FEWEST:
        return float("nan"), float("nan"), float("nan"), times[-1] / 1e3 if times else 0.0
    fits, times = fits[settings["skip"] :], times[settings["skip"] :]
    places = track(fits, np.full(len(fits), settings["shape"][0] * edge))
    # A wall where P rises with x moves to lower x when the field favours +z.
    together = -(places * np.array(fits[0].signs)).mean(1)
    speed = velocity(np.array(times), together)
    return speed.value, speed.error, float(together[-1] - together[0]), (times[-1] - times[0]) / 1e3


def profiles(settings: dict, kelvin: float, field: float, seed: int) -> Iterator[tuple[float, np.ndarray]]:
    """Time in the field (fs) and the profile of the mode along it; one run, that goes on while it is asked, at most ``longest_ps``."""
    shape, dt = tuple(settings["shape"]), settings["dt"]
    params = parameters(settings)
    enthalpy = effective.make_enthalpy(shape, clamp="free")
    state = effective.prepare(params, effective.stripes(shape, settings["start_A"], shape[0], jnp.float32))
    langevin = Langevin(dt=dt, temperature=jnp.asarray(float(kelvin)), friction=settings["friction"])
    here = run(enthalpy, params, state, langevin, settings["settle_steps"], key=jax.random.key(seed), every=500, keep_positions=False)
    # The first half of the stripes points along +z, so this field moves its walls apart and those of the other domain together.
    push = Constant(jnp.array([0.0, 0.0, field * KV_PER_CM], jnp.float32))
    begun, steps = here.records.time[-1], round(settings["chunk_ps"] * 1e3 / dt)
    for _ in range(math.ceil(settings["longest_ps"] / settings["chunk_ps"])):
        here = run(enthalpy, params, here.state, langevin, steps, progress=here.progress, field=push, every=settings["every"])
        for time, modes in zip(here.records.time, here.records.positions.astype(float)):
            yield float(time - begun), profile(modes.reshape(*shape, 3), 0, 2)


def two_walls(planes: np.ndarray, edge: float) -> Walls | None:
    """The walls of a profile over the planes, Å; None once they are too close, gone, or joined by others."""
    length = len(planes) * edge
    try:
        found = fit_walls(planes, length)
    except FerrojaxError:
        return None
    if len(found.signs) != 2:
        return None
    apart = abs(found.places[1] - found.places[0])
    return found if min(apart, length - apart) > CLOSEST * edge else None


def report(settings: dict, rows: list[dict[str, float]], folder: Path) -> None:
    """summary.json and speeds.png."""
    points = means(rows)
    waiting = {kelvin: those_that_wait(settings, points, kelvin) for kelvin in sorted({p["temperature_K"] for p in points})}
    waiting = {kelvin: columns for kelvin, columns in waiting.items() if len(columns[0]) > 2}
    laws = {kelvin: merz(*columns) for kelvin, columns in waiting.items()}
    fits = {f"{kelvin:g}": as_dict(law, *waiting[kelvin]) for kelvin, law in laws.items()}
    write_text(folder / "summary.json", json.dumps({"settings": settings, "points": points, "merz": fits}, indent=1) + "\n")
    curves = {kelvin: (columns[0], laws[kelvin]) for kelvin, columns in waiting.items()}
    draw(settings, points, curves, folder / "speeds.png")
    print(json.dumps({"merz": fits}, indent=1))


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
            travel = float(np.mean([row["travel_A"] for row in same]))
            values = (kelvin, field, float(speeds.mean()), float(max(scatter, own)), travel)
            points.append(dict(zip(("temperature_K", "field_kV_per_cm", "speed_m_per_s", "error_m_per_s", "travel_A"), values)))
    return points


def those_that_wait(settings: dict, points: list[dict[str, float]], kelvin: float) -> tuple[np.ndarray, ...]:
    """Fields, speeds and their errors of the walls to which Merz's law may apply.

    Those that went no farther than a cell may only have settled in their valley; fast ones no longer wait for nuclei but flow.
    """
    cell = float(parameters(settings).a0)
    here = [p for p in points if p["temperature_K"] == kelvin and p["travel_A"] > cell]
    here = [p for p in here if settings["clear"] * p["error_m_per_s"] < p["speed_m_per_s"] < settings["creep_below_m_per_s"]]
    return tuple(np.array([p[name] for p in here]) for name in ("field_kV_per_cm", "speed_m_per_s", "error_m_per_s"))


def as_dict(law: Merz, field: np.ndarray, speed: np.ndarray, error: np.ndarray) -> dict[str, Any]:
    """The numbers of a law, and how well it fits: χ² of ln v over the degrees of freedom is about 1 where it holds."""
    pulls = np.log(speed / law.speed(field)) * speed / error
    pairs = {"ln_v0": law.log_speed, "activation_field_kV_per_cm": law.activation}
    found: dict[str, Any] = {name: {"value": e.value, "error": e.error} for name, e in pairs.items()}
    return found | {"points": len(field), "chi_squared_per_freedom": float(pulls @ pulls) / (len(field) - len(pairs))}


def draw(settings: dict, points: list[dict[str, float]], curves: dict[float, tuple[np.ndarray, Merz]], path: Path) -> None:
    """Speeds, and each law over the fields that it was fitted to."""
    with plotting.journal():
        figure, axes = plotting.figure()
        for colour, kelvin in zip(plotting.PALETTE, sorted({p["temperature_K"] for p in points})):
            here = [p for p in points if p["temperature_K"] == kelvin and p["speed_m_per_s"] > 0]
            field, speed, error = (np.array([p[n] for p in here]) for n in ("field_kV_per_cm", "speed_m_per_s", "error_m_per_s"))
            axes.errorbar(1e3 / field, speed, error, fmt="o", ms=3, capsize=2, color=colour, label=f"{kelvin:g} K")
            if kelvin in curves:
                fitted, law = curves[kelvin]
                fine = np.linspace(fitted.min(), fitted.max(), 100)
                axes.plot(1e3 / fine, law.speed(fine), color=colour, lw=0.8)
        axes.set(xlabel="1/E (cm/MV)", ylabel="wall speed (m/s)", yscale="log", title=settings["title"])
        axes.legend()
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
