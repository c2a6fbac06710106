"""Parameters of the effective Hamiltonian, and the records they are read from."""

from __future__ import annotations

import dataclasses
import math
from importlib.resources import files
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
import yaml
from flax import struct
from jaxtyping import Array, Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ferrojax.errors import FerrojaxError
from ferrojax.units import COULOMB

KAPPA_TOLERANCE = 1e-6  # eV/Å²


class HeffParams(struct.PyTreeNode):
    """Every number of the Hamiltonian, a differentiable leaf each; eV, Å, e, amu.

    a0: lattice constant. charge: Z*. eps_inf: ε∞. kappa2 ... k4: on-site. j: j1 to j7.
    b11, b12, b44: elastic constants times a0³. b1xx, b1yy, b4yz: strain-mode. spring: alloy.
    mode_mass, acoustic_mass: per cell. weights: of the couplings that the enthalpy was made with, eV over the
    fields' units. tilt_inertia: amu Å² (tilts in radians). stress: the outer stress, eV/Å³, tension positive.
    """

    a0: Float[Array, ""]
    charge: Float[Array, ""]
    eps_inf: Float[Array, ""]
    kappa2: Float[Array, ""]
    alpha: Float[Array, ""]
    gamma: Float[Array, ""]
    k1: Float[Array, ""]
    k2: Float[Array, ""]
    k3: Float[Array, ""]
    k4: Float[Array, ""]
    j: Float[Array, "7"]
    b11: Float[Array, ""]
    b12: Float[Array, ""]
    b44: Float[Array, ""]
    b1xx: Float[Array, ""]
    b1yy: Float[Array, ""]
    b4yz: Float[Array, ""]
    spring: Float[Array, ""]
    mode_mass: Float[Array, ""]
    acoustic_mass: Float[Array, ""]
    stress: Float[Array, "3 3"]
    weights: Float[Array, " couplings"] | None = None
    tilt_inertia: Float[Array, ""] | None = None

    def under_pressure(self, pressure: float | Float[Array, ""]) -> HeffParams:
        """The same under a hydrostatic pressure, eV/Å³ (times ``units.GPA`` from GPa); negative expands."""
        return self.replace(stress=-jnp.asarray(pressure, self.a0.dtype) * jnp.eye(3, dtype=self.a0.dtype))


class _Section(BaseModel):
    """A part of a record; unknown keys and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Units(_Section):
    """The units a record must be in."""

    length: Literal["angstrom"]
    energy: Literal["eV"]
    charge: Literal["e"]
    mass: Literal["amu"]
    pressure: Literal["GPa"]


class Parameters(_Section):
    """The numbers of a record; see HeffParams."""

    a0: float = Field(gt=0)
    charge: float
    eps_inf: float = Field(ge=1)
    kappa2: float
    alpha: float
    gamma: float
    k1: float
    k2: float
    k3: float
    k4: float
    j: tuple[float, float, float, float, float, float, float]
    b11: float
    b12: float
    b44: float
    b1xx: float
    b1yy: float
    b4yz: float
    spring: float
    mode_mass: float = Field(gt=0)
    acoustic_mass: float = Field(gt=0)

    @model_validator(mode="after")
    def _stable(self) -> Parameters:
        if not (self.b44 > 0 and self.b11 > abs(self.b12) and self.b11 + 2 * self.b12 > 0):
            raise ValueError("the elastic tensor is unstable: b44 > 0, b11 > |b12| and b11 + 2 b12 > 0 are needed")
        return self


class Well(_Section):
    """A minimum of the uniform crystal: direction, pressure (GPa), and where known |u| (Å), Voigt strain, meV per cell."""

    direction: tuple[int, int, int]
    pressure: float
    energy: float
    amplitude: float | None = None
    strain: tuple[float, float, float, float, float, float] | None = None


class Walls(_Section):
    """Energies of 180° (100) walls, mJ/m²: between two planes of cells, and on one."""

    cell: float
    site: float


class Reference(_Section):
    """Numbers that the parameters must reproduce."""

    kappa_total: float
    wells: list[Well]
    walls: Walls | None = None


class Record(_Section):
    """A parameter file: the numbers, where they come from, and what they must reproduce."""

    title: str
    source: str = Field(min_length=10)
    units: Units
    note: str = ""
    parameters: Parameters
    reference: Reference


def parameter_sets() -> list[str]:
    """Names of the sets that come with the package."""
    return sorted(p.name.removesuffix(".yaml") for p in _folder().iterdir() if p.name.endswith(".yaml"))


def load_record(name: str | Path) -> Record:
    """A record by the name of a set in the package or the path of a YAML file, checked.

    Raises FerrojaxError for an unknown name, a missing, misnamed or non-finite entry, other units,
    an unstable elastic tensor, and parameters that do not reproduce their own kappa_total.
    """
    record = _parse(str(name), _text(name))
    kappa, wanted = kappa_total(record.parameters), record.reference.kappa_total
    if abs(kappa - wanted) > KAPPA_TOLERANCE:
        raise FerrojaxError(
            f"{name}: the parameters give kappa_total {kappa:.6f} eV/Å², but the record's reference says {wanted:.6f}; "
            "a coupling is mistyped or in other units."
        )
    return record


def load_parameters(name: str | Path) -> HeffParams:
    """Parameters of a record (see load_record), without outer stress, in JAX's default float type."""
    values = load_record(name).parameters.model_dump()
    leaves = {field.name: jnp.asarray(values[field.name], float) for field in dataclasses.fields(HeffParams) if field.name in values}
    return HeffParams(**leaves, stress=jnp.zeros((3, 3)))


def kappa_total(p: Parameters) -> float:
    """Half the curvature at u = 0 of a uniform mode under tin-foil boundaries, eV/Å².

    κ₂ + 2 j1 + j2 + 4 j3 + 2 j4 + 4 j6 - (2π/3) k_e Z*²/(ε∞ a0³)
    """
    short = p.kappa2 + np.dot(p.j, (2, 1, 4, 2, 0, 4, 0))
    return float(short - 2 * math.pi / 3 * COULOMB * p.charge**2 / (p.eps_inf * p.a0**3))


def _folder():
    return files("ferrojax.effective") / "parameters"


def _text(name: str | Path) -> str:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise FerrojaxError(f"{path}: cannot be read ({error.strerror}).") from None
    if str(name) not in parameter_sets():
        known = ", ".join(parameter_sets())
        raise FerrojaxError(f"there is no parameter set {str(name)!r}; choose one of {known}, or give the path of a .yaml file.")
    return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def _parse(name: str, text: str) -> Record:
    try:
        return Record.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise FerrojaxError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'record'}: {e['msg']}" for e in error.errors())
        raise FerrojaxError(f"{name}: {reasons}") from None
