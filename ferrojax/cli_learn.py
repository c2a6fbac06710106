"""Arguments of `ferrojax learn`; what it does is imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ferrojax.cli_example import wants_example

LEARN = """\
Active learning as CONFIG (YAML) says: train a committee, explore with it, have those structures labelled that its members
disagree about, train again. The output folder gets a folder for each round, report.md, rounds.csv and learning.png. Run
the same command again after a kill and it goes on; finished labels are kept whatever happens.

examples:
  ferrojax learn config.yaml
  ferrojax learn --example > config.yaml                  a commented configuration to start from
"""


def add_command(commands: Any, command: Any) -> None:
    """Add it to the parser; ``command`` makes one."""
    parser = command(commands, "learn", "active learning: train, explore, label, again", LEARN, _learn)
    parser.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="YAML file")
    parser.add_argument("--example", action="store_true", help="print a commented configuration and stop")


def _learn(options: argparse.Namespace) -> None:
    if wants_example(options, "learn", "ferrojax.learning", "example.yaml"):
        return
    from ferrojax.learning.loop import learn
    from ferrojax.terminal import terminal

    learnt = learn(options.config)
    terminal().print(f"{learnt.stopped}; models in {', '.join(map(str, learnt.members))}")
