"""The configurations of `ferrojax md` and `ferrojax loop`; units stand in the names of the keys."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from ferrojax.dynamics.protocols import Constant, Protocol, Ramp, Sine, Triangle, join
from ferrojax.sections import Section

Vector = tuple[float, float, float]
Number = float | list[float] | list[list[float]]


class Wave(Section):
    """A periodic value: its amplitude, in the unit of the key above, and period."""

    amplitude: Number
    period_ps: float = Field(gt=0)


class Piece(Section):
    """A stretch of time and exactly one of: value; start and end (a ramp); sine; triangle."""

    from_ps: float | None = None
    from_fs: float | None = None
    to_ps: float | None = None
    to_fs: float | None = None
    value: Number | None = None
    start: Number | None = None
    end: Number | None = None
    sine: Wave | None = None
    triangle: Wave | None = None

    @model_validator(mode="after")
    def _complete(self) -> Piece:
        for ends in (("from_ps", "from_fs"), ("to_ps", "to_fs")):
            if sum(getattr(self, name) is not None for name in ends) != 1:
                raise ValueError(f"needs exactly one of {ends[0]} and {ends[1]}")
        if (self.start is None) != (self.end is None):
            raise ValueError("needs both start and end for a ramp")
        if sum(x is not None for x in (self.value, self.start, self.sine, self.triangle)) != 1:
            raise ValueError("needs exactly one of value, start with end, sine, triangle")
        return self

    def protocol(self, unit: float) -> tuple[float, float, Protocol]:
        """(from, to, protocol) in fs, values times ``unit``."""
        begin, end = (_femtoseconds(self, side) for side in ("from", "to"))
        if self.value is not None:
            return begin, end, Constant(scaled(self.value, unit))
        if self.start is not None:
            return begin, end, Ramp(scaled(self.start, unit), scaled(self.end, unit), duration=end - begin)
        kind, wave = (Sine, self.sine) if self.sine else (Triangle, self.triangle)
        assert wave is not None
        return begin, end, kind(scaled(wave.amplitude, unit), 1e3 * wave.period_ps)


def _femtoseconds(piece: Piece, side: str) -> float:
    fs, ps = getattr(piece, f"{side}_fs"), getattr(piece, f"{side}_ps")
    return fs if ps is None else 1e3 * ps


Value = float | list[Piece] | list[float] | list[list[float]]


def as_value(value: Value, unit: float, name: str) -> Any:
    """A number, an array or a Sequence of pieces, times ``unit``. Raises FerrojaxError for gaps and overlaps."""
    if isinstance(value, list) and value and isinstance(value[0], Piece):
        return join([piece.protocol(unit) for piece in value], name)
    return scaled(value, unit)


def scaled(value: Any, unit: float) -> Any:
    """Numbers, however nested, times ``unit``."""
    return tuple(scaled(x, unit) for x in value) if isinstance(value, list | tuple) else value * unit


class PerovskiteConfig(Section):
    """A unit cell ABX3: elements [A, B, X], edges a and c (c = a unless given) in Å; B displaced by ``shift_A`` along z."""

    elements: tuple[str, str, str]
    a_A: float = Field(gt=0)
    c_A: float | None = Field(None, gt=0)
    shift_A: float = 0.0


class StructureConfig(Section):
    """Where the atoms are from: exactly one of ``file`` (what ASE reads, last frame) and ``perovskite``; repeated along a, b, c."""

    file: str | None = None
    perovskite: PerovskiteConfig | None = None
    repeat: tuple[int, int, int] = (1, 1, 1)

    @model_validator(mode="after")
    def _one(self) -> StructureConfig:
        if (self.file is None) == (self.perovskite is None):
            raise ValueError("needs exactly one of file and perovskite")
        if min(self.repeat) < 1:
            raise ValueError("needs whole numbers above zero in repeat")
        return self


class IntegratorConfig(Section):
    """The ensemble. friction: langevin and npt-langevin; tau: nose-hoover and npt; tau_cell: npt and npt-langevin;
    cell (what may change; see NPT): npt and npt-langevin. What is left out has the default of the Python class."""

    name: Literal["nve", "langevin", "nose-hoover", "npt", "npt-langevin"]
    time_step_fs: float = 1.0
    friction_per_fs: float | None = None
    friction_cell_per_fs: float | None = None
    tau_fs: float | None = None
    tau_cell_fs: float | None = None
    cell: str | None = None


class OutputConfig(Section):
    """folder, relative to the configuration file; the rest as in ferrojax.dynamics.Output, with steps ``every`` record."""

    folder: str
    every: int = 20
    trajectory: Literal["h5md", "extxyz", "none"] = "h5md"
    log: Literal["csv", "parquet"] = "csv"
    velocities: bool = False
    forces: bool = False
    checkpoint_seconds: float = Field(60.0, ge=0)


class Simulation(Section):
    """What both commands need. temperature_K and stress_GPa (outside, tension positive; a number, six Voigt components or a matrix)
    may be numbers or lists of pieces; boundary: "E" or "D" held on each axis; skin_A: of the neighbour list."""

    model: str
    structure: StructureConfig
    integrator: IntegratorConfig
    output: OutputConfig
    temperature_K: Value | None = None
    initial_temperature_K: float | None = None
    stress_GPa: Value = 0.0
    strain: Value | None = None
    boundary: tuple[Literal["E", "D"], Literal["E", "D"], Literal["E", "D"]] = ("E", "E", "E")
    precision: Literal["float32", "float64"] = "float32"
    skin_A: float = Field(2.0, gt=0)
    seed: int = Field(0, ge=0)


class MdConfig(Simulation):
    """`ferrojax md`: a length, as steps or time_ps, and a field in V/Å or kV/cm, a vector or a list of pieces."""

    steps: int | None = None
    time_ps: float | None = None
    field_V_per_A: Value | None = None
    field_kV_per_cm: Value | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> MdConfig:
        if (self.steps is None) == (self.time_ps is None):
            raise ValueError("needs exactly one of steps and time_ps")
        if self.field_V_per_A is not None and self.field_kV_per_cm is not None:
            raise ValueError("needs at most one of field_V_per_A and field_kV_per_cm")
        return self


class CycleConfig(Section):
    """A triangular field: amplitude along a Cartesian direction, period, and how many cycles to average over."""

    amplitude_kV_per_cm: float = Field(gt=0)
    direction: Vector = (0.0, 0.0, 1.0)
    period_ps: float = Field(gt=0)
    cycles: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _long_enough(self) -> CycleConfig:
        if not any(self.direction):
            raise ValueError("needs a direction other than 0 0 0")
        return self


class LoopConfig(Simulation):
    """`ferrojax loop`: the field of a P-E loop."""

    loop: CycleConfig
