"""Writing in a thread of its own, so that the device never waits for the disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

LIMIT = 8  # jobs that may wait; then the run waits, rather than filling the memory


class Writer:
    """Does jobs one after the other; the first error ends them all and is raised in the main thread at the next call."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(LIMIT)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="ferrojax-writer", daemon=True)
        self._thread.start()

    def put(self, job: Callable[[], None]) -> None:
        """Have a job done, after those before it. Raises what an earlier one raised."""
        self._raise()
        self._queue.put(job)

    def finish(self) -> None:
        """Wait for all jobs. Raises what one of them raised."""
        self._queue.put(None)
        self._thread.join()
        self._raise()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            try:
                if self._error is None:
                    job()
            except BaseException as error:  # noqa: BLE001  handed to the main thread whatever it is
                self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
