"""VASP: input files and the reading of vasprun.xml. It is not ours to ship, so only the files are tested."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from ase.io import read
from ase.io.vasp import write_vasp
from ase.io.vasp_parsers.incar_writer import write_incar
from pydantic import Field

from ferrojax.errors import FerrojaxError
from ferrojax.labelling import kpoints
from ferrojax.labelling.engines.base import Command, Program, need_program
from ferrojax.labelling.job import CalculationFailed, Job, Label
from ferrojax.sections import Section
from ferrojax.units import EPSILON_0

LENGTH = 22.2  # Å; 6 k-points for axes of 3.70 to 4.44 Å
FUNCTIONALS = {"PBEsol": "PS", "PBE": "PE", "LDA": "CA"}  # the tag GGA
RESPONSE = ("born_charges", "polarizability")


class VaspSettings(Section):
    """Level of theory. cutoff: eV; potentials: element -> folder of its POTCAR, default the element's name; incar: more tags, or others.

    program: the executable. The folder of potentials, as ASE has it, is $VASP_PP_PATH/potpaw_PBE (potpaw for LDA).
    """

    cutoff: float = Field(600.0, gt=0)
    xc: str = "PBEsol"
    kpoint_length: float = Field(LENGTH, gt=0)
    ediff: float = Field(1e-7, gt=0)
    max_iterations: int = Field(100, gt=0)
    potentials: dict[str, str] = {}
    incar: dict[str, Any] = {}
    program: str = "vasp_std"


class Vasp(Program):
    """PAW; Born charges and ε∞ by density-functional perturbation theory (LEPSILON)."""

    family = "vasp"
    provides = ("energy", "forces", "stress", *RESPONSE)
    Settings = VaspSettings

    def check(self) -> None:
        """Raises FerrojaxError if the program or the potentials are missing."""
        need_program(self.settings.program, "load VASP's module, or name it under program")
        self._potentials()

    def prepare(self, job: Job, folder: Path) -> list[Command]:
        """INCAR, KPOINTS, POSCAR, POTCAR."""
        order = list(dict.fromkeys(job.atoms.symbols))
        atoms = job.atoms[_sorting(job)]
        with open(folder / "POSCAR", "w") as file:
            write_vasp(file, atoms, direct=True)
        write_incar(folder, self._incar(job))
        n1, n2, n3 = kpoints.mesh(job.atoms.cell.array, self.settings.kpoint_length)
        (folder / "KPOINTS").write_text(f"mesh\n0\nGamma\n{n1} {n2} {n3}\n0 0 0\n")
        (folder / "POTCAR").write_bytes(b"".join(self._potential(element) for element in order))
        return [Command([self.settings.program], "vasp.out")]

    def read(self, job: Job, folder: Path) -> Label:
        """The label from vasprun.xml, through ASE."""
        file = folder / "vasprun.xml"
        try:
            atoms = read(str(file), format="vasp-xml")
            version, iterations, limit = _facts(file)
        except (OSError, ValueError, IndexError, AttributeError, TypeError, KeyError, ElementTree.ParseError) as error:
            raise CalculationFailed(f"vasp: {file} is missing or cut short ({type(error).__name__}: {error}).") from None
        back = np.argsort(_sorting(job))
        results = atoms.calc.results
        values: dict[str, Any] = {"energy": results["energy"], "forces": results["forces"][back], "stress": atoms.get_stress(voigt=False)}
        if results.get("born_effective_charges") is not None:
            # VASP prints a row for each direction of the field: [atom, polarization, displacement].
            values["born_charges"] = results["born_effective_charges"][back]
        if results.get("dielectric_tensor") is not None:
            values["polarizability"] = (results["dielectric_tensor"] - np.eye(3)) * job.atoms.get_volume() * EPSILON_0
        return Label(values, version, iterations < limit, iterations)

    def _incar(self, job: Job) -> dict[str, Any]:
        chosen = self.settings
        if chosen.xc not in FUNCTIONALS:
            raise FerrojaxError(f"vasp: the functional {chosen.xc} is not known here; choose {', '.join(FUNCTIONALS)}.")
        tags = {"SYSTEM": "ferrojax", "PREC": "Accurate", "ENCUT": chosen.cutoff, "EDIFF": chosen.ediff, "NELM": chosen.max_iterations,
                "GGA": FUNCTIONALS[chosen.xc], "ISMEAR": 0, "SIGMA": 0.01, "LREAL": ".FALSE.", "LASPH": ".TRUE.", "ADDGRID": ".FALSE.",
                "NSW": 0, "IBRION": -1, "ISIF": 2, "LWAVE": ".FALSE.", "LCHARG": ".FALSE."}  # fmt: skip
        if set(RESPONSE) & set(job.properties):
            tags["LEPSILON"] = ".TRUE."
        return tags | chosen.incar

    def _potentials(self) -> Path:
        root = os.environ.get("VASP_PP_PATH")
        if not root:
            raise FerrojaxError("vasp: VASP_PP_PATH is not set; set it to the folder that holds potpaw_PBE.")
        return Path(root) / ("potpaw" if self.settings.xc == "LDA" else "potpaw_PBE")

    def _potential(self, element: str) -> bytes:
        file = self._potentials() / self.settings.potentials.get(element, element) / "POTCAR"
        try:
            return file.read_bytes()
        except OSError as error:
            raise FerrojaxError(f"{file}: {error.strerror}; name the potential of {element} under potentials.") from None


def _sorting(job: Job) -> np.ndarray:
    """Order of the atoms in which those of one element stand together, as VASP wants them."""
    order = list(dict.fromkeys(job.atoms.symbols))
    return np.argsort([order.index(symbol) for symbol in job.atoms.symbols], kind="stable")


def _facts(file: Path) -> tuple[str, int, int]:
    """Version, self-consistent iterations done and allowed."""
    root = ElementTree.parse(file).getroot()
    version = (root.findtext("generator/i[@name='version']") or "unknown").strip()
    limit = root.findtext(".//parameters//i[@name='NELM']")
    return version, len(root.findall("calculation/scstep")), int(limit or 10**9)
