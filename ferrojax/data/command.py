"""`ferrojax data check PATH...`"""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from ferrojax.data.check import check_frames
from ferrojax.data.frame import Frame
from ferrojax.data.readers import read_frames
from ferrojax.data.report import Finding, Report
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text

SHOWN = 20  # reading errors listed one by one


def run_check(
    paths: Sequence[str],
    json: str | None = None,
    dataset: str | None = None,
    keys: Mapping[str, str] | None = None,
    elements: Sequence[str] | None = None,
    console: Console | None = None,
) -> int:
    """Read all paths, print the report, write it as JSON if asked; 2 if there is an error, else 0.

    Frames that cannot be read are findings too, and the rest is checked. Raises FerrojaxError if the JSON file cannot be written.
    """
    errors: list[FerrojaxError] = []
    frames: list[Frame] = []
    for path in paths:
        frames += read_frames(path, dataset, keys, elements, on_error=errors.append)
    checked = check_frames(frames)
    report = Report(_reading_findings(errors) + checked.findings, checked.overview)
    (console or Console()).print(report)
    if json is not None:
        write_text(Path(json), json_module.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return report.exit_code()


def _reading_findings(errors: list[FerrojaxError]) -> list[Finding]:
    findings = []
    for error in errors[:SHOWN]:
        source, _, rest = str(error).partition(": ")
        sentence, _, remedy = rest.rstrip(".").partition("; ")
        findings.append(Finding("error", "reading", source, sentence, remedy))
    if len(errors) > SHOWN:
        findings.append(
            Finding("error", "reading", "all", f"{len(errors) - SHOWN} more frames or files cannot be used", "mend the first ones")
        )
    return findings
