"""Hyperparameters of the potential, and the two presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ase.data import atomic_numbers

from ferrojax.errors import FerrojaxError

FORMAL_CHARGES = {"O": -2, "Ti": 4, "Zr": 4, "Hf": 4, "Pb": 2, "Ba": 2, "Sr": 2, "Ca": 2, "Mg": 2, "Zn": 2, "Na": 1, "K": 1, "Li": 1,
                  "Nb": 5, "Ta": 5, "Bi": 3, "In": 3, "Sc": 3, "Fe": 3, "La": 3, "Al": 3, "F": -1, "Cl": -1, "S": -2}  # fmt: skip


@dataclass(frozen=True)
class ModelConfig:
    """What defines a potential besides its parameters.

    elements: chemical symbols the model knows.
    formal_charges: integer charge Z of each element, e; zeros for a covalent material.
    layers: 1 (density only) or 2 (with message passing).
    channels: features per irrep.
    radial: radial basis functions.
    embedding: channels of the species embedding of a neighbour.
    hidden: width of the energy readouts.
    cutoff: Å. smearing: standard deviation of the charge Gaussians, Å.
    eps_inf: electronic dielectric constant that screens the Ewald term.
    """

    elements: tuple[str, ...]
    formal_charges: tuple[float, ...]
    preset: str = "accurate"
    layers: int = 2
    channels: int = 24
    radial: int = 8
    embedding: int = 4
    hidden: int = 64
    cutoff: float = 5.5
    smearing: float = 1.0
    eps_inf: float = 1.0

    def __post_init__(self) -> None:
        unknown = [e for e in self.elements if e not in atomic_numbers or e == "X"]
        if unknown or len(set(self.elements)) != len(self.elements) or not self.elements:
            raise FerrojaxError(f"elements must be distinct chemical symbols, at least one; got {list(self.elements)}.")
        if len(self.formal_charges) != len(self.elements):
            raise FerrojaxError(f"{len(self.elements)} elements but {len(self.formal_charges)} formal charges; give one for each element.")
        if any(abs(z - round(z)) > 1e-9 for z in self.formal_charges):
            raise FerrojaxError(f"formal charges must be integers (the polarization quantum depends on it); got {self.formal_charges}.")
        if self.layers not in (1, 2) or self.cutoff <= 0 or self.smearing <= 0 or self.eps_inf < 1:
            raise FerrojaxError("the model needs layers 1 or 2, cutoff > 0, smearing > 0 and eps_inf >= 1.")

    def to_dict(self) -> dict:
        """Plain dictionary, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> ModelConfig:
        """Inverse of to_dict; unknown keys are refused."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise FerrojaxError(f"unknown model settings {sorted(unknown)}; known: {sorted(f.name for f in fields(cls))}.")
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**settings)


PRESETS = {"fast": {"layers": 1, "channels": 16, "hidden": 48}, "accurate": {"layers": 2, "channels": 24, "hidden": 64}}


def preset(name: str, elements: tuple[str, ...], formal_charges: tuple[float, ...] | None = None, **changes) -> ModelConfig:
    """Configuration of a preset, "fast" or "accurate", for given elements.

    Formal charges default to the usual oxidation states; elements without one need them given.
    """
    if name not in PRESETS:
        raise FerrojaxError(f"unknown preset {name!r}; choose one of {sorted(PRESETS)}.")
    if formal_charges is None:
        formal_charges = usual_charges(tuple(elements))
    config = ModelConfig(elements=tuple(elements), formal_charges=tuple(formal_charges), preset=name, **PRESETS[name])
    return replace(config, **changes)


def usual_charges(elements: tuple[str, ...]) -> tuple[float, ...]:
    """Usual oxidation state of each element, e; FerrojaxError for one that has none."""
    missing = [e for e in elements if e not in FORMAL_CHARGES]
    if missing:
        raise FerrojaxError(f"no usual oxidation state is known for {missing}; give formal_charges.")
    return tuple(float(FORMAL_CHARGES[e]) for e in elements)
