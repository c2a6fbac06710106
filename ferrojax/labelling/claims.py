"""Who works on a job, and whether he still lives."""

from __future__ import annotations

import os
import socket
import time
import uuid
from dataclasses import dataclass

STALE = 600.0  # seconds without a heartbeat after which a claim may be taken over


@dataclass(frozen=True)
class Worker:
    """One taker of jobs. name: unique among all there ever were."""

    name: str
    host: str
    pid: int

    @classmethod
    def here(cls) -> Worker:
        """A worker of this process."""
        host, pid = socket.gethostname(), os.getpid()
        return cls(f"{host}:{pid}:{uuid.uuid4().hex[:8]}", host, pid)


def is_dead(host: str, pid: int, heartbeat: float, here: str) -> bool:
    """Whether a claim's worker is gone: its process has ended, if it ran on the host ``here``, or its heart has stopped."""
    if time.time() - heartbeat > STALE:
        return True
    if host != here:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it runs, for another user
        return False
    return False
