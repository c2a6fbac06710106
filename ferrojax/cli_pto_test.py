"""Arguments of `ferrojax pto-test`; what it does is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from ferrojax.errors import FerrojaxError

PTO_TEST = """\
The PTO-test: what a potential makes of PbTiO3. Both phases at 0 K, phonons, heating at constant stress and in the
experimental cell, time of a step; then pass or fail: c/a at 300 K, one transition from 500 to 800 K, no melting, no
unstable phonon. Any ferrojax model, and any ASE calculator. The output folder gets report.html, report.json, figures and
a file for each result; the same command again goes on where it was, with the report of what is there.

The whole protocol takes hours on a CPU; --short takes minutes, on a smaller crystal, and says so in its report.

examples:
  ferrojax pto-test --model runs/pto/best --short --out runs/pto-short
  ferrojax pto-test --ase chgnet.model.dynamics:CHGNetCalculator --stages statics phonons --out runs/chgnet
  ferrojax pto-test --example > pto.yaml                  the protocol, to change
"""


def add_command(commands: Any, command: Any) -> None:
    """Add it to the parser; ``command`` makes one."""
    parser = command(commands, "pto-test", "benchmark of a PbTiO3 potential: 0 K, phonons, heating, speed", PTO_TEST, _pto_test)
    parser.add_argument("--model", metavar="FOLDER", help="folder of a ferrojax model, or the name of a shipped one")
    parser.add_argument("--ase", metavar="MODULE:FACTORY", help="ASE calculator: its class, or a function that returns it")
    parser.add_argument("--out", type=Path, default=Path("runs/pto-test"), metavar="DIR", help="default runs/pto-test")
    parser.add_argument("--stages", nargs="+", metavar="STAGE", help="of statics, phonons, npt, nvt, efficiency (default all)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file with changes to the protocol")
    parser.add_argument("--short", action="store_true", help="a smaller crystal for a shorter time; not the protocol")
    parser.add_argument("--name", help="of the potential in the report")
    parser.add_argument("--example", action="store_true", help="print the protocol as a commented configuration and stop")


def _pto_test(options: argparse.Namespace) -> None:
    if options.example:
        sys.stdout.write((files("ferrojax.pto_test") / "example.yaml").read_text(encoding="utf-8"))
        return
    if options.config and options.short:
        raise FerrojaxError("pto-test: give --config or --short, not both.")
    from ferrojax.pto_test.command import make_potential, run_test
    from ferrojax.pto_test.config import read_config
    from ferrojax.pto_test.stages import STAGES

    config = read_config(options.config, options.short)
    potential = make_potential(options.model, options.ase, config)
    run_test(potential, options.out, config, options.stages or STAGES, options.name)
