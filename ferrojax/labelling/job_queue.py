"""Jobs and their labels in one SQLite file, through ASE's database, shared by any number of workers."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.db import connect

from ferrojax.data.frame import Frame
from ferrojax.errors import FerrojaxError
from ferrojax.labelling.claims import Worker, is_dead
from ferrojax.labelling.engines.base import Engine
from ferrojax.labelling.job import DEFAULT_PROPERTIES, Job, Label, check_properties
from ferrojax.labelling.jobs_table import TABLE, choose, count_finished, delete
from ferrojax.labelling.rows import bare, job_data, labelled_atoms, to_frame, to_job, unframed

STATES = ("pending", "running", "done", "failed")
MAX_ATTEMPTS = 3  # workers that may die over one job before it is given up
CHUNK = 500  # jobs added in one transaction


@dataclass(frozen=True)
class Claim:
    """A job that a worker has taken."""

    id: int
    worker: Worker
    job: Job


class Queue:
    """Jobs in a file; every method is atomic, whoever else works on the file and whatever is killed.

    States: pending, running (claimed by a living worker), done, failed (with a reason; never exported).
    ASE reads the file too: `ase db labels.db state=done -c formula,energy`.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file; it is made when first added to. Raises FerrojaxError for a name that does not end in .db."""
        self.path = Path(path)
        if self.path.suffix != ".db":
            raise FerrojaxError(f"{path}: the name of a queue ends in .db; rename it.")
        self._database = connect(str(path), use_lock_file=False)

    @property
    def scratch(self) -> Path:
        """Folder of the calculations under way, and of the failed ones."""
        return self.path.with_suffix(".scratch")

    def folder(self, key: str) -> Path:
        """Scratch folder of the job with this key."""
        return self.scratch / key[:16]

    def add(
        self, structures: Iterable[Atoms | Frame], engine: Engine, properties: Sequence[str] = DEFAULT_PROPERTIES, priority: int = 0
    ) -> int:
        """Add a job for each structure; returns how many were new. Jobs of higher priority are done first.

        Raises FerrojaxError for a property that the engine does not give and for a structure that is not periodic.
        """
        wanted = check_properties(properties, engine.provides, engine.name)
        jobs = [Job(bare(structure, k), engine.name, engine.plain_settings(), wanted) for k, structure in enumerate(structures)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        added = 0
        for start in range(0, len(jobs), CHUNK):
            with self._transaction() as connection:
                connection.execute(TABLE)
                added += sum(self._add(connection, job, engine.dataset, priority) for job in jobs[start : start + CHUNK])
        return added

    def take(self, worker: Worker) -> Claim | None:
        """Claim the next pending job, those of dead workers included; None if there is none."""
        with self._opened() as connection:
            self._release_dead(connection, worker)
            row = connection.execute("SELECT id FROM jobs WHERE state = 'pending' ORDER BY priority DESC, id LIMIT 1").fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE jobs SET attempts = attempts + 1, worker = ?, host = ?, pid = ?, heartbeat = ? WHERE id = ?",
                (worker.name, worker.host, worker.pid, time.time(), row[0]),
            )
            self._set(connection, row[0], "running")
            return Claim(row[0], worker, to_job(self._database.get(id=row[0])))

    def beat(self, worker: Worker) -> None:
        """Tell the others that this worker lives."""
        with self._opened() as connection:
            connection.execute("UPDATE jobs SET heartbeat = ? WHERE worker = ? AND state = 'running'", (time.time(), worker.name))

    def finish(self, claim: Claim, label: Label, provenance: Mapping[str, Any]) -> bool:
        """Record a label; False, and nothing recorded, if the job was taken over by another worker meanwhile."""
        with self._opened() as connection:
            if not self._owns(connection, claim):
                return False
            atoms, others = labelled_atoms(claim.job, label)
            self._database.update(claim.id, atoms=atoms, data={"others": others, "provenance": dict(provenance)})
            self._set(connection, claim.id, "done")
            return True

    def fail(self, claim: Claim, reason: str, provenance: Mapping[str, Any]) -> bool:
        """Record why there is no label; False as for finish."""
        with self._opened() as connection:
            if not self._owns(connection, claim):
                return False
            self._database.update(claim.id, data={"provenance": {**provenance, "error": reason}})
            self._set(connection, claim.id, "failed")
            return True

    def release(self, claim: Claim) -> None:
        """Hand a claim back as if it had not been taken."""
        with self._opened() as connection:
            if self._owns(connection, claim):
                connection.execute("UPDATE jobs SET attempts = attempts - 1 WHERE id = ?", (claim.id,))
                self._set(connection, claim.id, "pending")

    def retry(self, ids: Iterable[int] | None = None) -> int:
        """Make failed jobs pending again, all or those of these numbers; returns how many.

        Raises FerrojaxError, and nothing is changed, for a number whose job is not failed.
        """
        with self._opened() as connection:
            chosen = choose(connection, self.path, ids, ("failed",))
            for id in chosen:
                connection.execute("UPDATE jobs SET attempts = 0 WHERE id = ?", (id,))
                self._set(connection, id, "pending")
            return len(chosen)

    def remove(self, ids: Iterable[int] | None, states: Sequence[str] = ("pending", "failed")) -> int:
        """Remove the jobs of these numbers, with their scratch folders, or all in the given states; returns how many.

        Raises FerrojaxError, and nothing is removed, for a number whose job is in another state.
        """
        with self._opened() as connection:
            self._release_dead(connection, Worker.here())
            chosen = choose(connection, self.path, ids, states)
            delete(connection, chosen)
            for key in chosen.values():
                shutil.rmtree(self.folder(key), ignore_errors=True)
            return len(chosen)

    def counts(self) -> dict[str, int]:
        """Number of jobs in each state."""
        with self._opened() as connection:
            found = Counter(dict(connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()))
        return {state: found[state] for state in STATES}

    def states(self) -> dict[str, str]:
        """State of each job, by its key."""
        with self._opened() as connection:
            return dict(connection.execute("SELECT key, state FROM jobs").fetchall())

    def datasets(self) -> dict[str, int]:
        """Number of finished labels of each data set."""
        with self._opened() as connection:
            return count_finished(connection)

    def running(self) -> list[tuple[int, str, float]]:
        """Id, worker and seconds since the last heartbeat of each running job."""
        with self._opened() as connection:
            rows = connection.execute("SELECT id, worker, heartbeat FROM jobs WHERE state = 'running' ORDER BY id").fetchall()
        return [(id, worker, time.time() - heartbeat) for id, worker, heartbeat in rows]

    def frames(self) -> list[Frame]:
        """All finished labels, in the order in which their jobs were added."""
        return [frame for frame, _ in self.labelled()]

    def labelled(self) -> list[tuple[Frame, dict[str, Any]]]:
        """All finished labels, each with its provenance, and with the labels that a frame does not hold: ``force_constants``."""
        with self._opened():
            rows = list(self._database.select(state="done", sort="id"))
        return [(to_frame(row, f"{self.path.name}, job {row.id}"), {**row.data["provenance"], **unframed(row)}) for row in rows]

    def failures(self) -> list[dict[str, Any]]:
        """Id, formula and provenance, the job's key and the reason (``error``) among it, of each failed job."""
        with self._opened():
            rows = list(self._database.select(state="failed", sort="id"))
        return [{"id": row.id, "formula": row.formula, **row.data.get("provenance", {})} for row in rows]

    def run(self, **options: Any) -> dict[str, int]:
        """Label what is pending; options and result as of ``ferrojax.labelling.worker.run``."""
        from ferrojax.labelling.worker import run

        return run(self.path, **options)

    def _add(self, connection: sqlite3.Connection, job: Job, dataset: str, priority: int) -> bool:
        if connection.execute("SELECT 1 FROM jobs WHERE key = ?", (job.key,)).fetchone():
            return False
        id = self._database.write(job.atoms, engine=job.engine, dataset=dataset, state="pending", data=job_data(job))
        connection.execute("INSERT INTO jobs VALUES (?, ?, 'pending', ?, 0, NULL, NULL, NULL, NULL)", (id, job.key, priority))
        return True

    def _release_dead(self, connection: sqlite3.Connection, worker: Worker) -> None:
        rows = connection.execute("SELECT id, key, host, pid, heartbeat, attempts FROM jobs WHERE state = 'running'").fetchall()
        for id, key, host, pid, heartbeat, attempts in rows:
            if not is_dead(host, pid, heartbeat, worker.host):
                continue
            if attempts >= MAX_ATTEMPTS:
                reason = f"{attempts} workers died over this job; find out why (memory?), then ferrojax label retry."
                self._database.update(id, data={"provenance": {"key": key, "error": reason}})
            self._set(connection, id, "failed" if attempts >= MAX_ATTEMPTS else "pending")

    def _owns(self, connection: sqlite3.Connection, claim: Claim) -> bool:
        mine = (claim.id, claim.worker.name)
        return connection.execute("SELECT 1 FROM jobs WHERE id = ? AND worker = ? AND state = 'running'", mine).fetchone() is not None

    def _set(self, connection: sqlite3.Connection, id: int, state: str) -> None:
        """Change the state, in ASE's table too, where people look for it."""
        if state != "running":
            connection.execute("UPDATE jobs SET worker = NULL, host = NULL, pid = NULL, heartbeat = NULL WHERE id = ?", (id,))
        connection.execute("UPDATE jobs SET state = ? WHERE id = ?", (state, id))
        self._database.update(id, state=state)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A transaction on a queue that must exist."""
        if not self.path.is_file():
            raise FerrojaxError(f"{self.path}: there is no such queue; ferrojax label add makes one.")
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction that nobody else's comes between; undone if anything goes wrong inside."""
        try:
            with self._database as database:
                connection = database.connection
                connection.execute("BEGIN IMMEDIATE")
                _ = database.metadata  # makes ASE's tables in a new file, and then commits
                if not connection.in_transaction:
                    connection.execute("BEGIN IMMEDIATE")
                yield connection
        except sqlite3.DatabaseError as error:
            raise FerrojaxError(f"{self.path}: the queue cannot be used ({error}); check file, disk and who else holds it.") from None
