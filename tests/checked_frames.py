"""Frames that the tests of `ferrojax data check` spoil, and what the checks said of them."""

from __future__ import annotations

from functools import cache

from ferrojax.data import Frame, Report, read_frames

BOHR, HARTREE = 0.529177, 27.2114


@cache
def lead_titanate() -> list[Frame]:
    """Of five atoms; enough, and quick."""
    return read_frames("pbtio3-v1")[:39]


def found(report: Report | list, severity: str) -> list[str]:
    findings = report.findings if isinstance(report, Report) else report
    return [f"{f.check}: {f.source}: {f.sentence}; {f.remedy}" for f in findings if f.severity == severity]
