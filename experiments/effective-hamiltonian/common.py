"""What the experiments here share: their command line, the parameters that a configuration names, and tables of results."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ferrojax import effective
from ferrojax.files import write_csv
from ferrojax.units import GPA


def read_configuration(about: str | None) -> tuple[dict, Path]:
    """Settings of the YAML file on the command line, and the folder of its name, which is made."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file of the experiment")
    config = parser.parse_args().config
    folder = config.with_suffix("")
    folder.mkdir(exist_ok=True)
    return yaml.safe_load(config.read_text(encoding="utf-8")), folder


def parameters(settings: dict) -> effective.HeffParams:
    """The parameter set under its pressure."""
    return effective.load_parameters(settings["parameters"]).under_pressure(settings["pressure_GPa"] * GPA)


def store(table: Path, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """The results so far as CSV, numbers to six digits."""
    write_csv(table, ({k: v if isinstance(v, str) else f"{v:.6g}" for k, v in row.items()} for row in rows), columns)
