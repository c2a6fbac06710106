"""Arguments of `ferrojax design`; what it does is imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ferrojax.cli_example import wants_example

DESIGN = """\
Inverse design: the strain, field, composition or layer thickness that optimises a barrier, polarization, susceptibility,
piezoelectric or flexoelectric coefficient, under constraints, as CONFIG (YAML) says. Gradients are exact. The optimum is confirmed by
a calculation from scratch; the output folder gets design.json, trace.csv and trace.png.

examples:
  ferrojax design config.yaml
  ferrojax design --example > config.yaml                 a commented configuration to start from
"""


def add_command(commands: Any, command: Any) -> None:
    """Add it to the parser; ``command`` makes one."""
    parser = command(commands, "design", "strain, field or composition that optimises a property", DESIGN, _design)
    parser.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="YAML file")
    parser.add_argument("--example", action="store_true", help="print a commented configuration and stop")


def _design(options: argparse.Namespace) -> None:
    if wants_example(options, "design", "ferrojax.design", "example.yaml"):
        return
    from ferrojax.design.command import run_design
    from ferrojax.terminal import terminal

    terminal().print(str(run_design(options.config)))
