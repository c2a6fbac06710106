"""The PTO-test from beginning to end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

import ferrojax
from ferrojax.dynamics.describe import difference
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.pto_test.ase_potential import AsePotential
from ferrojax.pto_test.config import PtoTestConfig
from ferrojax.pto_test.criteria import judge
from ferrojax.pto_test.figures import draw_efficiency, draw_heating
from ferrojax.pto_test.jax_potential import JaxPotential
from ferrojax.pto_test.models import Potential
from ferrojax.pto_test.page import page, zero_kelvin
from ferrojax.pto_test.stages import STAGES, Bench, difference_energy, results
from ferrojax.terminal import terminal

SETTINGS = "settings.json"  # what is tested, and how
FREE = ("temperatures_K", "sizes", "checkpoint_seconds")  # may change when a test goes on: each value has its own files


def run_test(
    potential: Potential,
    folder: str | Path,
    config: PtoTestConfig = PtoTestConfig(),
    stages: Sequence[str] = STAGES,
    name: str | None = None,
) -> dict[str, Any]:
    """The PTO-test of a potential: 0 K table, phonons, heating at constant stress and in the experimental cell, time of a step.

    Into ``folder`` go a file for each result, report.json, report.html and figures. Called again after a kill it goes on; what
    the potential did not survive (an exception of its calculator, a crystal that melts or bursts) is a result, with its sentence.

    Args:
        potential: JaxPotential(folder of a model) or AsePotential("module:factory", arguments).
        stages: of "statics", "phonons", "npt", "nvt", "efficiency"; the report is made from what is there.
        name: of the potential in the report.

    Returns what report.json holds.

    Raises FerrojaxError for an unknown stage, a folder with results of another potential or other settings, and phonons or dynamics
    before statics.
    """
    folder, console = Path(folder), terminal()
    for stage in stages:
        if stage not in STAGES:
            raise FerrojaxError(f"pto-test: there is no stage {stage!r}; choose of {', '.join(STAGES)}.")
    _claim(folder, potential, config)
    potential.name = name or potential.name
    bench = Bench(potential, config, folder, console.print)
    for stage in (stage for stage in STAGES if stage in stages):
        bench.run(stage)
    report = make_report(folder, config, potential.name)
    for table in tables(report):
        console.print(table)
    console.print(f"open {folder / 'report.html'}")
    return report


def make_report(folder: Path, config: PtoTestConfig, name: str) -> dict[str, Any]:
    """report.json, report.html and the figures from the results so far."""
    found = results(folder, config)
    verdicts = judge(found["npt"], config.npt.temperatures_K, found["phonons"]["tetragonal"], config.criteria)
    report = {
        "ferrojax": ferrojax.__version__,
        "name": name,
        "potential": json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["potential"],
        "departures": config.departures(),
        "criteria": [{"criterion": v.criterion, "verdict": v.word, "passed": v.passed, "found": v.found} for v in verdicts],
        "energy_cubic_minus_tetragonal_eV": difference_energy(found["statics"]),
        **found,
        "settings": config.model_dump(mode="json"),
    }
    if found["npt"] or found["nvt"]:
        draw_heating(folder / "heating.png", found["npt"], found["nvt"], config.criteria, found["statics"]["tetragonal"])
    if any(run["status"] == "finished" for run in found["efficiency"]):
        draw_efficiency(folder / "efficiency.png", found["efficiency"])
    write_text(folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(folder / "report.html", page(folder, report))
    return report


def tables(report: dict[str, Any]) -> list[Table]:
    """The 0 K table and the verdicts, for the terminal."""
    structure = Table("0 K", "a (Å)", "c (Å)", "c/a", "E(C) - E(T) (eV/f.u.)")
    for row in zero_kelvin(report):
        structure.add_row(*row)
    title = "" if not report["departures"] else "not the protocol: " + "; ".join(report["departures"])
    verdicts = Table("criterion", "", "found", title=title, title_justify="left")
    for verdict in report["criteria"]:
        verdicts.add_row(verdict["criterion"], verdict["verdict"], verdict["found"])
    return [structure, verdicts]


def make_potential(model: str | None, calculator: str | None, config: PtoTestConfig) -> Potential:
    """The potential of the command line. Raises FerrojaxError if there is not exactly one, or it is not there."""
    if (model is None) == (calculator is None):
        raise FerrojaxError("pto-test: give --model FOLDER for a ferrojax model or --ase module:Calculator for another, one of them.")
    if model is not None:
        return JaxPotential(model, config.dynamics.precision)
    return AsePotential(str(calculator), config.calculator_arguments)


def _claim(folder: Path, potential: Potential, config: PtoTestConfig) -> None:
    """Write down what is tested and how, or compare with what is there."""
    path = folder / SETTINGS
    plain = config.model_dump(mode="json", exclude={"criteria"})
    protocol = {name: {k: v for k, v in section.items() if k not in FREE} for name, section in plain.items()}
    mine = {"potential": potential.identity, "protocol": protocol}
    if path.exists():
        found = difference(json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(mine)))
        if found:
            raise FerrojaxError(f"{folder}: holds a test with other settings: {found}; choose another output folder, or remove it.")
    else:
        write_text(path, json.dumps(mine, indent=1) + "\n")
