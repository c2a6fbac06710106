"""Checks of the labels that know the field: dipole modulo lattice vectors, Born charges, polarizability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols

from ferrojax.data.checks.pairs import Pairs, groups, near_pairs
from ferrojax.data.frame import Frame
from ferrojax.data.report import Finding, Severity, summarise
from ferrojax.units import COULOMB, EPSILON_0

CHANCE = 1 / np.sqrt(12.0)  # RMS of a reduced dipole (units of e) that is uniform modulo 1
CONSISTENT, RANDOM = 0.5, 0.8  # of chance
MIN_FRAMES = 8
SUM_RULE = 0.05  # e, per atom
SYMMETRY = 0.02  # relative
MAX_EPSILON = 40.0
ANIONS = ("F", "O", "Cl", "N", "Br", "S", "I", "Se", "Te")  # most electronegative first
DEBYE = 4.80320  # D in one e·Å


def check_polar(frames: Sequence[Frame]) -> list[Finding]:
    """Findings on dipoles, Born charges and polarizabilities."""
    pairs = [near_pairs(group) for group in groups([frame for frame in frames if frame.dipole is not None])]
    findings = _dipole_findings([found for found in pairs if found is not None and len(found.frames) >= MIN_FRAMES])
    return findings + check_born_charges(frames) + check_polarizability(frames)


def check_born_charges(frames: Sequence[Frame]) -> list[Finding]:
    """Acoustic sum rule: the Born charges of a frame add up to nothing."""
    labelled = [frame for frame in frames if frame.born_charges is not None]
    violation = {id(f): float(np.abs(np.sum(np.asarray(f.born_charges), axis=0)).max()) / len(f.atoms) for f in labelled}
    bad = [frame for frame in labelled if violation[id(frame)] > SUM_RULE]
    worst = max(violation.values(), default=0.0)
    if labelled and not bad:
        source = labelled[0].dataset
        return [Finding("info", "Born charges", source, f"acoustic sum rule of the Born charges kept to {worst:.1g} e per atom")]
    sentence = f"the Born charges break the acoustic sum rule by up to {worst:.2g} e per atom"
    remedy = "converge the k-mesh, or subtract the mean over atoms"
    return summarise(bad, "warning", "Born charges", sentence + " in {n} frames", remedy)


def check_polarizability(frames: Sequence[Frame]) -> list[Finding]:
    """Symmetric, positive, and of a size that gives a permittivity of a solid."""
    labelled = [frame for frame in frames if frame.polarizability is not None]
    tensors = [np.asarray(frame.polarizability) for frame in labelled]
    epsilon = [1.0 + float(np.trace(t)) / 3 / f.atoms.get_volume() / EPSILON_0 for f, t in zip(labelled, tensors)]
    skew = [f for f, t in zip(labelled, tensors) if np.abs(t - t.T).max() > SYMMETRY * np.abs(t).max()]
    negative = [f for f, t in zip(labelled, tensors) if np.linalg.eigvalsh(0.5 * (t + t.T)).min() <= 0]
    large = [f for f, value in zip(labelled, epsilon) if value > MAX_EPSILON]
    troubles: list[tuple[list[Frame], Severity, str, str]] = [
        (skew, "warning", "are not symmetric", "symmetrise or recompute them"),
        (negative, "error", "are not positive definite", "check sign and unit, e·Å²/V"),
        (large, "error", f"give eps_inf up to {max(epsilon, default=0.0):.0f}", f"give e·Å²/V; divide Å³ by {COULOMB:.4f}"),
    ]
    findings = []
    for bad, severity, sentence, remedy in troubles:
        findings += summarise(bad, severity, "polarizability", "{n} polarizabilities " + sentence, remedy)
    if labelled and not findings:
        sentence = f"polarizabilities symmetric and positive, mean eps_inf {min(epsilon):.2f} to {max(epsilon):.2f}"
        findings.append(Finding("info", "polarizability", labelled[0].dataset, sentence))
    return findings


def _dipole_findings(every: list[Pairs]) -> list[Finding]:
    """One a group. Fitted charges that do not settle, in frames too far apart, give way to the best ones of the same data set."""
    findings, fitted = [], []
    for pairs in every:
        if all(frame.born_charges is not None for frame in pairs.frames):
            findings.append(_against_born_charges(pairs, _source(pairs)))
        else:
            fitted.append((pairs, *fit_effective_charges(pairs)))
    for pairs, charges, score in fitted:
        if score > RANDOM:
            same = [(s, q) for p, q, s in fitted if p.frames[0].dataset == pairs.frames[0].dataset and charges.keys() <= q.keys()]
            best = min(same, key=lambda fit: fit[0])[1]
            charges, score = best, _misfit(pairs, best)
        findings.append(_against_fitted_charges(pairs, charges, score))
    return findings


def _source(pairs: Pairs) -> str:
    return pairs.frames[0].source.split(", frame")[0]


def _against_born_charges(pairs: Pairs, source: str) -> Finding:
    """Dipole differences against Z*·u, modulo lattice vectors, for the unit given and for the usual mistakes."""
    volume = pairs.frames[0].atoms.get_volume()
    born = np.array([frame.born_charges for frame in pairs.frames])
    mean = 0.5 * (born[pairs.i] + born[pairs.j])
    predicted = _reduce(pairs, np.einsum("pnab,pnb->pa", mean, pairs.displacement))
    scales = {"e·Å": 1.0, "-e·Å (sign swapped)": -1.0, "Debye": 1 / DEBYE, "e/Å²": volume, "C/m²": volume / 16.02176634}
    scores = {unit: _rms(_fold(scale * _reduced_change(pairs) - predicted)) / CHANCE for unit, scale in scales.items()}
    best, score = min(scores, key=lambda unit: scores[unit]), scores["e·Å"]
    values = {"score": score}
    measured = f"dipole differences depart from Z*·u by {score:.2f} of chance over {len(pairs.i)} pairs of similar frames"
    if score < CONSISTENT and best == "e·Å":
        return Finding("info", "dipole", source, f"{measured}: consistent modulo lattice vectors", values=values)
    if scores[best] < CONSISTENT:
        return Finding("error", "dipole", source, f"{measured}; in {best} they agree", "give the dipole of the cell in e·Å", values)
    remedy = "check that the dipole is P·V in e·Å and the index order of the Born charges"
    return Finding("warning", "dipole", source, f"{measured}: not confirmed", remedy, values)


def _against_fitted_charges(pairs: Pairs, charges: dict[int, float], score: float) -> Finding:
    """Dipole differences against one effective charge an element."""
    source, numbers = _source(pairs), pairs.frames[0].atoms.numbers
    named = {chemical_symbols[z]: q for z, q in charges.items()}
    text = ", ".join(f"{symbol} {q:+.1f}" for symbol, q in named.items())
    values = {"score": score, **named}
    anion = next((symbol for symbol in ANIONS if symbol in named), None)
    measured = f"dipole differences follow effective charges {text} e to {score:.2f} of chance modulo lattice vectors"
    if score > RANDOM or len(set(numbers)) < 2:
        remedy = "check that it is P·V in e·Å; frames that differ much can also hide a good dipole"
        return Finding(
            "warning", "dipole", source, f"dipole differences look random modulo lattice vectors ({score:.2f} of chance)", remedy, values
        )
    if anion is not None and named[anion] > 0.3:
        return Finding(
            "error", "dipole", source, f"{measured}, so that {anion} is positive: the sign is swapped", "change its sign", values
        )
    if max(abs(q) for q in named.values()) < 0.5:
        remedy = "give the dipole of the cell P·V in e·Å, not a polarization"
        return Finding("warning", "dipole", source, f"{measured}: too small for ions", remedy, values)
    return Finding("info", "dipole", source, measured, values=values)


def fit_effective_charges(pairs: Pairs) -> tuple[dict[int, float], float]:
    """Effective charge (e) of each element, neutral in total, and RMS misfit of the reduced dipoles over chance.

    Unfolding needs charges and charges need unfolding: start from the nearest pairs, whose dipoles differ by less than
    half a lattice vector, and let in farther ones as the charges improve.
    """
    numbers = pairs.frames[0].atoms.numbers
    elements, counts = np.unique(numbers, return_counts=True)
    design = np.stack([pairs.shift[:, numbers == z].sum(axis=1) for z in elements], axis=-1)
    change = _reduced_change(pairs)
    charges = np.zeros(len(elements))
    for count in np.linspace(min(10, len(change)), len(change), 20).astype(int):
        predicted = design[:count] @ charges
        unfolded = predicted + _fold(change[:count] - predicted)
        charges = np.linalg.lstsq(design[:count].reshape(-1, len(elements)), unfolded.ravel())[0]
    charges -= (charges @ counts) / counts.sum()  # a uniform shift moves no dipole: choose the neutral set
    found = {int(z): float(q) for z, q in zip(elements, charges)}
    return found, _misfit(pairs, found)


def _misfit(pairs: Pairs, charges: dict[int, float]) -> float:
    """RMS misfit of the reduced dipoles over chance."""
    each = np.array([charges[z] for z in pairs.frames[0].atoms.numbers])
    return _rms(_fold(_reduced_change(pairs) - each @ pairs.shift)) / CHANCE


def _reduced_change(pairs: Pairs) -> np.ndarray:
    """Difference of the dipoles in units of the lattice vectors, m = M·h⁻¹, which strain leaves alone."""
    reduced = np.array([frame.dipole @ np.linalg.inv(frame.atoms.cell.array) for frame in pairs.frames])
    return reduced[pairs.j] - reduced[pairs.i]


def _reduce(pairs: Pairs, dipoles: np.ndarray) -> np.ndarray:
    cells = np.array([frame.atoms.cell.array for frame in pairs.frames])
    inverse = np.linalg.inv(0.5 * (cells[pairs.i] + cells[pairs.j]))
    return np.einsum("pa,pab->pb", dipoles, inverse)


def _fold(values: np.ndarray) -> np.ndarray:
    return values - np.round(values)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
