"""Checks from interatomic distances: unit of length, close contacts, and the sign of the stress.

Short-range repulsion is the largest source of pressure between ions, so among frames of one system those with closer
contacts have the lower (more compressive) stress trace, at fixed volume too. Over the 122 systems of a perovskite data
set by another group this correlation of pressure and overlap was positive in every one (median 0.97), and a data set of
one fixed cell gave 0.96; it decides the sign where cells do not differ enough for the work test.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii
from vesin import ase_neighbor_list

from ferrojax.data.checks.pairs import groups, sample
from ferrojax.data.frame import Frame
from ferrojax.data.report import Finding, summarise

CUTOFF = 4.2  # Å
DECAY = 0.3  # Å, of the Born-Mayer overlap exp(-(r - r_a - r_b)/decay)
MAX_FRAMES = 40  # of one group
MIN_FRAMES = 8
SIGNIFICANT = 4.0  # standard errors of Fisher's z
CLOSE = 0.6  # of the sum of covalent radii
FAR = 1.35  # the same: perovskites have 0.76 to 0.87 (1.44 to 1.64 if read in Bohr), metals 1


def check_contacts(frames: Sequence[Frame]) -> list[Finding]:
    """Unit of length, close contacts, and the sign of the stress by data set and by file."""
    findings: list[Finding] = []
    for dataset in dict.fromkeys(frame.dataset for frame in frames):
        members = [sample(group, MAX_FRAMES) for group in groups([f for f in frames if f.dataset == dataset])]
        measured = [[contacts(frame) for frame in group] for group in members]
        closest = {id(f): ratio for group, rows in zip(members, measured) for f, (ratio, _) in zip(group, rows)}
        findings += _length_findings(dataset, [f for group in members for f in group], closest)
        signs = [
            (group[0], score) for group, rows in zip(members, measured) if (score := sign_score(group, [o for _, o in rows])) is not None
        ]
        findings += _sign_findings(dataset, signs)
    return findings


def contacts(frame: Frame) -> tuple[float, float]:
    """Shortest distance over the sum of covalent radii (infinite if all are beyond 4.2 Å), and Born-Mayer overlap per atom."""
    i, j, distance = ase_neighbor_list("ijd", frame.atoms, CUTOFF)
    if len(distance) == 0:
        return np.inf, 0.0
    radii = covalent_radii[frame.atoms.numbers[i]] + covalent_radii[frame.atoms.numbers[j]]
    return float((distance / radii).min()), float(np.exp(np.minimum((radii - distance) / DECAY, 50.0)).sum() / len(frame.atoms))


def sign_score(frames: Sequence[Frame], overlaps: Sequence[float]) -> tuple[float, float] | None:
    """Correlation of pressure -tr σ/3 with overlap, and its Fisher z in standard errors; None with too few frames."""
    chosen = [(overlap, -np.trace(np.asarray(f.stress)) / 3) for f, overlap in zip(frames, overlaps) if f.stress is not None]
    if len(chosen) < MIN_FRAMES:
        return None
    overlap, pressure = np.array(chosen).T
    if np.std(overlap) < 1e-12 or np.std(pressure) < 1e-12:
        return None
    correlation = float(np.corrcoef(overlap, pressure)[0, 1])
    return correlation, float(np.arctanh(np.clip(correlation, -0.9999, 0.9999)) * np.sqrt(len(chosen) - 3))


def _length_findings(dataset: str, frames: list[Frame], closest: dict[int, float]) -> list[Finding]:
    typical = float(np.median(list(closest.values())))
    if typical > FAR:
        sentence = f"the shortest distances are {typical:.2f} times the sum of covalent radii, 0.75 to 1.1 in solids"
        return [Finding("error", "length unit", dataset, sentence, "give positions and cell in Å, not Bohr (multiply by 0.529177)")]
    close = [frame for frame in frames if closest[id(frame)] < CLOSE]
    if len(close) > len(frames) / 2:
        sentence = f"the shortest distances are {typical:.2f} times the sum of covalent radii, 0.75 to 1.1 in solids"
        return [Finding("error", "length unit", dataset, sentence, "check positions and cell, and that both are in Å")]
    remedy = "check these structures; drop them if they are failed runs"
    return summarise(close, "warning", "close contact", f"{{n}} frames have atoms closer than {CLOSE} of the covalent radii", remedy)


def _sign_findings(dataset: str, signs: list[tuple[Frame, tuple[float, float]]]) -> list[Finding]:
    right = [c for _, (c, z) in signs if z > SIGNIFICANT]
    wrong = [(frame, c) for frame, (c, z) in signs if z < -SIGNIFICANT]
    if not right and not wrong:
        return []
    counts = f"pressure grows with close contacts in {len(right)} of {len(right) + len(wrong)} files"
    values = {"right": float(len(right)), "wrong": float(len(wrong))}
    if not wrong:
        sentence = f"{counts} (median correlation {np.median(right):.2f}): the stress is positive in tension"
        return [Finding("info", "sign of stress", dataset, sentence, values=values)]
    if len(wrong) > len(right):
        sentence = f"{counts}: the sign of the stress (virial) is swapped"
        return [Finding("error", "sign of stress", dataset, sentence, "change it: positive in tension, stress = -virial/V", values)]
    sentence = "pressure falls with close contacts, against the rest of the data set: the sign of the stress (virial) is swapped"
    return [
        Finding("error", "sign of stress", f.source.split(", frame")[0], sentence, "change the sign in this file", {"correlation": c})
        for f, c in wrong
    ]
