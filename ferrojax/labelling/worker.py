"""Workers: take a job, label it, record it, until none is left."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ferrojax.errors import FerrojaxError
from ferrojax.labelling.claims import Worker
from ferrojax.labelling.engines import make_engine
from ferrojax.labelling.engines.base import Engine
from ferrojax.labelling.job import Label
from ferrojax.labelling.job_queue import Claim, Queue
from ferrojax.labelling.process import Interrupted
from ferrojax.signals import caught_signals

HEARTBEAT = 30.0  # seconds; far less than claims.STALE
LINES = 30.0  # seconds between two lines of progress where there is no terminal


def run(
    path: str | Path, workers: int = 1, limit: int | None = None, minutes: float | None = None, launcher: str = "", progress: bool = False
) -> dict[str, int]:
    """Label the pending jobs of a queue with ``workers`` calculations side by side; returns how many were done and failed.

    limit: at most so many jobs. minutes: begin none after so long. launcher: what first-principles programs are started with,
    e.g. "mpirun -np 4". SIGTERM and SIGINT stop the calculations, hand their jobs back and end the run in good order.
    Raises FerrojaxError, jobs handed back, if an engine is not installed.
    """
    if workers < 1:
        raise FerrojaxError(f"workers: {workers} is no positive number of calculations side by side; give at least 1.")
    waiting = Queue(path).counts()["pending"]
    total = waiting if limit is None else min(limit, waiting)
    with tqdm(total=total, unit="job", disable=not progress, mininterval=0.5 if sys.stderr.isatty() else LINES) as meter:
        crew = _Crew(Path(path), launcher, limit, minutes, meter)
        with caught_signals() as caught, ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(crew.work) for _ in range(workers)]
            beaten = time.monotonic()
            while True:
                done, running = wait(futures, timeout=0.2)
                if caught or any(future.exception() for future in done):
                    crew.stop.set()
                if not running:
                    break
                if time.monotonic() - beaten > HEARTBEAT:
                    beaten = time.monotonic()
                    crew.beat()
    for future in futures:
        future.result()
    return crew.tally


class _Crew:
    """What the threads of one run share."""

    def __init__(self, path: Path, launcher: str, limit: int | None, minutes: float | None, meter: Any) -> None:
        self.path, self.launcher, self.meter = path, launcher, meter
        self.left = float("inf") if limit is None else limit
        self.deadline = float("inf") if minutes is None else time.monotonic() + 60.0 * minutes
        self.tally = {"done": 0, "failed": 0}
        self.members: list[Worker] = []
        self.stop, self.lock = threading.Event(), threading.Lock()

    def work(self) -> None:
        """One thread: job after job."""
        queue, worker = Queue(self.path), Worker.here()
        engines: dict[str, Engine] = {}
        with self.lock:
            self.members.append(worker)
        while self._may_begin():
            claim = queue.take(worker)
            if claim is None:
                return
            settled = False
            try:
                outcome = self._label(queue, claim, engines)
                settled = True
            except Interrupted:
                return
            finally:
                if not settled:
                    queue.release(claim)
            with self.lock:
                self.tally[outcome] += 1
                self.meter.update()
                self.meter.set_postfix(failed=self.tally["failed"])

    def beat(self) -> None:
        """Tell the other workers that these live; a file that is busy for long is told next time."""
        with suppress(FerrojaxError):
            for worker in list(self.members):
                Queue(self.path).beat(worker)

    def _may_begin(self) -> bool:
        with self.lock:
            if self.stop.is_set() or self.left <= 0 or time.monotonic() > self.deadline:
                return False
            self.left -= 1
            return True

    def _label(self, queue: Queue, claim: Claim, engines: dict[str, Engine]) -> str:
        """Label and record; "done" or "failed". An engine that is not there stops the run instead."""
        engine = _engine(claim, engines, self.launcher)
        folder = queue.folder(claim.job.key)
        begun = time.monotonic()
        made = _provenance(engine, claim)
        try:
            label = engine.earlier(claim.job, folder) or _fresh(engine, claim, folder, self.stop.is_set)
        except FerrojaxError as error:
            queue.fail(claim, str(error), {**made, "converged": False, "wall_seconds": time.monotonic() - begun})
            return "failed"
        made |= {"version": label.version, "converged": True, "iterations": label.iterations, "details": dict(label.details)}
        queue.finish(claim, label, {**made, "wall_seconds": time.monotonic() - begun})
        shutil.rmtree(folder, ignore_errors=True)
        return "done"


def _provenance(engine: Engine, claim: Claim) -> dict[str, Any]:
    """Who makes the label, how, where and when."""
    return {
        "key": claim.job.key,
        "engine": engine.name,
        "settings": engine.plain_settings(),
        "settings_hash": engine.settings_hash,
        "dataset": engine.dataset,
        "properties": list(claim.job.properties),
        "info": dict(claim.job.atoms.info),
        "host": claim.worker.host,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _engine(claim: Claim, engines: dict[str, Engine], launcher: str) -> Engine:
    job = claim.job
    name = f"{job.engine} {dict(job.settings)}"
    if name not in engines:
        engine = make_engine(job.engine, job.settings, launcher)
        engine.check()
        engines[name] = engine
    return engines[name]


def _fresh(engine: Engine, claim: Claim, folder: Path, stop: Any) -> Label:
    shutil.rmtree(folder, ignore_errors=True)
    return engine.label(claim.job, folder, stop)
