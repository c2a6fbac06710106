"""Labels for a loop: from the engine of its configuration, through a queue that others may work on too."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ferrojax.data import Frame
from ferrojax.errors import FerrojaxError
from ferrojax.labelling import Job, Queue, make_engine, run
from ferrojax.labelling.engines.base import Engine
from ferrojax.labelling.job import DEFAULT_PROPERTIES, check_properties
from ferrojax.learning.config import LearnConfig

POLL = 5.0  # seconds between two looks at what workers elsewhere have in hand


@dataclass(frozen=True)
class Labels:
    """Who labels, and what there is already."""

    config: LearnConfig

    @property
    def path(self) -> Path:
        """The queue."""
        return Path(self.config.label.queue or Path(self.config.output) / "labels.db")

    @cached_property
    def engine(self) -> Engine:
        """As configured."""
        section = self.config.label
        return make_engine(section.engine, section.settings, section.launcher)

    @cached_property
    def properties(self) -> tuple[str, ...]:
        """What is labelled. Raises FerrojaxError for what the engine does not give."""
        wanted, provided = self.config.label.properties, self.engine.provides
        usual = [name for name in DEFAULT_PROPERTIES if name in provided]
        return check_properties(usual if wanted is None else wanted, provided, self.engine.name)

    def check(self) -> None:
        """Raises FerrojaxError for an engine that is not installed, and as ``properties``."""
        self.engine.check()
        self.properties  # noqa: B018  looked up for its errors

    def possible(self, frames: list[Frame]) -> list[Frame]:
        """Without those whose calculation has failed already."""
        failed = {made["key"] for made in Queue(self.path).failures()} if self.path.exists() else set()
        return [frame for frame in frames if self._key(frame) not in failed] if failed else frames

    def calculated(self, wanted: list[Frame], priority: int, quiet: bool) -> list[Frame]:
        """Labels of the structures, without those that fail; waits for workers elsewhere.

        Raises FerrojaxError if a signal ends it before, and for an engine that is not installed.
        """
        section, queue, keys = self.config.label, Queue(self.path), {self._key(frame) for frame in wanted}
        self.engine.check()
        queue.add(wanted, self.engine, self.properties, priority=priority)
        while True:
            run(self.path, section.workers, launcher=section.launcher, progress=not quiet)
            states = [state for key, state in queue.states().items() if key in keys]
            if "pending" in states:  # a signal has ended the run
                left = len(keys) - states.count("done") - states.count("failed")
                raise FerrojaxError(
                    f"{self.path}: stopped with {left} of {len(keys)} structures not labelled; run the same command to go on."
                )
            if "running" not in states:
                break
            time.sleep(POLL)  # those of workers that die are taken over by ``run``
        found = [frame for frame, made in queue.labelled() if made["key"] in keys]
        return [replace(frame, dataset=section.dataset or frame.dataset) for frame in found]

    def _key(self, frame: Frame) -> str:
        return Job(frame.atoms, self.engine.name, self.engine.plain_settings(), self.properties).key
