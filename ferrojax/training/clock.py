"""How much of the training is done, in a way that a resumed run repeats exactly."""

from __future__ import annotations

import time
from pathlib import Path

QUANTUM = 10  # steps between two looks at the clock


class StepClock:
    """Progress as the share of a known number of steps; seconds: time spent, earlier runs included."""

    def __init__(self, total: int, seconds: float = 0.0) -> None:
        self.total = total
        self._begun = time.monotonic() - seconds

    @property
    def seconds(self) -> float:
        """Time spent so far."""
        return time.monotonic() - self._begun

    def progress(self, step: int) -> float:
        """Share done before this step, 1 when none is left."""
        return min(1.0, step / self.total)


class MinuteClock:
    """Progress as the share of a time budget; seconds: time since the first step, earlier runs included.

    Every look at the clock is written to a journal with its step. After a restart the
    steps since the checkpoint read the journal, not the clock, so they repeat
    bit for bit, and the budget goes on from where the journal ends.
    """

    def __init__(self, minutes: float, journal: Path, step: int = 0) -> None:
        self._budget = 60.0 * minutes
        self._recorded = _read(journal)
        self.seconds = max((seconds for past, seconds in self._recorded.items() if past <= step), default=0.0)
        self._journal = journal.open("a", buffering=1)
        self._begun: float | None = None

    def progress(self, step: int) -> float:
        """Share of the time used at this step; 1 when it is over."""
        if step in self._recorded:
            self.seconds = self._recorded[step]
        elif step % QUANTUM == 0:
            self._look(step)
        return min(1.0, self.seconds / self._budget)

    def _look(self, step: int) -> None:
        now = time.monotonic()
        if self._begun is None:
            self._begun = now - self.seconds
        self.seconds = self._recorded[step] = max(self.seconds, now - self._begun)
        self._journal.write(f"{step},{self.seconds!r}\n")


def _read(journal: Path) -> dict[int, float]:
    """Recorded seconds by step; a line cut short by a kill is cut off."""
    if not journal.exists():
        return {}
    text = journal.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        with journal.open("r+") as file:
            file.truncate(len(whole))
    return {int(step): float(seconds) for step, seconds, *_ in (line.split(",") for line in whole.splitlines())}
