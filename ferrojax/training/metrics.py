"""Errors of predictions against labels, accumulated in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ferrojax.data import Frame, reference_energy
from ferrojax.units import GPA

Predictions = Sequence[Mapping[str, np.ndarray]]
UNITS = {
    "energy": "meV/atom",
    "energy_aligned": "meV/atom",
    "forces": "meV/Å",
    "stress": "GPa",
    "virial": "meV/atom",
    "dipole": "e·Å",
    "born_charges": "e",
    "polarizability": "e·Å²/V",
}


def compare(
    frames: Sequence[Frame], predictions: Predictions, references: Mapping[str, Mapping[str, float]], align_energies: bool = False
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(label, prediction) of every labelled quantity, flat, in the units of ``UNITS``.

    Energies need the reference energies of the frame's data set; aligned ones a shift of
    each element, fitted on these very frames. A predicted dipole is moved to the image next to its label.
    """
    pairs: dict[str, list[tuple[Any, Any]]] = {}
    for frame, values in zip(frames, predictions):
        for name, label, value in _quantities(frame, values, references):
            pairs.setdefault(name, []).append((np.ravel(label), np.ravel(value)))
    joined = {name: tuple(np.concatenate(side) for side in zip(*rows)) for name, rows in pairs.items()}
    if align_energies:
        joined |= _aligned_energies(frames, predictions)
    return joined  # type: ignore[return-value]


def summarize(frames: Sequence[Frame], pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, dict[str, Any]]:
    """RMSE, MAE, number of values and rms of the labels of each quantity; per element for forces and Born charges."""
    summary: dict[str, dict[str, Any]] = {}
    for name, (label, value) in pairs.items():
        summary[name] = {"unit": UNITS[name], **_errors(value - label), "label_rms": _rms(label)}
        if name == "polarizability":
            summary[name]["relative_rmse_percent"] = 100 * _rms(value - label) / max(_rms(label), 1e-300)
        if name in ("forces", "born_charges"):
            symbols = np.concatenate([np.asarray(f.atoms.symbols) for f in frames if getattr(f, name) is not None])
            residual = (value - label).reshape(len(symbols), -1)
            summary[name]["per_element"] = {str(e): _errors(residual[symbols == e]) for e in np.unique(symbols)}
    return summary


def nearest_image(vector: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The shortest vector that differs by e times a lattice vector, searched around the rounded one."""
    fractional = vector @ np.linalg.inv(cell)
    near = (fractional - np.round(fractional)) @ cell
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
    return min(near + shifts, key=np.linalg.norm)


def _quantities(frame: Frame, values: Mapping[str, np.ndarray], references: Mapping[str, Mapping[str, float]]):
    """(name, label, prediction) of one frame."""
    atoms, volume = len(frame.atoms), frame.atoms.get_volume()
    if frame.energy is not None and covered(frame, references):
        reference = reference_energy(frame, references)
        yield "energy", 1e3 * (frame.energy - reference) / atoms, 1e3 * float(values["energy"]) / atoms
    if frame.forces is not None:
        yield "forces", 1e3 * frame.forces, 1e3 * values["forces"]
    if frame.stress is not None:
        yield "stress", frame.stress / GPA, values["stress"] / GPA
        yield "virial", -1e3 * frame.stress * volume / atoms, -1e3 * values["stress"] * volume / atoms
    if frame.dipole is not None:
        difference = nearest_image(values["dipole"] - frame.dipole, frame.atoms.cell.array)
        yield "dipole", frame.dipole, frame.dipole + difference
    if frame.born_charges is not None:
        yield "born_charges", frame.born_charges, values["born_charges"]
    if frame.polarizability is not None:
        yield "polarizability", frame.polarizability, values["polarizability"]


def covered(frame: Frame, references: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether the frame's data set and all its elements have reference energies."""
    return set(frame.atoms.symbols) <= set(references.get(frame.dataset, {}))


def _aligned_energies(frames: Sequence[Frame], predictions: Predictions) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Energies a atom after Σ_elements n s is fitted to label - prediction, for each data set by itself."""
    rows = []
    for dataset in sorted({f.dataset for f in frames}):
        chosen = [(f, float(p["energy"])) for f, p in zip(frames, predictions) if f.dataset == dataset and f.energy is not None]
        if not chosen:
            continue
        elements = sorted({s for f, _ in chosen for s in f.atoms.symbols})
        sizes = np.array([len(f.atoms) for f, _ in chosen], float)
        composition = np.array([[np.sum(f.atoms.symbols == e) for e in elements] for f, _ in chosen]) / sizes[:, None]
        label, value = np.array([f.energy for f, _ in chosen]) / sizes, np.array([e for _, e in chosen]) / sizes
        shift = np.linalg.lstsq(composition, label - value, rcond=None)[0]
        rows.append((1e3 * (label - composition @ shift), 1e3 * value))
    return {"energy_aligned": tuple(np.concatenate(side) for side in zip(*rows))} if rows else {}  # type: ignore[dict-item]


def _errors(residual: np.ndarray) -> dict[str, Any]:
    return {"rmse": _rms(residual), "mae": float(np.mean(np.abs(residual))), "count": int(residual.size)}


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(values, np.float64) ** 2)))
