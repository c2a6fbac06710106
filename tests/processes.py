"""Whether a process still runs."""

from __future__ import annotations

import time
from pathlib import Path


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within that time; one that nobody has buried counts as ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # it may end between the opening and the reading
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
