"""Speed of 180° walls in a field along the polarization; Merz's law at each temperature that has enough slow ones, and creep at all.

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
from ferrojax.ferroelectrics.fitting import Estimate
from ferrojax.ferroelectrics.kinetics import Creep, Merz, creep, merz
from ferrojax.ferroelectrics.walls import Walls, fit_walls, profile, track, velocity
from ferrojax.files import write_text
from ferrojax.study import read_study
from ferrojax.units import KV_PER_CM

FIELD, SPEED, ERROR = "field_kV_per_cm", "speed_m_per_s", "error_m_per_s"
COLUMNS = ("temperature_K", FIELD, "seed", SPEED, ERROR, "travel_A", "picoseconds")
CLOSEST = 8.0  # cells between the walls, below which they feel each other: the series ends there
FEWEST = 20  # frames of a series
FILTERS = ("travel", "error", "speed")  # of the points that the laws are fitted to
EXPONENTS = {"free": None, "1": 1.0, "1/4": 0.25}  # of creep: fitted; nucleation; a line in random bonds


def main() -> None:
    settings, folder = read_study(__doc__)
    table = folder / "speeds.csv"
    rows = [] if not table.exists() else [{k: float(v) for k, v in row.items()} for row in csv.DictReader(table.open(newline=""))]
    done = {(row["temperature_K"], row[FIELD], row["seed"]) for row in rows}
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
    cell = float(parameters(settings).a0)
    points = [point | {"left_out": why_left_out(settings, point, cell)} for point in means(rows)]
    waiting = [point for point in points if point["left_out"] is None]
    laws = laws_of_merz(waiting)
    fits = {f"{kelvin:g}": of_merz(law, here) for kelvin, (here, law) in laws.items()}
    unfiltered = {f"without_{name}": activations(settings, points, cell, name) for name in ("travel", "speed")}
    crept = {name: of_creep(waiting, exponent) for name, exponent in EXPONENTS.items()}
    summary = {"settings": settings, "points": points, "merz": fits, "merz_unfiltered": unfiltered, "creep": crept}
    write_text(folder / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    draw(settings, points, laws, folder / "speeds.png")
    print(json.dumps({"merz": fits, "creep": crept}, indent=1))


def means(rows: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Over the seeds; the error is the larger of their scatter's and that of the fits."""
    points = []
    for kelvin, field in sorted({(row["temperature_K"], row[FIELD]) for row in rows}):
        same = [row for row in rows if (row["temperature_K"], row[FIELD]) == (kelvin, field)]
        same = [row for row in same if np.isfinite(row[SPEED])]
        if same:
            speeds = np.array([row[SPEED] for row in same])
            scatter = speeds.std(ddof=1) / len(speeds) ** 0.5 if len(speeds) > 1 else 0.0
            own = np.sqrt(np.sum([row[ERROR] ** 2 for row in same])) / len(speeds)
            travel = float(np.mean([row["travel_A"] for row in same]))
            values = (kelvin, field, float(speeds.mean()), float(max(scatter, own)), travel)
            points.append(dict(zip(("temperature_K", FIELD, SPEED, ERROR, "travel_A"), values)))
    return points


def why_left_out(settings: dict, point: dict[str, Any], cell: float, filters: tuple[str, ...] = FILTERS) -> str | None:
    """Why the laws do not apply to a wall, None if they may."""
    if "travel" in filters and point["travel_A"] <= cell:
        return "went no farther than a cell: it may only have settled in its valley"
    if "error" in filters and point[SPEED] <= settings["clear"] * point[ERROR]:
        return f"speed below {settings['clear']:g} times its error"
    if "speed" in filters and point[SPEED] >= settings["creep_below_m_per_s"]:
        return f"{settings['creep_below_m_per_s']:g} m/s or more: it no longer waits for nuclei but flows"
    return None


def columns(points: list[dict[str, Any]], *names: str) -> tuple[np.ndarray, ...]:
    return tuple(np.array([point[name] for point in points]) for name in names)


def laws_of_merz(points: list[dict[str, Any]]) -> dict[float, tuple[list[dict[str, Any]], Merz]]:
    """At each temperature with more than two points: these, and the law."""
    laws = {}
    for kelvin in sorted({point["temperature_K"] for point in points}):
        here = [point for point in points if point["temperature_K"] == kelvin]
        if len(here) > 2:
            laws[kelvin] = (here, merz(*columns(here, FIELD, SPEED, ERROR)))
    return laws


