"""What `ferrojax label` does, apart from reading its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ferrojax.data.structure import read_structures
from ferrojax.labelling.engines import make_engine
from ferrojax.labelling.export import export
from ferrojax.labelling.job_queue import Queue

SHOWN = 10  # failures listed


def run_add(
    structures: Sequence[Path], queue: Path, engine: str, properties: Sequence[str] | None, settings: Path | None, priority: int
) -> None:
    """Add the structures of files to a queue; by default with what the engine gives of energy, forces, stress and dipole."""
    chosen = make_engine(engine, settings)
    wanted = properties or [name for name in ("energy", "forces", "stress", "dipole") if name in chosen.provides]
    atoms = [structure for file in structures for structure in read_structures(file)]
    added = Queue(queue).add(atoms, chosen, wanted, priority)
    known = f", {len(atoms) - added} were there already" if added < len(atoms) else ""
    _say(f"{queue}: {added} jobs added{known}; data set {chosen.dataset}")


def run_queue(queue: Path, workers: int, limit: int | None, minutes: float | None, launcher: str) -> None:
    """Label what is pending."""
    found = Queue(queue)
    tally = found.run(workers=workers, limit=limit, minutes=minutes, launcher=launcher, progress=True)
    left = found.counts()
    _say(f"{queue}: {tally['done']} done, {tally['failed']} failed; {left['pending']} pending, {left['running']} running elsewhere")


def run_status(queue: Path) -> None:
    """Print how many jobs are in each state, who works on what, and why jobs failed."""
    found = Queue(queue)
    table = Table(title=str(queue), title_justify="left")
    counts = found.counts()
    for state in counts:
        table.add_column(state, justify="right")
    table.add_row(*map(str, counts.values()))
    Console().print(table)
    for id, worker, silence in found.running():
        _say(f"job {id}: running at {worker}, last heartbeat {silence:.0f} s ago")
    failures = found.failures()
    for failure in failures[:SHOWN]:
        _say(f"job {failure['id']} ({failure['formula']}): {failure.get('error', 'unknown')}")
    if len(failures) > SHOWN:
        _say(f"and {len(failures) - SHOWN} more failures")


def run_export(queue: Path, output: Path, dataset: str | None) -> None:
    """Write the finished labels."""
    count = export(Queue(queue), output, dataset)
    _say(f"{output}: {count} frames; where each comes from is in {output.with_suffix('.json')}")


def run_retry(queue: Path) -> None:
    """Make failed jobs pending again."""
    _say(f"{queue}: {Queue(queue).retry()} failed jobs are pending again")


def _say(text: str) -> None:
    Console(soft_wrap=True).print(text, highlight=False, markup=False)
