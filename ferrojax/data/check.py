"""Find what is wrong with labelled data before a training run does."""

from __future__ import annotations

from collections.abc import Sequence

from ferrojax.data.checks.contact import check_contacts
from ferrojax.data.checks.duplicates import check_duplicates
from ferrojax.data.checks.polar import check_polar
from ferrojax.data.checks.values import check_energies, check_forces, check_presence, check_stress, check_valid
from ferrojax.data.checks.work import check_work
from ferrojax.data.frame import Frame
from ferrojax.data.report import Finding, Report, overview

CHECKS = (check_presence, check_energies, check_forces, check_stress, check_duplicates, check_contacts, check_work, check_polar)


def check_frames(frames: Sequence[Frame]) -> Report:
    """All checks: finite values and cells, energy zeros, outliers, net forces, duplicates, distances, sign and unit of
    energy, forces and stress from pairs of similar frames, dipoles modulo lattice vectors, Born charges, polarizabilities.

    Frames that are unusable are reported and left out of the other checks.
    """
    good, findings = check_valid(frames)
    if not frames:
        findings.append(Finding("error", "frames", "data", "zero frames", "give a file that holds at least one usable structure"))
    for check in CHECKS:
        findings += check(good)
    return Report(findings, overview(frames))
