"""The stages of the test; each result is one file, so that a killed test goes on with the next."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write

from ferrojax.data.structure import read_structure
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.pto_test import crystal
from ferrojax.pto_test.config import Npt, Nvt, PtoTestConfig
from ferrojax.pto_test.models import ModelFailure, Plan, Potential, reference_dipole
from ferrojax.pto_test.phonons import phonon_bands, summary
from ferrojax.pto_test.series import Scale, averages, write_table

STAGES = ("statics", "phonons", "npt", "nvt", "efficiency")
PHASES = ("cubic", "tetragonal")
SKEW = 0.1  # degrees; an optimiser leaves less in an upright cell
Say = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """A potential, its protocol, the folder of the results, and where lines of progress go."""

    potential: Potential
    config: PtoTestConfig
    folder: Path
    say: Say

    def run(self, stage: str) -> None:
        """One stage; results that are there are kept."""
        {"statics": self.statics, "phonons": self.phonons, "npt": self.npt, "nvt": self.nvt, "efficiency": self.efficiency}[stage]()

    def statics(self) -> None:
        """Both phases at rest."""
        starts = {"cubic": crystal.cubic_start(self.config.statics.cubic_a_A), "tetragonal": crystal.tetragonal_start()}
        for phase, start in starts.items():
            self._record(self.folder / "0K" / f"{phase}.json", partial(self._relaxed, start, phase))

    def phonons(self) -> None:
        """Bands of both phases."""
        for phase in PHASES:
            self._record(self.folder / "phonons" / f"{phase}.json", partial(self._bands, phase))

    def npt(self) -> None:
        """Heating at constant stress."""
        for kelvin in self.config.npt.temperatures_K:
            self._record(run_folder(self.folder, "npt", kelvin) / "result.json", partial(self._run, self.config.npt, kelvin))

    def nvt(self) -> None:
        """Heating in the cell of the experiment."""
        for kelvin in self.config.nvt.temperatures_K:
            self._record(run_folder(self.folder, "nvt", kelvin) / "result.json", partial(self._run, self.config.nvt, kelvin))

    def efficiency(self) -> None:
        """Time of a step against size."""
        for size in self.config.efficiency.sizes:
            for kelvin in self.config.efficiency.temperatures_K:
                path = self.folder / "efficiency" / f"{size}-{kelvin:g}K.json"
                self._record(path, partial(self._timed, size, kelvin))

    def _record(self, path: Path, work: Callable[[], dict[str, Any]]) -> None:
        """Do the work unless its result is there; what the potential did not survive is a result too."""
        name = str(path.relative_to(self.folder).with_suffix("")).removesuffix("/result")
        if path.exists():
            self.say(f"{name}: there already")
            return
        try:
            result = {"status": "finished"} | work()
        except ModelFailure as failure:
            result = {"status": "failed", "message": str(failure)}
            if failure.rows is not None and len(failure.rows):
                write_table(path.with_name("series.csv"), failure.rows)
        write_text(path, json.dumps(result, indent=1) + "\n")
        self.say(f"{name}: {result.get('message', result['status'])}")

    def _relaxed(self, start: Atoms, phase: str) -> dict[str, Any]:
        found = self.potential.relax(start, self.config)
        text = io.StringIO()
        write(text, crystal.upright(found.atoms), format="extxyz")
        write_text(self.folder / "0K" / f"{phase}.extxyz", text.getvalue())
        a, b, c, *angles = (float(x) for x in found.atoms.cell.cellpar())
        if np.abs(np.subtract(angles, 90)).max() > SKEW:
            raise ModelFailure(f"the {phase} phase relaxed to a skew cell, with angles of {', '.join(f'{x:.2f}' for x in angles)} degrees.")
        numbers = {"a": (a + b) / 2, "c": c, "c/a": 2 * c / (a + b), "energy_eV": found.energy}
        return numbers | {"max_force_eV_per_A": found.max_force, "converged": found.converged}

    def _bands(self, phase: str) -> dict[str, Any]:
        bands = phonon_bands(self._at_rest(phase), self.potential.forces(), self.config.phonons)
        bands.save(self.folder / "phonons" / f"{phase}.csv")
        bands.save(self.folder / "phonons" / f"{phase}-band.yaml")
        bands.plot(self.folder / "phonons" / f"{phase}.png", title=f"{phase} PbTiO$_3$")
        return summary(bands)

    def _run(self, ensemble: Npt | Nvt, kelvin: float) -> dict[str, Any]:
        kind = "npt" if isinstance(ensemble, Npt) else "nvt"
        folder, cell = run_folder(self.folder, kind, kelvin), self._at_rest("tetragonal")
        if isinstance(ensemble, Nvt):
            cell = crystal.in_cell(cell, ensemble.a_A, ensemble.c_A)
        rows = self.potential.dynamics(cell.repeat(self.config.dynamics.repeat), self._plan(ensemble, kelvin), folder)
        write_table(folder / "series.csv", rows)
        return {"means": averages(rows, self.config.dynamics.discard)}

    def _timed(self, size: int, kelvin: float) -> dict[str, Any]:
        atoms, plan = self._at_rest("tetragonal").repeat((size,) * 3), self._plan(self.config.npt, kelvin)
        seconds = self.potential.seconds_per_step(atoms, replace(plan, steps=self.config.efficiency.steps))
        return {"atoms": len(atoms), "seconds_per_step": seconds, "us_per_atom_step": 1e6 * seconds / len(atoms)}

    @cached_property
    def _scale(self) -> Scale:
        settings, ideal = self.config.dynamics, crystal.cubic_start(self.config.statics.cubic_a_A)
        reference = reference_dipole(self.potential, ideal, settings.repeat)
        return Scale(settings.repeat, settings.time_step_fs, crystal.born_tensors(self.config.born_charges), reference)

    def _plan(self, ensemble: Npt | Nvt, kelvin: float) -> Plan:
        settings = self.config.dynamics
        return Plan(
            ensemble, kelvin, settings.steps, settings.time_step_fs, settings.every, settings.seed,
            self.config.criteria.lindemann, self._scale, settings.checkpoint_seconds,
        )  # fmt: skip

    def _at_rest(self, phase: str) -> Atoms:
        """The relaxed cell. Raises ModelFailure if relaxing failed, FerrojaxError if it was not done."""
        path = self.folder / "0K" / f"{phase}.json"
        if not path.exists():
            raise FerrojaxError(f"{path}: is missing; run the stage 'statics' first.")
        if json.loads(path.read_text(encoding="utf-8"))["status"] != "finished":
            raise ModelFailure(f"there is no relaxed {phase} cell to start from.")
        return read_structure(path.with_suffix(".extxyz"))


def run_folder(folder: Path, kind: str, kelvin: float) -> Path:
    """Of one temperature of a sweep."""
    return folder / kind / f"{kelvin:g}K"


def results(folder: Path, config: PtoTestConfig) -> dict[str, Any]:
    """What is there so far, by stage: phases by name, runs and timings as lists in the order of the configuration."""
    found: dict[str, Any] = {stage: {phase: _load(folder / place / f"{phase}.json") for phase in PHASES}
                             for stage, place in (("statics", "0K"), ("phonons", "phonons"))}  # fmt: skip
    for kind, section in (("npt", config.npt), ("nvt", config.nvt)):
        runs = [(kelvin, _load(run_folder(folder, kind, kelvin) / "result.json")) for kelvin in section.temperatures_K]
        found[kind] = [{"temperature_K": kelvin} | run for kelvin, run in runs if run]
    pairs = [(size, kelvin) for size in config.efficiency.sizes for kelvin in config.efficiency.temperatures_K]
    timed = [(pair, _load(folder / "efficiency" / f"{pair[0]}-{pair[1]:g}K.json")) for pair in pairs]
    found["efficiency"] = [{"size": size, "temperature_K": kelvin} | run for (size, kelvin), run in timed if run]
    return found


def _load(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def difference_energy(statics: dict[str, Any]) -> float | None:
    """E(cubic) - E(tetragonal), eV/f.u."""
    cubic, tetragonal = ((statics[phase] or {}).get("energy_eV") for phase in PHASES)
    return None if cubic is None or tetragonal is None else cubic - tetragonal
