"""Run a command that ends when whoever started it does: `python leash.py COMMAND...`.

The starter holds the other end of the standard input. When that closes, because the starter says so or was killed, the
command and all its children get SIGTERM and, ten seconds later, SIGKILL. Only the standard library is used here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

GRACE = 10.0  # seconds


def main(arguments: list[str]) -> int:
    """Exit status of the command, or 128 plus the number of the signal that ended it."""
    try:
        child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"{arguments[0]}: {error.strerror}\n")
        return 127
    done = threading.Event()
    threading.Thread(target=_watch, args=(child.pid, done), daemon=True).start()
    status = child.wait()
    done.set()
    return status if status >= 0 else 128 - status


def _watch(group: int, done: threading.Event) -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: this returns when the pipe is closed
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        if not done.wait(GRACE):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
