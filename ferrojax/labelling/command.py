"""What `ferrojax label` does, apart from reading its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from rich.table import Table

from ferrojax.data import Frame, read_frames
from ferrojax.data.checks.duplicates import find_duplicates
from ferrojax.data.structure import plain, read_structures
from ferrojax.errors import FerrojaxError
from ferrojax.labelling.engines import make_engine
from ferrojax.labelling.export import export
from ferrojax.labelling.job_queue import Queue
from ferrojax.terminal import terminal

SHOWN = 10  # failures listed


def run_add(
    structures: Sequence[Path],
    queue: Path,
    engine: str,
    properties: Sequence[str] | None,
    settings: Path | None,
    priority: int,
    labelled: Sequence[Path] = (),
) -> None:
    """Add the structures of files to a queue; by default with what the engine gives of energy, forces, stress and dipole.

    Structures that the files ``labelled`` hold are left out, also if moved by lattice vectors or with their atoms in another order.
    """
    chosen = make_engine(engine, settings)
    wanted = properties or [name for name in ("energy", "forces", "stress", "dipole") if name in chosen.provides]
    atoms = [structure for file in structures for structure in read_structures(file)]
    new = _without(atoms, [frame for file in labelled for frame in read_frames(file)])
    added = Queue(queue).add(new, chosen, wanted, priority)
    known = f", {len(new) - added} were there already" if added < len(new) else ""
    known += f", {len(atoms) - len(new)} have labels" if len(new) < len(atoms) else ""
    terminal().print(f"{queue}: {added} jobs added{known}; data set {chosen.dataset}")


def _without(structures: list[Atoms], labelled: list[Frame]) -> list[Atoms]:
    """The structures that are not among the labelled ones."""
    if not labelled:
        return structures
    frames = [Frame(plain(atoms)) for atoms in structures]
    copies = {id(copy) for _, copy in find_duplicates([*labelled, *frames])}
    return [atoms for atoms, frame in zip(structures, frames) if id(frame) not in copies]


def run_queue(queue: Path, workers: int, limit: int | None, minutes: float | None, launcher: str) -> None:
    """Label what is pending."""
    found = Queue(queue)
    tally = found.run(workers=workers, limit=limit, minutes=minutes, launcher=launcher, progress=True)
    left = found.counts()
    terminal().print(
        f"{queue}: {tally['done']} done, {tally['failed']} failed; {left['pending']} pending, {left['running']} running elsewhere"
    )


def run_status(queue: Path) -> None:
    """Print how many jobs are in each state, of which data sets if they are several, who works on what, and why jobs failed."""
    found = Queue(queue)
    table = Table(title=str(queue), title_justify="left")
    counts = found.counts()
    for state in counts:
        table.add_column(state, justify="right")
    table.add_row(*map(str, counts.values()))
    terminal().print(table)
    datasets = found.datasets()
    if len(datasets) > 1:
        terminal().print(f"data sets of the finished ones: {', '.join(f'{name} ({count})' for name, count in datasets.items())}")
    for id, worker, silence in found.running():
        terminal().print(f"job {id}: running at {worker}, last heartbeat {silence:.0f} s ago")
    failures = found.failures()
    for failure in failures[:SHOWN]:
        terminal().print(f"job {failure['id']} ({failure['formula']}): {failure.get('error', 'unknown')}")
    if len(failures) > SHOWN:
        terminal().print(f"and {len(failures) - SHOWN} more failures")


def run_export(queue: Path, output: Path, dataset: str | None, only: str | None) -> None:
    """Write the finished labels."""
    count = export(Queue(queue), output, dataset, only)
    terminal().print(f"{output}: {count} frames; where each comes from is in {output.with_suffix('.json')}")


def run_retry(queue: Path, jobs: Sequence[int]) -> None:
    """Make failed jobs pending again, all if none is named."""
    terminal().print(f"{queue}: {Queue(queue).retry(jobs or None)} failed jobs are pending again")


def run_remove(queue: Path, jobs: Sequence[int], state: str | None, finished: bool) -> None:
    """Remove the named jobs, or all in a state; finished labels among the named ones only if so asked.

    Raises FerrojaxError if neither or both are given, and as ``Queue.remove``.
    """
    if bool(jobs) == bool(state):
        raise FerrojaxError(f"{queue}: nothing is removed; give either the numbers of jobs or --state.")
    states = (state,) if state else ("pending", "failed", "done") if finished else ("pending", "failed")
    terminal().print(f"{queue}: {Queue(queue).remove(jobs or None, states)} jobs removed")
