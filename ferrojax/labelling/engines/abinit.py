"""ABINIT: input file and the reading of its output. Only the files are tested."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.io.abinit import read_abinit_out, write_abinit_in
from pydantic import Field

from ferrojax.errors import FerrojaxError
from ferrojax.labelling import kpoints
from ferrojax.labelling.engines.base import Command, Program, need_program
from ferrojax.labelling.job import CalculationFailed, Job, Label
from ferrojax.sections import Section

LENGTH = 22.2  # Å; 6 k-points for axes of 3.70 to 4.44 Å
FUNCTIONALS = {"PBEsol": -116133, "PBE": 11, "LDA": 7}  # ixc


class AbinitSettings(Section):
    """Level of theory. cutoff: Ha; shifted: whether the mesh of k-points leaves Γ out.

    pseudopotentials: element -> file below $ABINIT_PP_PATH, default `X.psp8`; more: other variables.
    """

    cutoff: float = Field(45.0, gt=0)
    xc: str = "PBEsol"
    kpoint_length: float = Field(LENGTH, gt=0)
    shifted: bool = False
    toldfe: float = Field(1e-9, gt=0)
    max_iterations: int = Field(100, gt=0)
    pseudopotentials: dict[str, str] = {}
    more: dict[str, Any] = {}


class Abinit(Program):
    """Norm-conserving pseudopotentials; energy, forces, stress."""

    family = "abinit"
    provides = ("energy", "forces", "stress")
    Settings = AbinitSettings

    def check(self) -> None:
        """Raises FerrojaxError if the program or the pseudopotentials are missing."""
        need_program("abinit", "install ABINIT (Debian and Ubuntu: apt install abinit)")
        _pseudo_folder()

    def prepare(self, job: Job, folder: Path) -> list[Command]:
        """The input file."""
        chosen = self.settings
        if chosen.xc not in FUNCTIONALS:
            raise FerrojaxError(f"abinit: the functional {chosen.xc} is not known here; choose {', '.join(FUNCTIONALS)}.")
        species = sorted(set(job.atoms.numbers.tolist()))
        variables: dict[str, Any] = {"ecut": chosen.cutoff, "ixc": FUNCTIONALS[chosen.xc], "occopt": 1, **self._mesh(job)}
        variables |= {"toldfe": chosen.toldfe, "nstep": chosen.max_iterations, "optforces": 1, "optstress": 1}
        variables |= {"prtwf": 0, "prtden": 0, "prteig": 0, **chosen.more}
        with open(folder / "run.abi", "w") as file:
            write_abinit_in(file, job.atoms, param=variables, species=species, pseudos=[str(self._pseudopotential(z)) for z in species])
        return [Command(["abinit", "run.abi"], "abinit.log")]

    def read(self, job: Job, folder: Path) -> Label:
        """The label from run.abo, through ASE."""
        file = folder / "run.abo"
        text = file.read_text(errors="replace") if file.is_file() else ""
        if "Calculation completed." not in text:
            raise CalculationFailed(f"abinit: {file} is missing or ends too soon; see abinit.log there.")
        try:
            with open(file) as stream:
                results = read_abinit_out(stream)
        except RuntimeError as error:  # so ASE says that the field did not converge
            return Label({}, "unknown", False, self.settings.max_iterations, {"message": str(error).strip()})
        except (ValueError, IndexError, KeyError, StopIteration, AssertionError, UnboundLocalError) as error:
            raise CalculationFailed(f"abinit: {file} cannot be read ({type(error).__name__}: {error}).") from None
        atoms = results["atoms"]
        values = {"energy": results["energy"], "forces": np.asarray(results["forces"]), "stress": atoms.get_stress(voigt=False)}
        return Label(values, results["version"], True, text.count("\n ETOT"))

    def _mesh(self, job: Job) -> dict[str, Any]:
        """The mesh, in full: ASE's ``kpts`` would shift it off Γ along each axis with an even number."""
        size = kpoints.mesh(job.atoms.cell.array, self.settings.kpoint_length)
        shift = [0.5 if self.settings.shifted else 0.0] * 3
        return {"kptopt": 1, "ngkpt": " ".join(map(str, size)), "nshiftk": 1, "shiftk": " ".join(map(str, shift))}

    def _pseudopotential(self, number: int) -> Path:
        element = chemical_symbols[number]
        file = _pseudo_folder() / self.settings.pseudopotentials.get(element, f"{element}.psp8")
        if not file.is_file():
            raise FerrojaxError(f"abinit: {file} does not exist; name the pseudopotential of {element} in the settings.")
        return file


def _pseudo_folder() -> Path:
    folder = os.environ.get("ABINIT_PP_PATH")
    if not folder or not Path(folder).is_dir():
        raise FerrojaxError("abinit: ABINIT_PP_PATH names no folder; set it to that of the pseudopotentials.")
    return Path(folder).absolute()
