"""Findings of a data check: text table, JSON and exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ferrojax.data.frame import LABELS, Frame

Severity = Literal["error", "warning", "info"]
COLOURS = {"error": "bold red", "warning": "yellow", "info": "green"}
NAMED = 3  # sources named in one finding


@dataclass(frozen=True)
class Finding:
    """One result of a check. check: its name; source: data set, file or frame; sentence: what; remedy: what to do."""

    severity: Severity
    check: str
    source: str
    sentence: str
    remedy: str = ""
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All findings and an overview of the labels, one row a data set."""

    findings: list[Finding]
    overview: list[dict[str, Any]]

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the data unfit for training."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def exit_code(self) -> int:
        """2 if there is an error, else 0."""
        return 2 if self.errors else 0

    def counts(self) -> dict[str, int]:
        """Findings by severity."""
        counter = Counter(finding.severity for finding in self.findings)
        return {severity: counter[severity] for severity in ("error", "warning", "info")}

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {
            "exit_code": self.exit_code(),
            "counts": self.counts(),
            "datasets": self.overview,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def __rich__(self) -> Group:
        """Overview, findings (errors first) and the verdict."""
        counts = self.counts()
        verdict = f"{counts['error']} errors, {counts['warning']} warnings"
        colour = next((COLOURS[s] for s in ("error", "warning") if counts[s]), COLOURS["info"])
        return Group(_overview_table(self.overview), _findings_table(self.findings), Text(verdict, colour))


def overview(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """Counts of frames, systems, atoms, elements and labels of each data set, and the keys read."""
    rows = []
    for dataset in dict.fromkeys(frame.dataset for frame in frames):
        members = [frame for frame in frames if frame.dataset == dataset]
        sizes = [len(frame.atoms) for frame in members]
        rows.append(
            {
                "dataset": dataset,
                "frames": len(members),
                "systems": len({frame.system for frame in members}),
                "atoms": [min(sizes), max(sizes)],
                "elements": sorted({symbol for frame in members for symbol in set(frame.atoms.symbols)}),
                "labels": {label: sum(getattr(frame, label) is not None for frame in members) for label in LABELS},
                "keys": {label: key for frame in members for label, key in frame.keys.items()},
            }
        )
    return rows


def summarise(frames: Sequence[Frame], severity: Severity, check: str, sentence: str, remedy: str, **values: float) -> list[Finding]:
    """One finding a data set for all frames with the same trouble, the first few named; {n} in the sentence is their number."""
    findings = []
    for dataset in dict.fromkeys(frame.dataset for frame in frames):
        members = [frame for frame in frames if frame.dataset == dataset]
        named = "; ".join(frame.source for frame in members[:NAMED])
        source = named + (f" and {len(members) - NAMED} more" if len(members) > NAMED else "")
        findings.append(Finding(severity, check, source, sentence.replace("{n}", str(len(members))), remedy, dict(values)))
    return findings


def _overview_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Data sets", title_justify="left")
    for name in ("data set", "frames", "systems", "atoms", "elements", "labels (frames: key)"):
        table.add_column(name, overflow="fold")
    for row in rows:
        low, high = row["atoms"]
        keys = {"stress": row["keys"].get("virial"), **row["keys"]}
        labels = ", ".join(f"{label} ({count}: {keys.get(label) or label})" for label, count in row["labels"].items() if count)
        sizes = str(low) if low == high else f"{low}-{high}"
        table.add_row(row["dataset"], str(row["frames"]), str(row["systems"]), sizes, " ".join(row["elements"]), labels or "none")
    return table


def _findings_table(findings: list[Finding]) -> Table:
    table = Table(title="Findings", title_justify="left", show_lines=True)
    for name in ("", "check", "source", "finding"):
        table.add_column(name, overflow="fold")
    order = list(COLOURS)
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        severity = Text(finding.severity, COLOURS[finding.severity])
        table.add_row(severity, finding.check, Text(finding.source), Text(f"{finding.sentence}{remedy}."))
    return table
