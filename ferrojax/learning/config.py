"""The configuration of `ferrojax learn`; units stand in the names of the keys, in ASE's otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ferrojax.dynamics.config import StructureConfig
from ferrojax.learning.select import SelectConfig
from ferrojax.sections import Section, read_section
from ferrojax.shipped import data_path, model_folder
from ferrojax.training.config import LossConfig, OptimizerConfig, PotentialConfig
from ferrojax.training.config import StopConfig as TrainingLength

Bounds = tuple[float, float]
Vector = tuple[float, float, float]
STORED = "stored"  # engine that stands for labels which the explored files have already


class Source(Section):
    """Where structures are from, and how many; relaxed with the present model first if ``relax``."""

    structure: StructureConfig
    count: int = Field(50, ge=1)
    relax: bool = False


class FileSource(Section):
    """Candidates from a file or folder; with the engine "stored" their labels are kept out of sight until they are chosen."""

    kind: Literal["file"]
    path: str
    elements: list[str] | None = None
    max_atoms: int | None = Field(None, ge=1)


class StrainedSource(Source):
    """Random strains and displacements (``explore.strained``); rattle_A: standard deviation."""

    kind: Literal["strained"]
    strain: Bounds = (-0.03, 0.03)
    shear: Bounds = (-0.03, 0.03)
    rattle_A: float = Field(0.0, ge=0)


class ModesSource(Source):
    """Thermal displacements along all phonon modes of a supercell (``explore.mode_displaced``); relaxed first."""

    kind: Literal["modes"]
    relax: bool = True
    supercell: list[int] | list[list[int]] = [2, 2, 2]
    temperature_K: float = Field(300.0, gt=0)
    maximum_A: float | None = Field(None, gt=0)


class WallsSource(Source):
    """Rattled rows of cells with two 180° walls (``explore.domain_walls``); relaxed first."""

    kind: Literal["walls"]
    relax: bool = True
    cells: int = 4
    normal: int = 0
    axis: int = 2
    rattle_A: float = Field(0.05, ge=0)


class DynamicsSource(Section):
    """Molecular dynamics with the first member, one run for each temperature and pressure, side by side.

    temperatures_K, pressures_GPa: numbers, or [from, to] for a ramp over the run; field_kV_per_cm: three numbers, or two times three.
    time_ps: of the run. skip_ps: at its beginning, of which nothing is kept. go_on (on-the-fly learning): the run is interrupted, every
    every_fs it is looked at, where the members disagree, and the next round continues it until time_ps are over.
    """

    kind: Literal["md"]
    structure: StructureConfig
    temperatures_K: list[float | Bounds] = [300.0]
    pressures_GPa: list[float | Bounds] = [0.0]
    ensemble: Literal["npt", "nvt"] = "npt"
    time_step_fs: float = Field(1.0, gt=0)
    time_ps: float = Field(10.0, gt=0)
    every_fs: float = Field(50.0, gt=0)
    skip_ps: float = Field(1.0, ge=0)
    field_kV_per_cm: Vector | tuple[Vector, Vector] = (0.0, 0.0, 0.0)
    go_on: bool = False


class PathSource(Section):
    """Images of the minimum-energy path between two structures, relaxed by the first member."""

    kind: Literal["path"]
    initial: str
    final: str
    images: int = Field(9, ge=3)


Explore = Annotated[FileSource | StrainedSource | ModesSource | WallsSource | DynamicsSource | PathSource, Field(discriminator="kind")]


class LabelSection(Section):
    """Who labels. engine: as for `ferrojax label`, or "stored"; properties: by default those of energy, forces, stress and dipole that the
    engine gives; workers: calculations side by side; queue: by default labels.db in the output folder, another one may be shared by
    several loops. dataset: name of the labels, that of ``data`` if engine and settings are the same and so the zeros of energy; by
    default that of the engine and its settings."""

    engine: str = "gpaw"
    properties: list[str] | None = None
    dataset: str | None = None
    settings: dict[str, Any] = {}
    workers: int = Field(1, ge=1)
    launcher: str = ""
    queue: str | None = None


class EnoughSection(Section):
    """When to stop before the last round: share of the candidates that all members agree about, or force RMSE (meV/Å) on the
    validation frames; null switches one off."""

    accurate_share: float | None = Field(0.98, gt=0, le=1)
    force_rmse: float | None = Field(None, gt=0)


class LearnConfig(Section):
    """A loop of train, explore, select, label.

    data: labelled files to begin with. validation: labelled files that are never trained on; errors and calibration are measured there.
    members: models of the committee; with one, the last layer's posterior tells the uncertainty.
    model, loss, optimizer, length: of each training. warm_start: go on from the weights of the round before.
    """

    data: list[str] = Field(min_length=1)
    validation: list[str] = Field(min_length=1)
    elements: list[str] | None = None
    model: PotentialConfig = PotentialConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    length: TrainingLength
    members: int = Field(4, ge=1)
    warm_start: bool = False
    explore: list[Explore] = Field(min_length=1)
    select: SelectConfig
    label: LabelSection = LabelSection()
    rounds: int = Field(5, ge=1)
    enough: EnoughSection = EnoughSection()
    output: str
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> LearnConfig:
        if self.label.engine == STORED and any(source.kind != "file" for source in self.explore):
            raise ValueError('explores structures that have no labels with the engine "stored"; explore files only, or name an engine')
        goes_on = [source for source in self.explore if source.kind == "md" and source.go_on]
        if goes_on and self.select.low_eV_per_A is None:
            raise ValueError("has a dynamics with go_on, which stops at low_eV_per_A; give select that level")
        if any(len(source.temperatures_K) * len(source.pressures_GPa) > 1 for source in goes_on):
            raise ValueError("has a dynamics with go_on and several temperatures or pressures; give it one of each")
        if any(source.skip_ps and "skip_ps" in source.model_fields_set for source in goes_on):
            raise ValueError("has a dynamics with go_on and skip_ps, but such a run is looked at from its first step on; leave skip_ps out")
        if self.select.by == "d-optimal" and self.members > 1:
            raise ValueError("selects by d-optimal, which needs the last layer's posterior, with a committee; give members: 1")
        return self


def load_learn_config(source: str | Path | dict[str, Any]) -> LearnConfig:
    """Configuration from a YAML file or a dictionary; relative paths of a file are made absolute.

    Raises FerrojaxError, one sentence that names the field and the remedy.
    """
    config, base = read_section(LearnConfig, source)
    return config if isinstance(source, dict) else _with_absolute_paths(config, base.absolute())


def _with_absolute_paths(config: LearnConfig, base: Path) -> LearnConfig:
    start, queue, engine = config.model.start_from, config.label.queue, config.label.engine
    if engine.startswith("model:"):
        engine = f"model:{model_folder(engine.removeprefix('model:'), base)}"
    return config.model_copy(
        update={
            "data": [str(data_path(path, base)) for path in config.data],
            "validation": [str(data_path(path, base)) for path in config.validation],
            "model": config.model.model_copy(update={"start_from": start and str(model_folder(start, base))}),
            "label": config.label.model_copy(update={"engine": engine, "queue": queue and str(base / queue)}),
            "explore": [_explore_at(source, base) for source in config.explore],
            "output": str(base / config.output),
        }
    )


def _explore_at(source: Any, base: Path) -> Any:
    named = {name: str(base / getattr(source, name)) for name in ("path", "initial", "final") if getattr(source, name, None)}
    structure = getattr(source, "structure", None)
    if structure is not None and structure.file is not None:
        named["structure"] = structure.model_copy(update={"file": str(base / structure.file)})
    return source.model_copy(update=named)
