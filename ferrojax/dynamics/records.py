"""What a run observed, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Records:
    """Records of a run; the leading axis counts them.

    step; time: fs; potential: enthalpy in the field, eV; total: with kinetic energy, eV; conserved: what the
    integrator conserves, eV, NaN for a stochastic one; temperature: K; dipole: M = -∂F/∂E, e Å, without branch jumps;
    field: V/Å; stress: inside, with kinetic part, eV/Å³, Voigt, tension positive; cell: Å;
    positions: Å, unwrapped; velocities: Å/fs; forces: eV/Å; these three are None if they were not kept.
    """

    step: np.ndarray
    time: np.ndarray
    potential: np.ndarray
    total: np.ndarray
    conserved: np.ndarray
    temperature: np.ndarray
    dipole: np.ndarray
    field: np.ndarray
    stress: np.ndarray
    cell: np.ndarray
    positions: np.ndarray | None = None
    velocities: np.ndarray | None = None
    forces: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.step)

    @property
    def volume(self) -> np.ndarray:
        """Å³."""
        return np.linalg.det(self.cell)

    @classmethod
    def from_device(cls, record: Any, dt: float) -> Records:
        """The fresh ones of the records of a rollout."""
        fresh = np.asarray(record.fresh)
        fields: dict[str, Any] = {name: getattr(record, name) for name in cls.__dataclass_fields__ if name != "time"}
        columns: dict[str, Any] = {name: None if x is None else np.asarray(x)[fresh] for name, x in fields.items()}
        return cls(time=np.asarray(columns["step"], np.float64) * dt, **columns)

    @classmethod
    def join(cls, parts: list[Records]) -> Records:
        """One after the other; at least one part."""
        columns: dict[str, list] = {name: [getattr(part, name) for part in parts] for name in cls.__dataclass_fields__}
        joined: dict[str, Any] = {name: None if any(x is None for x in xs) else np.concatenate(xs) for name, xs in columns.items()}
        return cls(**joined)

    def without_atoms(self) -> Records:
        """The same without positions, velocities and forces."""
        return Records(**(vars(self) | {"positions": None, "velocities": None, "forces": None}))
