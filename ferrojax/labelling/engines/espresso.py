"""Quantum ESPRESSO: pw.x for energy, forces and stress, ph.x for Born charges, ε∞ and the force constants at Γ."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.io.espresso import write_espresso_in
from pydantic import Field

import ferrojax
from ferrojax.errors import FerrojaxError
from ferrojax.labelling import kpoints
from ferrojax.labelling.engines import espresso_output as output
from ferrojax.labelling.engines.base import Command, Program, need_program
from ferrojax.labelling.job import Job, Label
from ferrojax.sections import Section
from ferrojax.units import EPSILON_0

LENGTH = 22.2  # Å; 6 k-points for axes of 3.70 to 4.44 Å
PW, PH, DYNAMICAL = "pw.out", "ph.out", "ferrojax.dyn"
INSTALL = "install Quantum ESPRESSO (Debian and Ubuntu: apt install quantum-espresso)"
RESPONSE = ("born_charges", "polarizability", "force_constants")
MADE_FOR = "PBEsol"  # the functional of the pseudopotentials that make dft fetches
FUNCTIONALS = {"PBEsol": "PBESOL", "PBE": "PBE", "LDA": "sla+pw+nogx+nogc"}  # input_dft; the LDA is that of GPAW and ABINIT
# The standard Pb (14 electrons, not 22) makes the well of PbTiO3 18 meV too shallow.
PSEUDOPOTENTIALS = {"Pb": "stringent-Pb.upf"}


class EspressoSettings(Section):
    """Level of theory. cutoff: Ry, of the waves (of the density four times that); shifted: whether the mesh of k-points leaves Γ out.

    pseudopotentials: element -> file in the folder of pseudopotentials; `standard-X.upf` for elements that are not listed.
    xc: another one than PBEsol needs a pseudopotential listed for each element, as `standard-X.upf` is for PBEsol.
    phonon_threshold: of ph.x's self-consistent field.
    """

    cutoff: float = Field(80.0, gt=0)
    xc: str = MADE_FOR
    kpoint_length: float = Field(LENGTH, gt=0)
    shifted: bool = True
    conv_thr: float = Field(1e-10, gt=0)
    phonon_threshold: float = Field(1e-14, gt=0)
    mixing: float = Field(0.3, gt=0, le=1)  # the program's 0.7 hardly converges here
    max_iterations: int = Field(100, gt=0)
    pseudopotentials: dict[str, str] = PSEUDOPOTENTIALS


class Espresso(Program):
    """Norm-conserving pseudopotentials; fixed occupations, so for insulators."""

    family = "espresso"
    provides = ("energy", "forces", "stress", *RESPONSE)
    bulky = ("scratch",)
    Settings = EspressoSettings

    def __init__(self, name: str, settings: Mapping[str, Any] | str | Path | None = None, launcher: str = "") -> None:
        """Raises FerrojaxError for settings that are not known or out of range, and for a functional without pseudopotentials."""
        super().__init__(name, settings, launcher)
        xc = self.settings.xc
        if xc not in FUNCTIONALS:
            raise FerrojaxError(f"espresso: the functional {xc} is not known here; choose {', '.join(FUNCTIONALS)}.")
        if xc != MADE_FOR and not self._chosen:
            raise FerrojaxError(f"espresso: xc is {xc}, but the pseudopotentials are for {MADE_FOR}; name some for {xc} in the settings.")

    @property
    def _chosen(self) -> bool:
        """Whether the settings name pseudopotentials of their own."""
        return self.settings.pseudopotentials != PSEUDOPOTENTIALS

    def check(self) -> None:
        """Raises FerrojaxError if a program or the pseudopotentials are missing."""
        need_program("pw.x", INSTALL)
        need_program("ph.x", INSTALL)
        pseudo_folder()

    def prepare(self, job: Job, folder: Path) -> list[Command]:
        """Inputs of pw.x and, for responses, of ph.x."""
        self._write_scf(job, folder)
        commands = [Command(["pw.x", "-in", "pw.in"], PW)]
        if set(RESPONSE) & set(job.properties):
            (folder / "ph.in").write_text(self._phonon_input(job))
            commands.append(Command(["ph.x", "-in", "ph.in"], PH))
        return commands

    def read(self, job: Job, folder: Path) -> Label:
        """The label from pw.out, ph.out and the dynamical matrix."""
        text = output.whole(folder / PW)
        details = {"kpoints": self._mesh(job), "pseudopotentials": self._pseudopotentials(job)}
        version, iterations = output.read_version(text), output.read_iterations(text)
        if "convergence NOT achieved" in text:
            return Label({}, version, False, iterations, details)
        values: dict[str, Any] = output.read_scf(folder / PW)
        if set(RESPONSE) & set(job.properties):
            phonon, atoms = output.whole(folder / PH), len(job.atoms)
            values["born_charges"] = output.read_born_charges(phonon, atoms)
            values["polarizability"] = (output.read_dielectric(phonon) - np.eye(3)) * job.atoms.get_volume() * EPSILON_0
            if "force_constants" in job.properties:
                values["force_constants"] = output.read_force_constants((folder / DYNAMICAL).read_text(), atoms)
        return Label(values, version, True, iterations, details)

    def _write_scf(self, job: Job, folder: Path) -> None:
        chosen = self.settings
        parameters: dict[str, dict[str, Any]] = {
            "control": {"calculation": "scf", "prefix": "ferrojax", "outdir": "./scratch", "pseudo_dir": str(pseudo_folder()),
                        "tprnfor": True, "tstress": True},
            "system": {"ecutwfc": chosen.cutoff, "occupations": "fixed"},
            "electrons": {"conv_thr": chosen.conv_thr, "mixing_beta": chosen.mixing, "electron_maxstep": chosen.max_iterations},
        }  # fmt: skip
        if self._chosen:  # else pw.x takes the functional from the pseudopotentials, and theirs is PBEsol
            parameters["system"]["input_dft"] = FUNCTIONALS[chosen.xc]
        with open(folder / "pw.in", "w") as file:
            write_espresso_in(
                file, job.atoms, input_data=parameters, pseudopotentials=self._pseudopotentials(job),
                kpts=self._mesh(job), koffset=(int(chosen.shifted),) * 3,
            )  # fmt: skip

    def _phonon_input(self, job: Job) -> str:
        modes = "force_constants" in job.properties
        # zeu: Born charges from the forces in a field, [polarization, displacement]; it comes with epsil.
        lines = ["prefix = 'ferrojax'", "outdir = './scratch'", f"fildyn = '{DYNAMICAL}'", "epsil = .true.", "zeu = .true."]
        lines += [f"trans = .{'true' if modes else 'false'}.", f"tr2_ph = {self.settings.phonon_threshold:.1e}"]
        return "response at the zone centre\n&inputph\n  " + "\n  ".join(lines) + "\n/\n0.0 0.0 0.0\n"

    def _mesh(self, job: Job) -> tuple[int, int, int]:
        return kpoints.mesh(job.atoms.cell.array, self.settings.kpoint_length)

    def _pseudopotentials(self, job: Job) -> dict[str, str]:
        return {element: self._pseudopotential(element) for element in sorted(set(job.atoms.symbols))}

    def _pseudopotential(self, element: str) -> str:
        xc, named, standard = self.settings.xc, self.settings.pseudopotentials, f"standard-{element}.upf"
        if xc != MADE_FOR and element not in named:
            raise FerrojaxError(f"espresso: xc is {xc}, but {standard} is for {MADE_FOR}; name one of {element} for {xc} in the settings.")
        name, folder = named.get(element, standard), pseudo_folder()
        if not (folder / name).is_file():
            remedy = f"run make dft, or put one of {element} there and name it in the settings"
            raise FerrojaxError(f"espresso: {folder} holds no {name}; {remedy}.")
        return name


def pseudo_folder() -> Path:
    """Folder of the pseudopotentials: $FERROJAX_PSEUDO, else `.venv-dft/pseudo`. Raises FerrojaxError if there is none."""
    named = os.environ.get("FERROJAX_PSEUDO")
    roots = [Path(named)] if named else [root / ".venv-dft" / "pseudo" for root in (Path.cwd(), Path(ferrojax.__file__).parent.parent)]
    for folder in roots:
        if folder.is_dir():
            return folder.absolute()
    raise FerrojaxError(f"espresso: there are no pseudopotentials in {roots[0]}; run make dft, or set FERROJAX_PSEUDO to their folder.")
