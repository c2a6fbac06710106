"""The configuration of `ferrojax design`; units stand in the names of the keys."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ferrojax.sections import Section

Name = Literal["xx", "yy", "zz", "yz", "xz", "xy"]
Quantity = Literal["barrier", "enthalpy", "polarization", "susceptibility", "piezoelectric", "strain", "stiffness", "flexoelectric"]
STRUCTURES = {"barrier": 2}  # of a quantity, if not one
AXES = {"polarization": 1, "susceptibility": 2, "strain": 2, "piezoelectric": 3, "flexoelectric": 4}  # letters of its component


class StructureConfig(Section):
    """A stationary point: ``file`` (what ASE reads) with a model, ``mode_A`` (of every cell) with the effective Hamiltonian."""

    file: str | None = None
    mode_A: tuple[float, float, float] | None = None
    saddle: bool = False
    free: tuple[Name, ...] = ()
    in_field: bool = True


class VariableConfig(Section):
    """Bounds and start: epitaxial, strain_xx ... strain_xy, field_x ... field_z (V/Å), mixing (with ``with``), thickness (cells)."""

    lower: float
    upper: float
    start: float
    other: str | None = Field(None, alias="with")


class QuantityConfig(Section):
    """A number: what, of which structures (barrier: saddle, minimum), and its component in letters, such as z, zz, zzz (d33)."""

    quantity: Quantity
    of: tuple[str, ...]
    component: str = Field("", pattern="^[xyz]*$")

    @model_validator(mode="after")
    def _whole(self) -> QuantityConfig:
        if len(self.of) != STRUCTURES.get(self.quantity, 1):
            raise ValueError(f"needs {STRUCTURES.get(self.quantity, 1)} structures in 'of' for {self.quantity}")
        if len(self.component) != AXES.get(self.quantity, 0):
            raise ValueError(f"needs {AXES.get(self.quantity, 0)} letters in 'component' for {self.quantity}")
        return self


class ConstraintConfig(QuantityConfig):
    """A quantity between bounds, of which one may be left out; ``scale``: a change of it that counts as large."""

    lower: float = -float("inf")
    upper: float = float("inf")
    scale: float = Field(1.0, gt=0)


class DesignConfig(Section):
    """`ferrojax design`: exactly one of ``effective`` (a parameter set) and ``model`` (a folder)."""

    effective: str | None = None
    model: str | None = None
    shape: tuple[int, int, int] = (1, 1, 1)
    strain: tuple[float, float, float, float, float, float] = (0.0,) * 6
    field_V_per_A: tuple[float, float, float] = (0.0,) * 3
    structures: dict[str, StructureConfig]
    variables: dict[str, VariableConfig]
    objective: QuantityConfig
    sense: Literal["minimise", "maximise"] = "minimise"
    constraints: dict[str, ConstraintConfig] = {}
    method: Literal["slsqp", "lbfgs", "adam"] = "slsqp"
    max_steps: int = Field(100, ge=1)
    output: str

    @model_validator(mode="after")
    def _complete(self) -> DesignConfig:
        if (self.effective is None) == (self.model is None):
            raise ValueError("needs exactly one of effective and model")
        for name, structure in self.structures.items():
            if (structure.file if self.model else structure.mode_A) is None:
                raise ValueError(f"needs {'file' if self.model else 'mode_A'} in structures.{name}")
        for quantity in (self.objective, *self.constraints.values()):
            for name in quantity.of:
                if name not in self.structures:
                    raise ValueError(f"names the structure '{name}', which is not among {', '.join(self.structures)}")
            if quantity.quantity == "flexoelectric" and not self.model:
                raise ValueError("needs a model for flexoelectric")
        return self
