"""Run the notebooks from top to bottom.

python tools/notebooks.py                 # each is run and written back with its output, if no cell failed
python tools/notebooks.py --check         # run and written nowhere, as tests/test_notebooks.py does
python tools/notebooks.py notebooks/1-quickstart.ipynb
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ferrojax.files import write_text

ROOT = Path(__file__).resolve().parent.parent


def execute(path: Path, write: bool) -> None:
    """Run a notebook in its folder; written back only if every cell ran."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(path.parent)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of the day
    if write:
        write_text(path, nbformat.writes(notebook) + "\n")


def main() -> int:
    """Run what the command line names; 1 if a cell failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="run them and write nothing")
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # alarms of slow compilation are no part of a story
    failed = 0
    for path in options.notebooks or sorted((ROOT / "notebooks").glob("*.ipynb")):
        start = time.perf_counter()
        try:
            execute(path, not options.check)
        except CellExecutionError as error:
            failed += 1
            print(f"{path.name}: {error}", file=sys.stderr)
        else:
            print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
