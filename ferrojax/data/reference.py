"""Reference energies: the per-element energy zero of each data set, fitted away before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ase.data import chemical_symbols

from ferrojax.data.frame import Frame
from ferrojax.errors import FerrojaxError

MIXED_GAP = 1.0  # eV/atom; no structure worth training on lies this far from all others of its data set
SCALE_FLOOR = 1e-3  # eV/atom; residuals below this are not outliers however narrow the rest
HUBER = 2.0  # scales beyond which a frame is down-weighted
ITERATIONS = 100
TOLERANCE = 1e-6  # eV per element

References = dict[str, dict[str, float]]


class MixedZeros(NamedTuple):
    """Two groups of frames of one data set whose energies have no common zero."""

    dataset: str
    gap: float  # eV/atom between the groups
    lower: list[Frame]
    upper: list[Frame]

    def sentence(self) -> str:
        """One sentence that names both groups."""
        return (
            f"data set '{self.dataset}' mixes energy zeros: {len(self.upper)} frames ({_files(self.upper)}) lie "
            f"{self.gap:.3g} eV/atom above the other {len(self.lower)} ({_files(self.lower)})"
        )

    def remedy(self) -> str:
        """What to do about it."""
        return "read each origin with its own data set name, dataset='...'"


def fit_reference_energies(frames: Sequence[Frame]) -> References:
    """Energy per element and data set, {dataset: {element: eV}}, from the frames with an energy label.

    Least squares of E/n = Σ_e (n_e/n) E_e, robust by Huber weights iterated to convergence (a few frames far above the
    rest do not shift the zero); a composition that leaves elements undetermined gets the solution of minimum norm.
    Raises FerrojaxError if one data set mixes energies of different zeros.
    """
    references = fit_unchecked(frames)
    for mixed in find_mixed_zeros(frames, references):
        raise FerrojaxError(f"{mixed.sentence()}; {mixed.remedy()}.")
    return references


def reference_energy(frame: Frame, references: Mapping[str, Mapping[str, float]]) -> float:
    """Sum of the reference energies of the atoms, eV.

    Raises FerrojaxError for a data set or an element without reference energies.
    """
    if frame.dataset not in references:
        known = ", ".join(references) or "none"
        raise FerrojaxError(f"{frame.source}: data set '{frame.dataset}' has no reference energies (known: {known}); name a known one.")
    table = references[frame.dataset]
    counts = Counter(frame.atoms.numbers.tolist())
    missing = sorted({chemical_symbols[z] for z in counts} - set(table))
    if missing:
        raise FerrojaxError(
            f"{frame.source}: data set '{frame.dataset}' has no reference energy of {', '.join(missing)}; "
            "fit the references on frames that hold these elements."
        )
    return float(sum(n * table[chemical_symbols[z]] for z, n in counts.items()))


def choose_references(info: Mapping[str, Any], dataset: str | None = None) -> Mapping[str, float]:
    """Reference energies, {element: eV}, that go with a model's energies.

    ``info`` is that of the model; ``dataset`` whose to take: by default the only one there is, none if there are none, and "" for none.
    Raises FerrojaxError for an unknown data set, and if there are several to choose from.
    """
    known: Mapping[str, Mapping[str, float]] = info.get("reference_energies", {})
    if dataset == "" or (dataset is None and not known):
        return {}
    if dataset is None and len(known) > 1:
        raise FerrojaxError(f"the model has reference energies of {sorted(known)}; choose one with dataset=..., or '' for none.")
    dataset = next(iter(known)) if dataset is None else dataset
    if dataset not in known:
        raise FerrojaxError(f"the model has no reference energies of a data set {dataset!r}; it knows {sorted(known)}.")
    return known[dataset]


def energy_residuals(frames: Sequence[Frame], references: References) -> np.ndarray:
    """(E - reference) / atoms, eV/atom; NaN for a frame without energy."""
    return np.array([np.nan if f.energy is None else (f.energy - reference_energy(f, references)) / len(f.atoms) for f in frames])


def find_mixed_zeros(frames: Sequence[Frame], references: References) -> list[MixedZeros]:
    """Data sets whose residuals fall into two groups, each narrower than the gap of > 1 eV/atom between them.

    Frames of compositions that only one group holds cannot be told from a shift of the element energies.
    """
    found = []
    for dataset, members in _by_dataset(frames).items():
        residuals = energy_residuals(members, references)
        order = np.argsort(residuals)
        sorted_residuals = residuals[order]
        for cut in np.flatnonzero(np.diff(sorted_residuals) > MIXED_GAP) + 1:
            gap = sorted_residuals[cut] - sorted_residuals[cut - 1]
            spans = np.ptp(sorted_residuals[:cut]), np.ptp(sorted_residuals[cut:])
            if min(cut, len(members) - cut) > 1 and max(spans) < gap:
                found.append(MixedZeros(dataset, float(gap), [members[i] for i in order[:cut]], [members[i] for i in order[cut:]]))
    return found


def fit_unchecked(frames: Sequence[Frame]) -> References:
    """As fit_reference_energies, without the check for mixed zeros."""
    return {dataset: _fit(members) for dataset, members in _by_dataset(frames).items()}


def _fit(frames: list[Frame]) -> dict[str, float]:
    counts = np.array([np.bincount(frame.atoms.numbers, minlength=len(chemical_symbols)) for frame in frames], float)
    elements = np.flatnonzero(counts.any(axis=0))
    atoms = counts.sum(axis=1)
    fractions = counts[:, elements] / atoms[:, None]
    energies = _robust_least_squares(fractions, np.array([frame.energy for frame in frames], float) / atoms)
    return {chemical_symbols[z]: float(e) for z, e in zip(elements, energies)}


def _robust_least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Minimum-norm Huber regression by iteratively reweighted least squares, scale from the median residual."""
    solution = np.linalg.lstsq(matrix, target)[0]
    for _ in range(ITERATIONS):
        residual = np.abs(target - matrix @ solution)
        scale = max(1.4826 * float(np.median(residual)), SCALE_FLOOR)
        root = np.sqrt(np.minimum(1.0, HUBER * scale / np.maximum(residual, 1e-300)))
        previous, solution = solution, np.linalg.lstsq(matrix * root[:, None], target * root)[0]
        if np.abs(solution - previous).max() < TOLERANCE:
            break
    return solution


def _by_dataset(frames: Iterable[Frame]) -> dict[str, list[Frame]]:
    groups: dict[str, list[Frame]] = {}
    for frame in frames:
        if frame.energy is not None:
            groups.setdefault(frame.dataset, []).append(frame)
    return groups


def _files(frames: Sequence[Frame]) -> str:
    names = list(dict.fromkeys(frame.source.split(", frame")[0] for frame in frames))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
