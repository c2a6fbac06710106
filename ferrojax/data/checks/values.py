"""Checks of single labels: presence, finite values, net force, magnitudes, energy zeros and outliers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ferrojax.data.frame import LABELS, Frame, Problem, frame_problems
from ferrojax.data.reference import energy_residuals, find_mixed_zeros, fit_unchecked
from ferrojax.data.report import Finding, summarise

NET_FORCE = 0.01  # eV/Å times sqrt(atoms): what rounding and a coarse grid leave
OUTLIER = 10.0  # robust standard deviations
ENERGY_FLOOR = 0.1  # eV/atom
FORCE_FLOOR = 10.0  # eV/Å
LARGE_STRESS = 0.6  # eV/Å³, about 100 GPa
FEW = 3  # frames with an element


def check_valid(frames: Sequence[Frame]) -> tuple[list[Frame], list[Finding]]:
    """The usable frames, and one finding for each kind of trouble of the others."""
    good: list[Frame] = []
    bad: dict[str, list[tuple[Frame, Problem]]] = {}
    for frame in frames:
        problems = frame_problems(frame)
        for problem in problems:
            bad.setdefault(re.sub(r"[-\d.e]+", "#", problem.sentence), []).append((frame, problem))
        if not problems:
            good.append(frame)
    findings = []
    for members in bad.values():
        first = members[0][1]
        findings += summarise([frame for frame, _ in members], "error", "valid", f"{first.sentence} ({{n}} such frames)", first.remedy)
    return good, findings


def check_presence(frames: Sequence[Frame]) -> list[Finding]:
    """Labels that only a part of the frames has, no labels at all, and elements seen in hardly any frame."""
    findings: list[Finding] = []
    bare = [frame for frame in frames if not frame.labels()]
    findings += summarise(bare, "error", "labels", "{n} frames have no label", "name the keys, or drop the frames")
    for dataset in dict.fromkeys(frame.dataset for frame in frames):
        members = [frame for frame in frames if frame.dataset == dataset]
        counts = {label: sum(getattr(frame, label) is not None for frame in members) for label in LABELS}
        partial = ", ".join(f"{label} {n}" for label, n in counts.items() if 0 < n < len(members))
        if partial:
            findings.append(Finding("info", "labels", dataset, f"some frames lack a label: of {len(members)} frames have {partial}"))
        seen = Counter(symbol for frame in members for symbol in set(frame.atoms.symbols))
        rare = [symbol for symbol, n in seen.items() if n < FEW <= len(members) / 10]
        if rare:
            sentence = f"{', '.join(rare)} occurs in fewer than {FEW} of {len(members)} frames"
            findings.append(Finding("warning", "elements", dataset, sentence, "add frames with it, or drop these"))
    return findings


def check_forces(frames: Sequence[Frame]) -> list[Finding]:
    """Net force and force outliers."""
    labelled = [frame for frame in frames if frame.forces is not None]
    net = np.array([np.linalg.norm(np.sum(np.asarray(f.forces), axis=0)) / np.sqrt(len(f.atoms)) for f in labelled])
    moving = [frame for frame, value in zip(labelled, net) if value > NET_FORCE]
    worst = float(net.max(initial=0.0))
    findings = summarise(
        moving,
        "warning",
        "net force",
        f"{{n}} frames have forces that do not sum to zero (up to {worst:.2g} eV/Å per root atom)",
        "check that no atom or constraint is missing; subtract the mean",
        worst=worst,
    )
    for dataset in dict.fromkeys(frame.dataset for frame in labelled):
        members = [frame for frame in labelled if frame.dataset == dataset]
        largest = np.array([np.abs(np.asarray(frame.forces)).max() for frame in members])
        limit = max(OUTLIER * float(np.median(largest)), FORCE_FLOOR)
        far = [members[k] for k in np.argsort(-largest) if largest[k] > limit]
        sentence = f"{{n}} frames have forces above {limit:.3g} eV/Å, up to {largest.max():.3g}"
        findings += summarise(far, "warning", "force outliers", sentence, "drop failed calculations; check the unit")
    return findings


def check_stress(frames: Sequence[Frame]) -> list[Finding]:
    """Stresses beyond what a perovskite survives."""
    large = [frame for frame in frames if frame.stress is not None and np.abs(frame.stress).max() > LARGE_STRESS]
    remedy = "give eV/Å³ (GPa x 0.00624151, kbar x 0.000624151), not a virial in eV"
    return summarise(large, "warning", "stress size", f"{{n}} frames have a stress above {LARGE_STRESS} eV/Å³ (100 GPa)", remedy)


def check_energies(frames: Sequence[Frame]) -> list[Finding]:
    """Mixed energy zeros, else outliers of the energy per atom above the reference energies."""
    references = fit_unchecked(frames)
    mixed = find_mixed_zeros(frames, references)
    findings = [Finding("error", "energy zero", m.dataset, m.sentence(), m.remedy(), {"gap": m.gap}) for m in mixed]
    for dataset in set(references) - {m.dataset for m in mixed}:
        members = [frame for frame in frames if frame.dataset == dataset and frame.energy is not None]
        residual = energy_residuals(members, references)
        deviation = np.abs(residual - np.median(residual))
        limit = max(OUTLIER * 1.4826 * float(np.median(deviation)), ENERGY_FLOOR)
        far = [members[k] for k in np.argsort(-deviation) if deviation[k] > limit]
        sentence = f"{{n}} frames lie more than {limit:.2g} eV/atom from the typical energy of their elements, up to {deviation.max():.2g}"
        remedy = "drop or down-weight them unless they are wanted"
        findings += summarise(far, "warning", "energy outliers", sentence, remedy, worst=float(deviation.max()))
    return findings
