"""What a run leaves behind: arrays in memory, a CSV log, an extended XYZ trajectory."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text

COLUMNS = (
    "step",
    "time_fs",
    "potential_eV",
    "total_eV",
    "conserved_eV",
    "temperature_K",
    *(f"{q}_{a}" for q in ("dipole_eA", "field_V_per_A") for a in "xyz"),
    *(f"stress_eV_per_A3_{a}" for a in ("xx", "yy", "zz", "yz", "xz", "xy")),
    *(f"cell_A_{v}{a}" for v in "abc" for a in "xyz"),
)


@dataclass
class Records:
    """Records of a run; the leading axis counts them.

    step; time: fs; potential: enthalpy in the field, eV; total: with kinetic energy, eV; conserved: what the
    integrator conserves, eV, NaN for a stochastic one; temperature: K; dipole: M = -∂F/∂E, e Å, without branch jumps;
    field: V/Å; stress: inside, with kinetic part, eV/Å³, Voigt, tension positive; cell: Å;
    positions: Å, unwrapped, or None if they were not kept.
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
    positions: np.ndarray | None

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


class Reporter:
    """Writes records as they come to ``NAME.part``; ``close`` gives the files their names.

    log: CSV, one line for each record. trajectory: extended XYZ with time (fs), enthalpy (eV),
    dipole (e Å) and field (V/Å) in the comment line.
    """

    def __init__(self, atoms: Atoms, trajectory: str | Path | None, log: str | Path | None) -> None:
        self.atoms = atoms
        self.trajectory, self.log = (Path(path) if path else None for path in (trajectory, log))
        for path in (self.trajectory, self.log):
            if path is not None:
                write_text(_part(path), "")
        if self.log is not None:
            self._append(self.log, _lines([COLUMNS]))

    def write(self, records: Records) -> None:
        """Append records. Raises FerrojaxError if the disk is full; what was written before stays."""
        if self.log is not None:
            self._append(self.log, _lines(_rows(records)))
        if self.trajectory is not None and len(records):
            text = io.StringIO()
            ase.io.write(text, self._frames(records), format="extxyz")
            self._append(self.trajectory, text.getvalue())

    def close(self) -> None:
        """Give the files their final names."""
        for path in (self.trajectory, self.log):
            if path is not None:
                _part(path).replace(path)

    def _append(self, path: Path, text: str) -> None:
        try:
            with open(_part(path), "a", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise FerrojaxError(f"{path}: cannot be written ({error.strerror}); free disk space or choose another place.") from None

    def _frames(self, records: Records) -> list[Atoms]:
        frames = []
        assert records.positions is not None
        for k in range(len(records)):
            frame = self.atoms.copy()
            frame.cell[:] = records.cell[k]
            frame.positions = records.positions[k]
            frame.info = {"time": records.time[k], "enthalpy": float(records.potential[k])}
            frame.info |= {"dipole": records.dipole[k].astype(float), "field": records.field[k].astype(float)}
            frames.append(frame)
        return frames


def _rows(records: Records) -> list[tuple]:
    scalars = (records.step, records.time, records.potential, records.total, records.conserved, records.temperature)
    vectors = (records.dipole, records.field, records.stress, records.cell)
    return [(*(x[k].item() for x in scalars), *(c for x in vectors for c in x[k].ravel().tolist())) for k in range(len(records))]


def _lines(rows: list[tuple]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")
