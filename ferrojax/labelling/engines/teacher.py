"""Cheap teachers: a trained model, or any calculator of ASE. Their labels are never called first-principles labels."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import ase
import numpy as np
from ase.calculators.calculator import CalculationFailed as AseFailure
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

import ferrojax
from ferrojax.errors import FerrojaxError
from ferrojax.labelling.engines.base import Engine
from ferrojax.labelling.job import CalculationFailed, Job, Label, require_complete
from ferrojax.labelling.process import Stop
from ferrojax.sections import Section
from ferrojax.shipped import model_folder

OF_ASE = {"born_charges": "born_effective_charges"}  # properties that ASE calls otherwise


class Teacher(Engine):
    """A calculator of ASE, in the process of the worker: nothing to start, and compiled code is used again and again."""

    family = "teacher"
    _calculator: Calculator | None = None

    @property
    def dataset(self) -> str:
        """Says that this is no first-principles level of theory, and which teacher it is."""
        return f"teacher-{self.settings_hash[:8]}"

    def version(self) -> str:
        """Version of the program behind the calculator."""
        return f"ase {ase.__version__}"

    @abstractmethod
    def make(self) -> Calculator:
        """The calculator."""

    def check(self) -> None:
        """Raises FerrojaxError if the calculator cannot be made."""
        if self._calculator is None:
            self._calculator = self.make()

    def label(self, job: Job, folder: Path, stop: Stop) -> Label:
        """Ask the calculator; ``stop`` is not looked at."""
        self.check()
        atoms = job.atoms.copy()
        atoms.calc = self._calculator
        try:
            values = {name: _value(atoms, name) for name in job.properties}
        except PropertyNotImplementedError as error:
            raise CalculationFailed(f"{self.name}: the calculator does not give {error}; ask for other properties.") from None
        except FerrojaxError as error:
            raise CalculationFailed(f"{self.name}: {error}") from None
        except (AseFailure, ValueError, RuntimeError, ArithmeticError) as error:
            raise CalculationFailed(f"{self.name}: {type(error).__name__}: {error}".strip()) from None
        return require_complete(Label(values, self.version()), job)


class ModelSettings(Section):
    """sha256: of the model's parameters, filled in when jobs are added; dataset: whose reference energies to add, "" for none."""

    sha256: str = ""
    dataset: str | None = None


class ModelTeacher(Teacher):
    """``model:PATH``: a model folder of ferrojax."""

    provides = ("energy", "forces", "stress", "dipole", "born_charges", "polarizability")
    Settings = ModelSettings

    def __init__(self, name: str, settings: Mapping[str, Any] | str | Path | None = None, launcher: str = "") -> None:
        """Raises FerrojaxError if there is no such model, or not the one that the settings speak of."""
        self.folder = model_folder(name.partition(":")[2]).absolute()
        super().__init__(f"model:{self.folder}", settings, launcher)
        found = self._sha256()
        if self.settings.sha256 not in ("", found):
            raise FerrojaxError(f"{self.folder}: the model has changed since these jobs were added; put the old one back.")
        self.settings = self.settings.model_copy(update={"sha256": found})

    def version(self) -> str:
        """Version of ferrojax."""
        return f"ferrojax {ferrojax.__version__}"

    def make(self) -> Calculator:
        """The model as calculator, in float64 where JAX has it enabled."""
        from ferrojax.calculator import FerrojaxCalculator

        return FerrojaxCalculator.from_path(self.folder, dataset=self.settings.dataset)

    def _sha256(self) -> str:
        try:
            return hashlib.sha256((self.folder / "config.json").read_bytes()).hexdigest()  # holds the hash of the parameters too
        except OSError as error:
            raise FerrojaxError(f"{self.folder}: no model ({error.strerror}); give the folder of a trained model.") from None


class AseSettings(Section):
    """Arguments of the factory."""

    arguments: dict[str, Any] = {}


class AseTeacher(Teacher):
    """``ase:module:factory``: the calculator that ``factory(**arguments)`` of a module returns; modules here are found too."""

    provides: ClassVar[tuple[str, ...]] = ("energy", "forces", "stress", "dipole", "born_charges", "polarizability")
    Settings = AseSettings

    def make(self) -> Calculator:
        """The factory's calculator. Raises FerrojaxError if module or factory are not there."""
        _, module, factory = (*self.name.split(":"), "", "")[:3]
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            function = getattr(importlib.import_module(module), factory)
        except (ImportError, AttributeError, ValueError) as error:
            raise FerrojaxError(f"engine {self.name}: {error}; give ase:module:factory, a function that returns a calculator.") from None
        return function(**self.settings.arguments)


def _value(atoms: ase.Atoms, name: str) -> Any:
    value = np.asarray(atoms.calc.get_property(OF_ASE.get(name, name), atoms), np.float64)
    return voigt_6_to_full_3x3_stress(value) if name == "stress" and value.shape == (6,) else value
