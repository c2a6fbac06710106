"""Run the processes of an engine, so that none outlives its worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ferrojax.labelling import leash
from ferrojax.labelling.job import CalculationFailed

Stop = Callable[[], bool]  # whether to stop now
POLL = 0.1  # seconds between two looks at whether to stop
TAIL = 300  # characters of the log that a message quotes
# Engines spread k-points over processes; threads on top of them would fight for the cores.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Interrupted(Exception):
    """The calculation was stopped on request."""


def run_command(arguments: list[str], folder: Path, log: str, environment: Mapping[str, str], stop: Stop) -> None:
    """Run a command in a folder, its output into the file ``log`` there; one thread unless the environment says otherwise.

    Raises CalculationFailed, quoting the end of the log, if it ends with another status than 0; Interrupted when stopped,
    after its processes are gone.
    """
    surroundings = {**ONE_THREAD, **os.environ, **environment}
    with open(folder / log, "wb") as output:
        # Away from the terminal: Ctrl-C there reaches the worker alone, which then stops in good order.
        process = subprocess.Popen(
            [sys.executable, leash.__file__, *arguments],
            cwd=folder, env=surroundings, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            status = _wait(process, stop)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait()
    if status is None:
        raise Interrupted
    if status != 0:
        raise CalculationFailed(f"{Path(arguments[0]).name} ended with status {status}; its last words: {_tail(folder / log)}")


def _wait(process: subprocess.Popen, stop: Stop) -> int | None:
    """Exit status, or None when stopped."""
    while True:
        try:
            return process.wait(POLL)
        except subprocess.TimeoutExpired:
            if stop():
                return None


def _tail(log: Path) -> str:
    text = " ".join(log.read_text(errors="replace")[-10 * TAIL :].split())
    return text[-TAIL:] or "none"
