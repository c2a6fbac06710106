"""The order of work of a queue, a table beside those of ASE."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from ase.db.sqlite import all_tables

from ferrojax.errors import FerrojaxError

# The order of work is kept beside ASE's tables: SQLite's transactions make each change of state atomic between processes
# and hosts, and undo one that a kill cut short. ASE's own lock files would stay behind.
TABLE = """CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY,     -- of the row in ASE's table
    key TEXT UNIQUE NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    worker TEXT, host TEXT, pid INTEGER, heartbeat REAL)"""


def choose(connection: sqlite3.Connection, path: Path, ids: Iterable[int] | None, states: Sequence[str]) -> dict[int, str]:
    """Keys of the jobs of these numbers, or of all jobs in these states, by number.

    Raises FerrojaxError for a number that no job has, or whose job is in none of these states.
    """
    jobs = {id: (key, state) for id, key, state in connection.execute("SELECT id, key, state FROM jobs ORDER BY id")}
    if ids is None:
        return {id: key for id, (key, state) in jobs.items() if state in states}
    chosen: dict[int, str] = {}
    for id in ids:
        if id not in jobs:
            raise FerrojaxError(f"{path}: there is no job {id}; ase db {path} lists them.")
        key, state = jobs[id]
        if state not in states:
            raise FerrojaxError(f"{path}: job {id} is {state}, not {' or '.join(states)}; leave it out.")
        chosen[id] = key
    return chosen


def count_finished(connection: sqlite3.Connection) -> dict[str, int]:
    """Number of finished labels of each data set, by name."""
    names = "SELECT value FROM text_key_values JOIN jobs USING (id) WHERE text_key_values.key = 'dataset' AND state = 'done'"
    return dict(connection.execute(f"SELECT value, count(*) FROM ({names}) GROUP BY value ORDER BY value").fetchall())


def delete(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Remove jobs from the order of work and from ASE's tables, within the transaction that is open: ASE's own way would end it."""
    rows = [(id,) for id in ids]
    for table in ("jobs", *reversed(all_tables)):
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", rows)
