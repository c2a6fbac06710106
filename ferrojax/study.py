"""The command line of a study such as those in experiments/: a YAML file, and a folder of its name for what is found."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ferrojax.errors import FerrojaxError
from ferrojax.sections import read_mapping


def read_study(about: str | None) -> tuple[dict[str, Any], Path]:
    """Settings of the YAML file on the command line, and the folder of its name beside it, which is made. ``about`` is what --help says.

    Ends the process with one sentence if the file cannot be read.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file of the study")
    config = parser.parse_args().config
    try:
        settings = read_mapping(config)
    except FerrojaxError as error:
        raise SystemExit(str(error)) from None
    folder = config.with_suffix("")
    folder.mkdir(exist_ok=True)
    return settings, folder
