"""The protocol of the PTO-test; the defaults are the published one, units stand in the names of the keys."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ferrojax.analysis.series import FEWEST
from ferrojax.sections import Section, read_section

Kelvins = tuple[float, ...]
HEATING: Kelvins = (300.0, 400.0, 500.0, 600.0, 700.0, 800.0, 900.0, 1000.0)


class Statics(Section):
    """Relaxation at 0 K. force_tolerance: of atoms and, as in ASE's cell filters, of the cell."""

    cubic_a_A: float = Field(3.92167, gt=0)
    force_tolerance_eV_per_A: float = Field(1e-3, gt=0)
    max_steps: int = Field(500, ge=1)


class PhononsSection(Section):
    """Finite displacements in a supercell; ``points`` on each segment of the path."""

    supercell: tuple[int, int, int] = (2, 2, 2)
    displacement_A: float = Field(0.01, gt=0)
    points: int = Field(101, ge=2)


class Dynamics(Section):
    """What both sweeps share. discard: share of the records left out of the averages; every: steps between records."""

    repeat: tuple[int, int, int] = (5, 5, 5)
    time_step_fs: float = Field(2.0, gt=0)
    steps: int = Field(50_000, ge=1)
    discard: float = Field(0.5, ge=0, lt=1)
    every: int = Field(10, ge=1)
    precision: Literal["float32", "float64"] = "float32"
    checkpoint_seconds: float = Field(60.0, ge=0)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _enough(self) -> Dynamics:
        if (self.steps // self.every) * (1 - self.discard) < FEWEST + 1:
            raise ValueError(f"needs more than {FEWEST} records to average; raise steps, or lower every or discard")
        return self


class Npt(Section):
    """Constant stress, three edges free. pfactor_fs: of ase.md.npt.NPT, times ase.units.fs (eV/Å³ in ASE's time squared)."""

    temperatures_K: Kelvins = HEATING
    thermostat_fs: float = Field(25.0, gt=0)
    pfactor_fs: float = Field(5625.0, gt=0)


class Nvt(Section):
    """Langevin dynamics in the cell of the experiment at room temperature."""

    temperatures_K: Kelvins = HEATING
    a_A: float = Field(3.90, gt=0)
    c_A: float = Field(4.15, gt=0)
    friction_per_fs: float = Field(0.01, gt=0)


class Efficiency(Section):
    """Constant-stress steps of S x S x S cells."""

    sizes: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    temperatures_K: Kelvins = (300.0, 500.0, 700.0)
    steps: int = Field(500, ge=1)


class BornCharges(Section):
    """Cubic PbTiO3, e: of Pb, Ti, and O along and across its Ti-O bond. Their sum is shared out to be zero."""

    Pb: float = 3.90
    Ti: float = 7.06
    O_along: float = -5.83
    O_across: float = -2.56


class Criteria(Section):
    """When the test is passed. cubic_below: mean c/a; lindemann: rms displacement over the Ti-O distance, from where a run has melted."""

    ca_300K: tuple[float, float] = (1.03, 1.10)
    transition_K: tuple[float, float] = (500.0, 800.0)
    lowest_phonon_per_cm: float = -20.0
    cubic_below: float = Field(1.01, gt=1)
    lindemann: float = Field(0.3, gt=0)


class PtoTestConfig(Section):
    """The whole protocol. calculator_arguments: of the ASE calculator."""

    statics: Statics = Statics()
    phonons: PhononsSection = PhononsSection()
    dynamics: Dynamics = Dynamics()
    npt: Npt = Npt()
    nvt: Nvt = Nvt()
    efficiency: Efficiency = Efficiency()
    born_charges: BornCharges = BornCharges()
    criteria: Criteria = Criteria()
    calculator_arguments: dict[str, Any] = {}

    def departures(self) -> list[str]:
        """Settings that are not the protocol's, as "npt.steps 500 (protocol: 50000)"; what does not change results is left out."""
        standard, found = PtoTestConfig(), []
        for name in ("statics", "phonons", "dynamics", "npt", "nvt", "efficiency", "criteria"):
            mine, theirs = getattr(self, name), getattr(standard, name)
            for key in type(mine).model_fields:
                value, reference = getattr(mine, key), getattr(theirs, key)
                if value != reference and key not in ("seed", "checkpoint_seconds", "precision"):
                    found.append(f"{name}.{key} {_plain(value)} (protocol: {_plain(reference)})")
        return found


def read_config(path: Path | None = None, short: bool = False) -> PtoTestConfig:
    """The protocol, the shortened one, or that of a YAML file. Raises FerrojaxError for a wrong key or value."""
    with_package: Any = files("ferrojax.pto_test") / "short.yaml"
    source = path or (Path(with_package) if short else None)
    return read_section(PtoTestConfig, source)[0] if source else PtoTestConfig()


def _plain(value: Any) -> str:
    return " ".join(f"{x:g}" for x in value) if isinstance(value, tuple) else f"{value:g}"
