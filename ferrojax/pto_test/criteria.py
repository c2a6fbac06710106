"""Pass or fail, with numbers: what a potential of PbTiO3 must get right on heating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ferrojax.analysis import transitions
from ferrojax.pto_test.config import Criteria

ROOM = 300.0  # K
Runs = Sequence[dict[str, Any]]  # temperature_K, status, message and, if finished, means


@dataclass(frozen=True)
class Verdict:
    """passed: None where the runs made do not decide it. found: the numbers, in words."""

    criterion: str
    passed: bool | None
    found: str

    @property
    def word(self) -> str:
        """For tables."""
        return {True: "pass", False: "FAIL", None: "undecided"}[self.passed]


def judge(npt: Runs, planned: Sequence[float], phonons: dict[str, Any] | None, criteria: Criteria) -> list[Verdict]:
    """The four criteria. ``npt``: runs made so far; ``planned``: all temperatures; ``phonons``: of the tetragonal phase."""
    return [_room(npt, criteria), _transition(npt, planned, criteria), _melting(npt, planned, criteria), _stable(phonons, criteria)]


def phase(means: dict[str, Any], criteria: Criteria) -> str:
    """By the ratio of the mean edges."""
    return "cubic" if means["c/a"] < criteria.cubic_below else "tetragonal"


def _room(npt: Runs, criteria: Criteria) -> Verdict:
    low, high = criteria.ca_300K
    name = f"c/a at 300 K from {low:g} to {high:g}"
    for run in npt:
        if run["temperature_K"] == ROOM:
            if run["status"] != "finished":
                return Verdict(name, False, run["message"])
            ratio = run["means"]["c/a"]
            return Verdict(name, bool(low <= ratio <= high), f"c/a {ratio:.4f}")
    return Verdict(name, None, "no run at 300 K")


def _transition(npt: Runs, planned: Sequence[float], criteria: Criteria) -> Verdict:
    low, high = criteria.transition_K
    name = f"one transition, tetragonal to cubic, from {low:g} to {high:g} K"
    runs = sorted(npt, key=lambda run: run["temperature_K"])
    lost = [run for run in runs if run["status"] != "finished"]
    if lost:
        return Verdict(name, False, f"{lost[0]['temperature_K']:g} K: {lost[0]['message']}")
    if not runs or len(runs) < len(planned):
        return Verdict(name, None, f"{len(runs)} of {len(planned)} temperatures")
    kelvins, phases = [run["temperature_K"] for run in runs], [phase(run["means"], criteria) for run in runs]
    found = transitions(kelvins, phases)
    if len(found) != 1 or found[0][0] != "tetragonal":
        listed = "; ".join(f"{before} to {after} at {kelvin:g} K" for before, after, kelvin in found)
        return Verdict(name, False, listed or f"{phases[0]} from {kelvins[0]:g} to {kelvins[-1]:g} K")
    middle = found[0][2]
    half = min(abs(middle - kelvin) for kelvin in kelvins)
    # A bracket across a limit, of a coarse scan, decides nothing.
    within, outside = low <= middle - half and middle + half <= high, middle + half <= low or middle - half >= high
    return Verdict(name, bool(within) if within or outside else None, f"{middle:g} ± {half:g} K")


def _melting(npt: Runs, planned: Sequence[float], criteria: Criteria) -> Verdict:
    name = f"no melting up to {max(planned, default=0):g} K (Lindemann ratio below {criteria.lindemann:g}, volume within a factor of two)"
    for run in npt:
        if run["status"] != "finished":
            return Verdict(name, False, f"{run['temperature_K']:g} K: {run['message']}")
    if not npt or len(npt) < len(planned):
        return Verdict(name, None, f"{len(npt)} of {len(planned)} temperatures")
    worst = max(npt, key=lambda run: run["means"]["lindemann"])
    ratio = worst["means"]["lindemann"]
    return Verdict(name, bool(ratio < criteria.lindemann), f"largest ratio {ratio:.3f}, at {worst['temperature_K']:g} K")


def _stable(phonons: dict[str, Any] | None, criteria: Criteria) -> Verdict:
    name = f"no phonon of the tetragonal phase below {criteria.lowest_phonon_per_cm:g} 1/cm"
    if phonons is None:
        return Verdict(name, None, "no phonons of the tetragonal phase")
    if phonons["status"] != "finished":
        return Verdict(name, False, phonons["message"])
    lowest = phonons["lowest_per_cm"]
    where = " ".join(f"{q:g}" for q in phonons["wave"])
    return Verdict(name, bool(lowest >= criteria.lowest_phonon_per_cm), f"lowest {lowest:.1f} 1/cm at q = ({where})")
