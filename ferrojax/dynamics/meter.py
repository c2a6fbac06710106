"""A line that says how a run gets on."""

from __future__ import annotations

import sys
import time
from datetime import timedelta

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0  # where there is no terminal


class Meter:
    """Steps, picoseconds, temperature, ns/day and the time left: one line rewritten on a terminal, else a line now and then."""

    def __init__(self, begin: int, stop: int, dt: float, show: bool | None) -> None:
        """``dt``: fs. ``show``: None for only on a terminal."""
        self._terminal = sys.stderr.isatty()
        self.on = self._terminal if show is None else show
        self._begin, self._stop, self._dt = begin, stop, dt
        self._started: float | None = None
        self._told = -float("inf")

    def update(self, step: int, temperature: float | None) -> None:
        """The step reached and the latest temperature, K. The first call starts the clock: what came before was compiling."""
        now = time.monotonic()
        if self._started is None:
            self._started, self._begin = now, step
        if not self.on or (not self._terminal and now - self._told < SECONDS_BETWEEN_LINES and step < self._stop):
            return
        self._told = now
        self._print(self.text(step, temperature, now - self._started), end="\r" if self._terminal else "\n")

    def text(self, step: int, temperature: float | None, seconds: float) -> str:
        """The line, ``seconds`` after the step at which the clock started."""
        rate = (step - self._begin) / seconds if seconds > 0 else 0.0  # steps/s
        parts = [f"step {step}/{self._stop}", f"{step * self._dt / 1e3:.3f} ps"]
        if temperature is not None:
            parts.append(f"{temperature:.0f} K")
        if rate > 0:
            left = timedelta(seconds=round((self._stop - step) / rate))
            parts += [f"{rate * self._dt * 86400e-6:.3g} ns/day", f"{left} left"]
        return "  ".join(parts)

    def close(self) -> None:
        """Leave the last line standing."""
        if self.on and self._terminal and self._told > 0:
            self._print("", end="\n")

    def _print(self, text: str, end: str) -> None:
        tqdm.write(text.ljust(79) if end == "\r" else text, file=sys.stderr, end=end)
        sys.stderr.flush()
