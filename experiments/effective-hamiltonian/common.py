"""What the experiments here share: the parameters that a configuration names, and tables of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ferrojax import effective
from ferrojax.files import write_csv
from ferrojax.units import GPA


def parameters(settings: dict) -> effective.HeffParams:
    """The parameter set under its pressure."""
    return effective.load_parameters(settings["parameters"]).under_pressure(settings["pressure_GPa"] * GPA)


def store(table: Path, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """The results so far as CSV, numbers to six digits."""
    write_csv(table, ({k: v if isinstance(v, str) else f"{v:.6g}" for k, v in row.items()} for row in rows), columns)
