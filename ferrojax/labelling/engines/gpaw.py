"""GPAW: energy, forces, stress and the Berry-phase dipole. It runs in an environment of its own (`make dft`)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

import ferrojax
from ferrojax.errors import FerrojaxError
from ferrojax.labelling import kpoints
from ferrojax.labelling.engines.base import Command, Program
from ferrojax.labelling.job import CalculationFailed, Job, Label
from ferrojax.labelling.process import Stop
from ferrojax.sections import Section

SCRIPT = Path(__file__).parent.parent / "gpaw_job.py"
DETAILS = ("berry_phase", "gap", "ranks", "wall_seconds", "versions")  # of the label, kept with its provenance
INPUT, OUTPUT, LOG = "job.json", "label.json", "gpaw.txt"
MADE_FOR = "PBEsol"  # the functional of the PAW sets that make dft makes
LENGTH = 18.5  # Å; 5 k-points for axes of 3.70 to 4.62 Å, 3 for 6.17 to 9.25 Å


class GpawSettings(Section):
    """Level of theory. cutoff: eV; kpoint_length: see ``kpoints.mesh``; shifted: whether the mesh of k-points leaves Γ out;
    density, eigenstates: GPAW's convergence criteria."""

    cutoff: float = Field(800.0, gt=0)
    xc: str = MADE_FOR
    kpoint_length: float = Field(LENGTH, gt=0)
    shifted: bool = False
    density: float = Field(1e-5, gt=0)
    eigenstates: float = Field(4e-8, gt=0)
    max_iterations: int = Field(150, gt=0)


class Gpaw(Program):
    """Plane waves and PAW sets made for the functional; fixed occupations, so for insulators."""

    family = "gpaw"
    provides = ("energy", "forces", "stress", "dipole")
    Settings = GpawSettings

    def plain_settings(self) -> dict[str, Any]:
        """As of every engine, without ``shifted`` where it is not: labels made before it could be chosen keep their data set."""
        return {name: value for name, value in super().plain_settings().items() if name != "shifted" or value}

    def check(self) -> None:
        """Raises FerrojaxError if there is no environment with GPAW."""
        find_python()

    def prepare(self, job: Job, folder: Path) -> list[Command]:
        """The job as JSON, and the script that does it."""
        text = {
            "numbers": job.atoms.numbers.tolist(),
            "positions": job.atoms.positions.tolist(),
            "cell": job.atoms.cell.array.tolist(),
            "kpoints": kpoints.mesh(job.atoms.cell.array, self.settings.kpoint_length),
            "shifted": self.settings.shifted,
            "properties": list(job.properties),
            "settings": dict(job.settings),
            "log": LOG,
        }
        (folder / INPUT).write_text(json.dumps(text))
        python = find_python()
        return [Command([str(python), str(SCRIPT), INPUT, OUTPUT], "gpaw.log", self._environment(python))]

    def label(self, job: Job, folder: Path, stop: Stop) -> Label:
        """As of every engine; what the script says of a failure is worth more than the last words of mpirun."""
        try:
            return super().label(job, folder, stop)
        except CalculationFailed:
            if (folder / OUTPUT).exists():
                self.read(job, folder)
            raise

    def read(self, job: Job, folder: Path) -> Label:
        """The label that the script wrote."""
        try:
            found: dict[str, Any] = json.loads((folder / OUTPUT).read_text())
        except (OSError, ValueError):
            raise CalculationFailed(f"gpaw: there is no label in {folder}; see {LOG} and gpaw.log there.") from None
        if "error" in found:
            raise CalculationFailed(self._reason(" ".join(found["error"].split()), folder))
        values = {name: np.array(found[name]) for name in self.provides if name in found}
        details: dict[str, Any] = {name: found[name] for name in DETAILS if name in found}
        details["kpoints"] = kpoints.mesh(job.atoms.cell.array, self.settings.kpoint_length)
        return Label(values, found["versions"]["gpaw"], bool(found["converged"]), int(found["iterations"]), details)

    def _reason(self, error: str, folder: Path) -> str:
        """Why there is no label, from what the script says."""
        missing = re.search(r'PAW dataset file "?([A-Z][a-z]?)\.', error)
        if not missing:
            return f"gpaw: {error}; see {folder / LOG}."
        element, xc = missing[1], self.settings.xc
        remedy = f"run make dft ELEMENTS={element}" if xc == MADE_FOR else "put one into the folder that GPAW_SETUP_PATH names"
        return f"gpaw: there is no PAW set of {element} for {xc}; {remedy}, then ferrojax label retry."

    def _environment(self, python: Path) -> dict[str, str]:
        """Where GPAW finds its PAW sets and, under a launcher, that it is to use MPI; what the user has set himself stays."""
        wanted = {"GPAW_SETUP_PATH": str(python.parent.parent / "setups")} if (python.parent.parent / "setups").is_dir() else {}
        if self.launcher:
            wanted["GPAW_MPI_BACKEND"] = "cgpaw"
        return {name: value for name, value in wanted.items() if name not in os.environ}


def find_python() -> Path:
    """Interpreter of the environment with GPAW: $FERROJAX_DFT_PYTHON, else `.venv-dft` beside the package or here.

    Raises FerrojaxError if there is none.
    """
    named = os.environ.get("FERROJAX_DFT_PYTHON")
    if named:
        if not Path(named).is_file():
            raise FerrojaxError(f"FERROJAX_DFT_PYTHON: {named} does not exist; name the python of an environment with GPAW.")
        return Path(named).absolute()
    for root in (Path.cwd(), Path(ferrojax.__file__).parent.parent):
        python = root / ".venv-dft" / "bin" / "python"
        if python.is_file():
            return python
    raise FerrojaxError("gpaw: there is no .venv-dft; run make dft, or set FERROJAX_DFT_PYTHON to the python of an environment with GPAW.")
