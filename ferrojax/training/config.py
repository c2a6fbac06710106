"""The training configuration: one small YAML file, checked field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ferrojax.sections import Section, read_section
from ferrojax.shipped import data_path, model_folder
from ferrojax.training.loss import DELTAS, WEIGHTS, LossSettings


class DataConfig(Section):
    """One source of frames.

    path: file or folder, relative to the configuration file, or the name of a data set of the package, as pbtio3-v1.
    dataset: name under which reference energies are fitted; by default the reader's.
    keys: label -> key in the file, where the usual aliases do not do.
    weight: factor on all its labels. elements: keep only frames made of these.
    systems, exclude: keep, or leave out, systems of these names. max_atoms: keep frames up to this size.
    validation: share of the frames held out (below 1) or their number. split_by: hold out single frames or whole systems.
    max_frames: train on so many of the others, drawn at random; a larger number adds frames to those of a smaller one.
    """

    path: str
    dataset: str | None = None
    keys: dict[str, str] = {}
    weight: float = Field(1.0, gt=0)
    elements: list[str] | None = None
    systems: list[str] | None = None
    exclude: list[str] = []
    max_atoms: int | None = Field(None, ge=1)
    validation: float = Field(0.1, ge=0)
    split_by: Literal["frame", "system"] = "frame"
    max_frames: int | None = Field(None, ge=1)


class PotentialConfig(Section):
    """The model: a preset and changes to it.

    elements: by default those of the data. formal_charges: integer charge of elements, e; usual oxidation states by default.
    eps_inf: electronic dielectric constant, at which a new model also starts to polarize. changes: other settings.
    start_from: folder of a trained model to go on from, relative to the configuration file, or a shipped model's name; it gives
    preset, changes, elements and, unless they are given, eps_inf and formal_charges. Elements it lacks are added to it.
    heads: data sets that get an energy readout of their own, or true for all. head: the one that becomes the model, by default the first.
    """

    preset: Literal["fast", "accurate"] = "fast"
    elements: list[str] | None = None
    formal_charges: dict[str, int] = {}
    eps_inf: float = Field(6.0, ge=1)
    changes: dict[str, int | float] = {}
    start_from: str | None = None
    heads: list[str] | bool = False
    head: str | None = None


class LabelValues(Section):
    """One number for each label; null keeps the default, in the units of LossSettings."""

    energy: float | None = Field(None, ge=0)
    forces: float | None = Field(None, ge=0)
    stress: float | None = Field(None, ge=0)
    dipole: float | None = Field(None, ge=0)
    born_charges: float | None = Field(None, ge=0)
    polarizability: float | None = Field(None, ge=0)


class LossConfig(Section):
    """weights of the labels (0 switches one off) and widths of the Huber function."""

    weights: LabelValues = LabelValues()
    deltas: LabelValues = LabelValues()

    @property
    def settings(self) -> LossSettings:
        """Weights and widths with the defaults filled in."""
        return LossSettings(
            weights=WEIGHTS | self.weights.model_dump(exclude_none=True), deltas=DELTAS | self.deltas.model_dump(exclude_none=True)
        )


class OptimizerConfig(Section):
    """Adam with linear warm-up (steps) and a cosine down to ``floor`` of the peak rate; ema: decay a step; clip: gradient norm.

    rates: factor on the rate of parameters by name pattern, as in rate_factors; 0 freezes them.
    """

    peak_rate: float = Field(5e-3, gt=0, lt=1)
    warmup_steps: int = Field(200, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    floor: float = Field(1e-3, ge=0, le=1)
    clip: float = Field(10.0, gt=0)
    ema: float = Field(0.995, ge=0, lt=1)
    batch_size: int = Field(8, ge=1)
    weight_decay: float = Field(0.0, ge=0)
    rates: dict[str, Annotated[float, Field(ge=0)]] = {}


class StopConfig(Section):
    """The length of the training: exactly one of epochs, steps, minutes (from the first step, after compiling)."""

    epochs: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def one(self) -> StopConfig:
        if sum(x is not None for x in (self.epochs, self.steps, self.minutes)) != 1:
            raise ValueError("give exactly one of epochs, steps and minutes")
        return self


class OutputConfig(Section):
    """folder, relative to the configuration file; a checkpoint is written every so many minutes and the last ``keep`` are kept.

    validate_every: epochs; by default as many as make 100 steps.
    """

    folder: str
    checkpoint_minutes: float = Field(5.0, ge=0)
    keep: int = Field(2, ge=1)
    validate_every: int | None = Field(None, ge=1)


class TrainConfig(Section):
    """A whole training."""

    data: list[DataConfig] = Field(min_length=1)
    model: PotentialConfig = PotentialConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    stop: StopConfig
    output: OutputConfig
    seed: int = Field(0, ge=0)
    devices: int | None = Field(None, ge=1)
    max_buckets: int = Field(3, ge=1)


def load_config(source: str | Path | dict[str, Any]) -> TrainConfig:
    """Configuration from a YAML file or a dictionary; relative paths of a file are made absolute.

    Raises FerrojaxError, one sentence that names the field and the remedy.
    """
    config, base = read_section(TrainConfig, source)
    return config if isinstance(source, dict) else _with_absolute_paths(config, base.absolute())


def _with_absolute_paths(config: TrainConfig, base: Path) -> TrainConfig:
    data = [d.model_copy(update={"path": str(data_path(d.path, base))}) for d in config.data]
    output = config.output.model_copy(update={"folder": str(base / config.output.folder)})
    start = config.model.start_from
    model = config.model.model_copy(update={"start_from": start and str(model_folder(start, base))})
    return config.model_copy(update={"data": data, "model": model, "output": output})
