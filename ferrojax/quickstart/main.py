"""The stages of the quick start, one after the other, and what they leave behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.table import Table

from ferrojax import __version__
from ferrojax.commands import error_table
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.potential import load, save_model
from ferrojax.quickstart.derivatives import differentiate, lines, numbers
from ferrojax.quickstart.figure import draw
from ferrojax.quickstart.fit import PRESET, Fit, fit
from ferrojax.quickstart.page import page
from ferrojax.quickstart.statics import ATOMS, REFERENCE, REFERENCE_DIFFERENCE, REFERENCE_POLARIZATION, Statics, relax_phases
from ferrojax.quickstart.switching import FIELD, TEMPERATURE, Switching, switch
from ferrojax.terminal import terminal

REPORTS = ("report.html", "report.json", "quickstart.png")
MODEL = "pbtio3-v1"  # of the package


def run(
    output: str | Path = "runs/quickstart", minutes: float = 2.0, seed: int = 0, cells: int = 3, picoseconds: float = 4.0
) -> dict[str, Any]:
    """Train on the shipped PbTiO3 data, then relax, differentiate and switch the potential of the package; write a report.

    Into ``output`` go report.html, report.json, quickstart.png, model/ (what was trained here) and training/. An
    earlier quick start there is replaced.

    Args:
        minutes: time for training. seed: of weights, held-out frames and thermostat.
        cells: edge of the supercell of the dynamics, unit cells. picoseconds: its length.

    Returns what report.json holds; ``warnings`` lists what went wrong.

    Raises FerrojaxError for values out of range, and if the output cannot be written.
    """
    _check(minutes, cells, picoseconds)
    folder, log = Path(output), Log()
    _clear(folder)
    text = f"preset '{PRESET}', {minutes:g} min, shipped PbTiO3 set (GPAW, PBEsol); the errors are of held-out frames"
    with log.stage("training", text):
        fitted = fit(folder / "training", minutes, seed)
        save_model(folder / "model", fitted.model, fitted.params, fitted.info)
    log.console.print(error_table(fitted.held_out))
    model, params, _ = load(MODEL)
    enthalpy = make_enthalpy(model)
    with log.stage("statics", f"{MODEL}: relax tetragonal and cubic PbTiO3, polarization, Born charges, in float64"), jax.enable_x64(True):
        statics = relax_phases(model, enthalpy, params, log.warn)
    for table in tables(statics):
        log.console.print(table)
    text = "barrier of coherent reversal with its slopes in strain and field, flexoelectric tensor, in float64"
    with log.stage("derivatives", text), jax.enable_x64(True):
        derivatives = differentiate(model, enthalpy, params, statics.tetragonal, log.warn)
    with log.stage("dynamics", f"{5 * cells**3} atoms, {TEMPERATURE:g} K, {picoseconds:g} ps, field ±{FIELD:g} V/Å along z"):
        start = float(statics.polarization[2])
        switching = switch(model, enthalpy, params, statics.tetragonal, start, seed, cells, picoseconds, log.line, log.warn)
    if switching.reversals < 2:
        log.warn(f"the polarization did not follow the field: {plateau_text(switching.plateaus)} on the plateaus.")
    with log.stage("report", "figure, JSON and HTML"):
        report = _report(fitted, statics, switching, log, {"minutes": minutes, "seed": seed, "cells": cells}) | numbers(derivatives)
        report["derivatives"] = lines(derivatives)
        _write(folder, report, fitted, statics, switching)
    for line in lines(derivatives):
        log.console.print(line)
    log.console.print(f"open {folder / 'report.html'}")
    return report


class Log:
    """Lines with the time since the start; warnings are kept."""

    def __init__(self) -> None:
        self.console = terminal()
        self.warnings: list[str] = []
        self.seconds: dict[str, float] = {}
        self._begun = time.monotonic()

    @contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        """Announce a stage and say how long it took."""
        begun = time.monotonic()
        self.console.print(f"[{begun - self._begun:6.1f} s] {name}: {text}", style="bold")
        yield
        self.seconds[name] = taken = round(time.monotonic() - begun, 1)
        self.console.print(f"[{time.monotonic() - self._begun:6.1f} s] done in {taken:g} s")

    def line(self, text: str) -> None:
        """A line of progress."""
        self.console.print("           " + text)

    def warn(self, text: str) -> None:
        """A line that cannot be missed, also in the report."""
        self.warnings.append(text)
        self.console.print(f"WARNING: {text}", style="bold red")


def tables(statics: Statics) -> list[Table]:
    """Structure and polarization beside the reference, and the Born charges, for the terminal."""
    structure = Table("tetragonal PbTiO3", MODEL, "GPAW (PBEsol)", title_justify="left")
    for name, model, reference in structure_rows(statics):
        structure.add_row(name, model, reference)
    born = Table("Z* (e), tetragonal", "xx", "yy", "zz")
    for name, tensor in zip(ATOMS, statics.born):
        born.add_row(name, *(f"{value:+.2f}" for value in np.diag(tensor)))
    return [structure, born]


def structure_rows(statics: Statics) -> list[tuple[str, str, str]]:
    """(name, model, reference) as text."""
    units = {"a": "a (Å)", "c": "c (Å)", "a cubic": "a cubic (Å)"}
    rows = [(units.get(name, name), f"{value:.4f}", f"{REFERENCE[name]:.4f}") for name, value in statics.numbers.items()]
    rows.append(("E cubic - tet. (meV/f.u.)", f"{statics.difference:.0f}", f"{REFERENCE_DIFFERENCE:.0f}"))
    rows.append(("P_s (C/m²)", f"{statics.polarization[2]:.3f}", f"{REFERENCE_POLARIZATION:.3f}"))
    return rows


def plateau_text(plateaus: dict[str, float]) -> str:
    """Mean polarization late on each plateau of the field, as text."""
    return "mean P_z " + ", ".join(f"{value:+.2f} C/m² ({name})" for name, value in plateaus.items())


def _check(minutes: float, cells: int, picoseconds: float) -> None:
    if not (minutes > 0 and cells >= 1 and picoseconds > 0):
        raise FerrojaxError(f"quickstart: minutes {minutes:g}, cells {cells} and picoseconds {picoseconds:g} must be positive.")


def _clear(folder: Path) -> None:
    """Remove the reports of an earlier run, so that none of them outlives a run that fails."""
    if folder.exists() and not folder.is_dir():
        raise FerrojaxError(f"{folder}: is a file; choose another output folder.")
    for name in REPORTS:
        (folder / name).unlink(missing_ok=True)


def _report(fitted: Fit, statics: Statics, switching: Switching, log: Log, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything measured, as plain numbers."""
    return {
        "ferrojax": __version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "settings": settings | {"preset": PRESET, "model": MODEL, "field_V_per_A": FIELD, "temperature_K": TEMPERATURE},
        "seconds": dict(log.seconds),
        "warnings": log.warnings,
        "training": {
            "steps": int(fitted.curve["step"][-1]),
            "errors_held_out": fitted.held_out,
            "errors_train": fitted.train,
            "curve": {name: values.tolist() for name, values in fitted.curve.items()},
        },
        "structure": statics.numbers | {"converged": statics.converged},
        "structure_reference": REFERENCE,
        "energy_cubic_minus_tetragonal_meV": statics.difference,
        "polarization_C_per_m2": statics.polarization.tolist(),
        "polarization_path_C_per_m2": statics.path.tolist(),
        "born_charges_e": {name: tensor.tolist() for name, tensor in zip(ATOMS, statics.born)},
        "born_charges_cubic_e": {name: tensor.tolist() for name, tensor in zip(ATOMS, statics.born_cubic)},
        "eps_inf": statics.permittivity.tolist(),
        "switching": {
            "atoms": switching.atoms,
            "plateaus_C_per_m2": switching.plateaus,
            "reversals": switching.reversals,
            "time_fs": switching.time.tolist(),
            "field_V_per_A": switching.field.tolist(),
            "polarization_C_per_m2": switching.polarization.tolist(),
            "mean_temperature_K": switching.temperature,
        },
    }


def _write(folder: Path, report: dict[str, Any], fitted: Fit, statics: Statics, switching: Switching) -> None:
    draw(folder / "quickstart.png", fitted, switching, structure_rows(statics), statics)
    write_text(folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(folder / "report.html", page(folder, report, structure_rows(statics)))
