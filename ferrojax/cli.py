"""Command line: train, evaluate, simulate, relax, respond, switch, design, inspect, check data, quick start."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ferrojax import __version__, cli_analyse, cli_design, cli_label, cli_learn, cli_pto_test, cli_response
from ferrojax.cli_example import wants_example
from ferrojax.errors import FerrojaxError

BAD_INPUT = 2
INTERRUPTED = 130

OVERVIEW = """\
A differentiable simulator for ferroelectrics: train an equivariant potential with charges on
first-principles data, then take forces, stress, polarization, Born charges and response from it.

a first session:
  ferrojax quickstart                                     train on the shipped PbTiO3 data, relax and switch it with the shipped model
  ferrojax data check mydata.extxyz                       is the data fit to train on?
  ferrojax label add pool.extxyz --queue labels.db        first-principles labels; then label run, label export
  ferrojax train config.yaml                              train; a second call resumes
  ferrojax evaluate --model runs/pto/best --data test.extxyz --json metrics.json
  ferrojax md config.yaml                                 molecular dynamics; a second call goes on
  ferrojax loop config.yaml                               P-E hysteresis loop
  ferrojax relax POSCAR --model MODEL --out relaxed.xyz   in a field, under stress; then response, phonons, flexo
  ferrojax barrier up.cif down.cif --model MODEL          switching path, barrier and its derivatives
  ferrojax design config.yaml                             strain, field or composition by gradients
  ferrojax learn config.yaml                              active learning: train, explore, label, again
  ferrojax analyse trajectory.h5 --reference start.xyz    maps of polarization and tilts, walls, topology
  ferrojax pto-test --model MODEL --short                 is it a potential of PbTiO3? 0 K, phonons, heating, speed
"""

TRAIN = """\
Train as CONFIG (YAML) says. Progress, metrics.csv, parity plots, checkpoints and the model go to the output
folder it names. Run the same command again after a kill and it resumes, bit for bit.

examples:
  ferrojax train config.yaml
  ferrojax train --example > config.yaml                  a commented configuration to start from
"""

EVALUATE = """\
Errors of a model on labelled data: energy (meV/atom), forces (meV/Å), stress (GPa), dipole (e·Å, nearest image),
Born charges (e), polarizability; each with RMSE, MAE and the number of labels.

examples:
  ferrojax evaluate --model runs/pto/best --data test.extxyz
  ferrojax evaluate --model runs/pto/best --data vasp/OUTCAR deepmd/ --align-energies --json metrics.json --plots parity/
"""

MD = """\
Molecular dynamics as CONFIG (YAML) says: any ensemble, with temperature, field, stress and strain that may change with
time. The output folder gets trajectory.h5 (H5MD), log.csv, run.json and checkpoints. Run the same command again after a
kill and it goes on from the last checkpoint to the same files, bit for bit; SIGTERM saves and exits.

examples:
  ferrojax md config.yaml
  ferrojax md --example > config.yaml                     a commented configuration to start from
"""

LOOP = """\
P-E hysteresis loop in a triangular field, as CONFIG (YAML) says. Besides what `ferrojax md` writes, the output folder gets
loop.csv, loop.png (P in C/m² against E in kV/cm) and loop.json: remanence, coercive field, area and dissipated energy.

examples:
  ferrojax loop config.yaml
  ferrojax loop --example > config.yaml                   a commented configuration to start from
"""

BARRIER = """\
Minimum-energy path between two structures (climbing-image nudged elastic band or string), its saddle to full precision, and the
barrier with its derivatives by strain, field and stress. Both structures are relaxed first. The output folder gets path.extxyz,
path.csv, path.png, saddle.extxyz and barrier.json.

examples:
  ferrojax barrier up.cif down.cif --model runs/pto/best --start mode
  ferrojax barrier up.cif down.cif --model runs/pto/best --free xx yy zz yz xz xy --field 0 0 0.005 --second
"""

INFO = """\
Versions, devices and precision; with a model also its elements, size, cutoff, training data and errors.

examples:
  ferrojax info
  ferrojax info runs/pto/best
"""

CHECK = """\
Look for what spoils a training: swapped sign of the virial, duplicates, NaN, outliers, forces that do not sum to
zero, units that cannot be right. Exit status 2 if an error was found, 0 if there are at most warnings.

examples:
  ferrojax data check mydata.extxyz
  ferrojax data check deepmd/ --json report.json
"""

QUICKSTART = """\
Train briefly on the PbTiO3 data that ships with ferrojax and evaluate; then, with the shipped model pbtio3-v1, relax the
tetragonal phase, print polarization, Born charges, the switching barrier with its slopes in strain and field and the
flexoelectric tensor, reverse the polarization with a field in a short molecular dynamics run, and write one report.

