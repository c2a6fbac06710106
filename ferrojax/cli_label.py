"""Arguments of `ferrojax label`; what it does is imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

LABEL = """\
Label structures by first principles, or by a model as a cheap teacher. Jobs and labels lie in one file, a queue, that any
number of workers on any number of machines share. A job that is there already is not added twice, no two workers do the same
one, and a worker that is killed loses no finished label.

examples:
  ferrojax label add structures.extxyz --queue labels.db                      GPAW; `make dft` installs it
  ferrojax label run --queue labels.db --workers 2
  ferrojax label status --queue labels.db
  ferrojax label export --queue labels.db --out labels.extxyz
"""

ADD = """\
Add a job for every structure in the files. Engines: gpaw, espresso, vasp, abinit; model:PATH (a trained model) and
ase:module:factory (any ASE calculator) are teachers, whose labels are called so. Settings are part of a job.

examples:
  ferrojax label add structures.extxyz --queue labels.db --engine gpaw
  ferrojax label add POSCAR --queue labels.db --engine espresso --properties born_charges polarizability
  ferrojax label add pool.extxyz --queue labels.db --engine gpaw --settings gpaw.yaml --priority 5
  ferrojax label add pool.extxyz --queue rest.db --labelled pbtio3-v1
  ferrojax label add pool.extxyz --queue teacher.db --engine model:runs/pto/best
"""

RUN = """\
Do the pending jobs. Start it as often as you like, on as many machines as see the file: each takes what no other has.
SIGTERM or Ctrl-C stop the calculations under way, hand their jobs back and end in good order.

examples:
  ferrojax label run --queue labels.db --workers 2
  ferrojax label run --queue labels.db --launcher "mpirun -np 4" --minutes 230
"""

STATUS = """\
How many jobs are pending, running, done and failed; who works on which; why jobs failed.

examples:
  ferrojax label status --queue labels.db
"""

EXPORT = """\
Write the finished labels as extended XYZ, ready to train on, and where each comes from as JSON beside it.

examples:
  ferrojax label export --queue labels.db --out labels.extxyz
  ferrojax label export --queue labels.db --out labels.extxyz --dataset pbtio3-v1
  ferrojax label export --queue labels.db --out labels.extxyz --only gpaw-pbesol-c25abcd5
"""

RETRY = """\
Make failed jobs pending again, for instance after mending what made them fail.

examples:
  ferrojax label retry --queue labels.db
  ferrojax label retry 12 15 --queue labels.db                                these alone; status gives the numbers
"""

REMOVE = """\
Remove jobs that are pending or failed, with what is in their scratch folders. A job at which a worker is stays, and so does a
finished label unless it is named and --finished given.

examples:
  ferrojax label remove 12 15 --queue labels.db
  ferrojax label remove --state failed --queue labels.db
  ferrojax label remove 3 --finished --queue labels.db                        a finished label too
"""


def add_command(commands: Any, command: Any) -> None:
    """Add it to the parser; ``command`` makes one."""
    label = commands.add_parser(
        "label", help="label structures by first principles", description=LABEL, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = label.add_subparsers(metavar="ACTION", required=True)

    parser = command(actions, "add", "add structures to a queue", ADD, _add)
    parser.add_argument("structures", type=Path, nargs="+", metavar="FRAMES", help="files that ASE reads; every structure in them")
    _add_queue(parser)
    parser.add_argument("--engine", default="gpaw", metavar="NAME", help="default gpaw; see above")
    parser.add_argument(
        "--properties", nargs="+", metavar="NAME",
        help="of energy forces stress dipole (default, as far as the engine gives them) born_charges polarizability force_constants",
    )  # fmt: skip
    parser.add_argument("--settings", type=Path, metavar="YAML", help="settings of the engine (default: as documented)")
    parser.add_argument("--priority", type=int, default=0, metavar="N", help="higher ones are done first (default 0)")
    parser.add_argument(
        "--labelled", type=Path, nargs="+", default=[], metavar="DATA", help="leave out the structures of these labelled files"
    )

    parser = command(actions, "run", "do the pending jobs", RUN, _run)
    _add_queue(parser)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="calculations side by side (default 1)")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after so many jobs")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no job after so long")
    parser.add_argument("--launcher", default="", metavar="COMMAND", help='what programs are started with, e.g. "mpirun -np 4"')

    parser = command(actions, "status", "what is pending, running, done and failed", STATUS, _status)
    _add_queue(parser)

    parser = command(actions, "export", "write the finished labels", EXPORT, _export)
    _add_queue(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="extended XYZ; the provenance goes to .json beside it")
    parser.add_argument("--dataset", metavar="NAME", help="name to give the data set (default: engine, functional and settings' hash)")
    parser.add_argument("--only", metavar="NAME", help="the labels of this data set alone (status names them, if there are several)")

    _add_upkeep(actions, command)


def _add_upkeep(actions: Any, command: Any) -> None:
    parser = command(actions, "retry", "make failed jobs pending again", RETRY, _retry)
    _add_jobs(parser, "their numbers (default: all failed ones)")
    _add_queue(parser)

    parser = command(actions, "remove", "remove pending and failed jobs", REMOVE, _remove)
    _add_jobs(parser, "their numbers")
    _add_queue(parser)
    parser.add_argument("--state", choices=("pending", "failed"), help="all jobs in this state, instead of numbers")
    parser.add_argument("--finished", action="store_true", help="finished labels among the numbers too")


def _add_jobs(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("jobs", type=int, nargs="*", metavar="JOB", help=text)


def _add_queue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", type=Path, required=True, metavar="FILE.db", help="the queue")


def _add(options: argparse.Namespace) -> None:
    from ferrojax.labelling.command import run_add

    run_add(options.structures, options.queue, options.engine, options.properties, options.settings, options.priority, options.labelled)


def _run(options: argparse.Namespace) -> None:
    from ferrojax.labelling.command import run_queue

    run_queue(options.queue, options.workers, options.limit, options.minutes, options.launcher)


def _status(options: argparse.Namespace) -> None:
    from ferrojax.labelling.command import run_status

    run_status(options.queue)


def _export(options: argparse.Namespace) -> None:
    from ferrojax.labelling.command import run_export

    run_export(options.queue, options.out, options.dataset, options.only)


def _retry(options: argparse.Namespace) -> None:
    from ferrojax.labelling.command import run_retry

    run_retry(options.queue, options.jobs)


def _remove(options: argparse.Namespace) -> None:
    from ferrojax.labelling.command import run_remove

    run_remove(options.queue, options.jobs, options.state, options.finished)
