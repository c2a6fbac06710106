"""The coercive field of an effective Hamiltonian in a slow triangular field, from the branch that reverses it alone.

    python experiments/effective-hamiltonian/coercive.py experiments/effective-hamiltonian/batio3-wc-360K-coercive.yaml

A loop at this rate spends most of its time where nothing happens. Each run here starts poled against the field and follows
its first rise as far as ``until_V_per_A``, at the rate of the loop; inversion gives the other branch. The folder of the
configuration's name gets summary.json, branches.csv and branches.png; runs go to runs/, and on where they were stopped.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from loop import RUNS, UP, drive, samples

from ferrojax import plotting
from ferrojax.dynamics.records import Records
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.hysteresis import coercive_field
from ferrojax.files import write_csv, write_text
from ferrojax.study import read_study
from ferrojax.units import E_PER_A2, KV_PER_CM


def main() -> None:
    settings, folder = read_study(__doc__)
    quarter = settings["sweep_ps"] * 1e3 / 2
    time = quarter * settings["until_V_per_A"] / settings["amplitude_V_per_A"]
    branches: list[tuple[np.ndarray, np.ndarray]] = []
    for seed in settings["seeds"]:
        kelvin = settings["temperature_K"]
        branches.append(branch(drive(settings, float(kelvin), seed, RUNS / folder.name / str(seed), time)))
        report(settings, branches, folder)


def branch(records: Records) -> tuple[np.ndarray, np.ndarray]:
    """Field (V/Å) and polarization (C/m²) along z."""
    return records.field.astype(np.float64) @ UP, records.dipole.astype(np.float64) @ UP / records.volume * E_PER_A2


def report(settings: dict, branches: list[tuple[np.ndarray, np.ndarray]], folder: Path) -> None:
    """summary.json, branches.csv and branches.png of the runs so far."""
    found = [coercive_field(field, polarization) for field, polarization in branches]
    if None in found:
        raise FerrojaxError(f"seed {settings['seeds'][found.index(None)]}: no reversal up to {settings['until_V_per_A']} V/Å; raise it.")
    values = np.array(found, float)
    summary = {
        "coercive_field_kV_per_cm": float(values.mean()),
        "error_of_the_mean": float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None,
        "each_kV_per_cm": values.tolist(),
    }
    print(json.dumps(summary), flush=True)
    write_text(folder / "summary.json", json.dumps({"settings": settings, **summary}, indent=1) + "\n")
    table = [row for seed, (field, p) in zip(settings["seeds"], branches) for row in samples(seed, field / KV_PER_CM, p, 500)]
    write_csv(folder / "branches.csv", table, ("seed", "field_kV_per_cm", "polarization_C_per_m2"))
    draw(settings, branches, folder / "branches.png")


def draw(settings: dict, branches: list[tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    with plotting.journal():
        figure, axes = plotting.figure()
        for k, (seed, (field, polarization)) in enumerate(zip(settings["seeds"], branches)):
            plotting.loop(axes, field / KV_PER_CM, polarization, color=plotting.PALETTE[k], linewidth=0.8, label=f"run {seed}")
            axes.plot(-field / KV_PER_CM, -polarization, ":", color=plotting.PALETTE[k], linewidth=0.8)
        axes.set_xlabel("E (kV/cm); dotted: by inversion")
        axes.legend(loc=(0.2, 0.4))
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