examples:
  ferrojax quickstart
  ferrojax quickstart --minutes 20 --output runs/longer
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 for bad input, 130 when interrupted."""
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except FerrojaxError as error:
        return _fail(str(error), BAD_INPUT)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}; check the path, the permissions and the free disk space.", BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted.", INTERRUPTED)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="ferrojax", description=OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"ferrojax {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_train(commands)
    _add_evaluate(commands)
    _add_simulation(commands, "md", "molecular dynamics from a YAML configuration", MD, _md)
    _add_simulation(commands, "loop", "P-E hysteresis loop from a YAML configuration", LOOP, _loop)
    _add_barrier(commands)
    cli_response.add_commands(commands, _command)
    cli_design.add_command(commands, _command)
    cli_label.add_command(commands, _command)
    cli_learn.add_command(commands, _command)
    cli_analyse.add_command(commands, _command)
    cli_pto_test.add_command(commands, _command)
    _add_info(commands)
    _add_data(commands)
    _add_quickstart(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = _command(commands, "train", "train a model from a YAML configuration", TRAIN, _train)
    train.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="YAML file")
    train.add_argument("--example", action="store_true", help="print a commented configuration and stop")


def _add_evaluate(commands: Any) -> None:
    evaluate = _command(commands, "evaluate", "errors of a model on labelled data", EVALUATE, _evaluate)
    evaluate.add_argument("--model", type=Path, required=True, help="model folder, or the name of a shipped model")
    evaluate.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="PATH", help="extended XYZ, what ASE reads, DeePMD folders"
    )
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write the metrics to this file")
    evaluate.add_argument("--align-energies", action="store_true", help="fit one energy shift per element on this data first")
    evaluate.add_argument("--plots", type=Path, metavar="DIR", help="write parity plots to this folder")


def _add_simulation(commands: Any, name: str, summary: str, text: str, run: Any) -> None:
    parser = _command(commands, name, summary, text, run)
    parser.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="YAML file")
    parser.add_argument("--example", action="store_true", help="print a commented configuration and stop")
    parser.add_argument("--progress", action="store_true", help="lines of progress also where there is no terminal")


def _add_barrier(commands: Any) -> None:
    barrier = _command(commands, "barrier", "switching path between two structures, its barrier and derivatives", BARRIER, _barrier)
    barrier.add_argument("initial", type=Path, metavar="INITIAL", help="structure, anything ASE reads")
    barrier.add_argument("final", type=Path, metavar="FINAL", help="structure with the same atoms in the same order")
    barrier.add_argument("--model", type=Path, required=True, help="model folder, or the name of a shipped model")
    barrier.add_argument("--out", type=Path, default=Path("runs/barrier"), metavar="DIR", help="default runs/barrier")
    barrier.add_argument("--field", type=float, nargs=3, default=(0.0, 0.0, 0.0), metavar=("X", "Y", "Z"), help="V/Å")
    barrier.add_argument("--free", nargs="+", default=(), metavar="STRAIN", help="strains that follow, of xx yy zz yz xz xy (default none)")
    barrier.add_argument("--stress", type=float, nargs=6, default=(0.0,) * 6, metavar="S", help="GPa, xx yy zz yz xz xy, tension positive")
    barrier.add_argument("--images", type=int, default=9, help="both ends included (default 9)")
    barrier.add_argument("--method", choices=("neb", "string"), default="neb", help="default neb")
    barrier.add_argument("--start", choices=("linear", "idpp", "mode"), default="linear", help="first path; mode bends it (default linear)")
    barrier.add_argument("--force-tolerance", type=float, default=0.01, metavar="F", help="of the path, eV/Å (default 0.01)")
    barrier.add_argument("--second", action="store_true", help="all second derivatives too")


def _add_info(commands: Any) -> None:
    info = _command(commands, "info", "versions and devices, or what a model is", INFO, _info)
    info.add_argument("model", type=Path, nargs="?", metavar="MODEL", help="model folder, or the name of a shipped model")


def _add_data(commands: Any) -> None:
    data = commands.add_parser("data", help="check labelled data")
    check = _command(data.add_subparsers(metavar="ACTION", required=True), "check", "find what spoils a training", CHECK, _check)
    check.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    check.add_argument("--json", type=Path, metavar="OUT", help="write the report to this file")


def _add_quickstart(commands: Any) -> None:
    quickstart = _command(commands, "quickstart", "train, evaluate, relax and switch PbTiO3, with a report", QUICKSTART, _quickstart)
    quickstart.add_argument("--minutes", type=float, default=2.0, help="time for training (default 2)")
    quickstart.add_argument("--output", type=Path, default=Path("runs/quickstart"), metavar="DIR", help="default runs/quickstart")
    quickstart.add_argument("--seed", type=int, default=0, help="random seed (default 0)")


def _command(commands: Any, name: str, summary: str, text: str, run: Any) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    return parser


def _train(options: argparse.Namespace) -> None:
    if wants_example(options, "train", "ferrojax.training", "example.yaml"):
        return
    from ferrojax.training.api import train

    train(options.config)


def _md(options: argparse.Namespace) -> None:
    if wants_example(options, "md", "ferrojax.dynamics", "md.yaml"):
        return
    from ferrojax.dynamics.simulate import simulate

    end = simulate(options.config, options.progress or None)
    print(f"step {int(end.progress.step)}: {end.records.temperature[-1]:.0f} K, {end.records.total[-1]:.4f} eV")


def _loop(options: argparse.Namespace) -> None:
    if wants_example(options, "loop", "ferrojax.dynamics", "loop.yaml"):
        return
    from ferrojax.dynamics.simulate import pe_loop

    for name, value in pe_loop(options.config, options.progress or None).numbers.items():
        print(f"{name}: {value}")


def _barrier(options: argparse.Namespace) -> None:
    from ferrojax.paths.command import run_barrier

    settings = {name: value for name, value in vars(options).items() if name != "run"}
    run_barrier(**settings)


def _evaluate(options: argparse.Namespace) -> None:
    from ferrojax.commands import run_evaluate

    run_evaluate(options.model, options.data, options.json, options.align_energies, options.plots)


def _info(options: argparse.Namespace) -> None:
    from ferrojax.commands import run_info

    run_info(options.model)


def _check(options: argparse.Namespace) -> int:
    from ferrojax.data.command import run_check

    return run_check([str(path) for path in options.paths], options.json and str(options.json))


def _quickstart(options: argparse.Namespace) -> None:
    if options.minutes <= 0:
        raise FerrojaxError(f"--minutes {options.minutes:g}: give a positive number of minutes.")
    from ferrojax import quickstart

    quickstart.run(options.output, options.minutes, options.seed)


def _fail(message: str, status: int) -> int:
    print(f"ferrojax: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
