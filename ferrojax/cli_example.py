"""What commands with a YAML configuration share: a commented one to start from."""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files

from ferrojax.errors import FerrojaxError


def wants_example(options: argparse.Namespace, command: str, package: str, name: str) -> bool:
    """Whether a commented configuration was asked for, which is then printed. Raises FerrojaxError if there is none to run either."""
    if options.example:
        sys.stdout.write((files(package) / name).read_text(encoding="utf-8"))
    elif options.config is None:
        raise FerrojaxError(f"{command} needs a configuration file; `ferrojax {command} --example > config.yaml` writes one to start from.")
    return options.example