def activations(settings: dict, points: list[dict[str, Any]], cell: float, without: str) -> dict[str, Any]:
    """What the activation fields would be without one of the filters."""
    filters = tuple(name for name in FILTERS if name != without)
    kept = [point for point in points if why_left_out(settings, point, cell, filters) is None]
    fits = {f"{kelvin:g}": of_merz(law, here) for kelvin, (here, law) in laws_of_merz(kept).items()}
    return {kelvin: {name: fit[name] for name in ("activation_field_kV_per_cm", "points")} for kelvin, fit in fits.items()}


def of_merz(law: Merz, points: list[dict[str, Any]]) -> dict[str, Any]:
    field, speed, error = columns(points, FIELD, SPEED, ERROR)
    fitted = {"ln_v0": law.log_speed, "activation_field_kV_per_cm": law.activation}
    return judged(fitted, np.log(speed / law.speed(field)), error / speed)


def of_creep(points: list[dict[str, Any]], exponent: float | None) -> dict[str, Any]:
    """One fit at all temperatures together."""
    field, speed, error, kelvin = columns(points, FIELD, SPEED, ERROR, "temperature_K")
    law: Creep = creep(field, speed, kelvin, error, exponent)
    fitted = {"ln_v0": law.log_speed, "barrier_eV": law.barrier} | ({"exponent": law.exponent} if exponent is None else {})
    found = judged(fitted, np.log(speed / law.speed(field, kelvin)), error / speed)
    return found | {"at_kV_per_cm": law.at, "fixed_exponent": exponent}


def judged(fitted: dict[str, Estimate], missed: np.ndarray, error: np.ndarray) -> dict[str, Any]:
    """The numbers of a law and how well it fits ln v: χ² over the degrees of freedom is about 1 where the law holds.

    Where it is larger, errors grow by its root: the scatter about the law, not the errors of the speeds, then says how well they are known.
    """
    freedom = len(missed) - len(fitted)
    chi = float(np.sum((missed / error) ** 2)) / freedom
    found: dict[str, Any] = {name: {"value": e.value, "error": e.error * max(1.0, chi) ** 0.5} for name, e in fitted.items()}
    scatter = float(np.sqrt(np.mean(missed**2)))
    return found | {"points": len(missed), "chi_squared_per_freedom": chi, "errors_times": max(1.0, chi) ** 0.5, "rms_of_ln_v": scatter}


def draw(settings: dict, points: list[dict[str, Any]], laws: dict[float, tuple[list[dict[str, Any]], Merz]], path: Path) -> None:
    """Speeds, filled where they were fitted; below three errors an upper limit, two errors above; each law over its fields."""
    with plotting.journal():
        figure, axes = plotting.figure(height=75)
        for colour, kelvin in zip(plotting.PALETTE, sorted({point["temperature_K"] for point in points})):
            here = [point for point in points if point["temperature_K"] == kelvin]
            unclear = [point for point in here if point[SPEED] <= settings["clear"] * point[ERROR]]
            fitted = [point for point in here if point["left_out"] is None]
            others = [point for point in here if point not in unclear and point not in fitted]
            style = {"fmt": "o", "markersize": 3.5, "capsize": 2, "color": colour, "elinewidth": 0.8}
            for some, fill in ((fitted, colour), (others, "white")):
                field, speed, error = columns(some, FIELD, SPEED, ERROR)
                axes.errorbar(1e3 / field, speed, error, **style, markerfacecolor=fill)
            field, speed, error = columns(unclear, FIELD, SPEED, ERROR)
            axes.plot(1e3 / field, speed + 2 * error, "v", color=colour, fillstyle="none")
            if kelvin in laws:
                among, law = laws[kelvin]
                ends = columns(among, FIELD)[0]
                fine = np.linspace(ends.min(), ends.max(), 100)
                axes.plot(1e3 / fine, law.speed(fine), color=colour, lw=0.8)
            axes.plot([], [], "o", color=colour, label=f"{kelvin:g} K")
        axes.plot([], [], "o", color="black", markerfacecolor="white", label="not fitted")
        axes.plot([], [], "v", color="black", fillstyle="none", label="upper limit")
        axes.set(xlabel="1/E (cm/MV)", ylabel="wall speed (m/s)", yscale="log")
        axes.set_title(settings["title"], pad=27)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, handletextpad=0.3)
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
