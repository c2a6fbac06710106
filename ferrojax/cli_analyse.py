"""Arguments of `ferrojax analyse`; what it does is imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ferrojax.errors import FerrojaxError

ANALYSE = """\
Polarization, off-centring and octahedral tilts of each unit cell of a perovskite along a trajectory (H5MD, extended XYZ, LAMMPS
dump, ASE), read frame by frame. Cells are found once in a reference with the same atoms in the same order; it may be polar, tilted
and wrapped. The output folder gets maps.extxyz (OVITO draws its vectors), series.csv (P, phase, tilts, topological charge),
walls.csv and cores.csv. Dipoles come from Born charges by element, from a model's Born charges at the reference, or from a model in
each frame.

examples:
  ferrojax analyse runs/md/trajectory.h5 --reference start.xyz --a Pb --b Ti --born Pb=3.90 Ti=7.06 O=-5.83,-2.56
  ferrojax analyse dump.lammpstrj --elements Pb Ti O --reference start.xyz --a Pb --b Ti --model MODEL --walls x:z --every 10
  ferrojax analyse dump.lammpstrj --elements Pb Ti O --time-step 1 --diffusion O
  ferrojax analyse runs/lattice/trajectory.h5 --effective pbtio3-lda --maps hdf5
"""


def add_command(commands: Any, command: Any) -> None:
    """Add it to the parser; ``command`` makes one."""
    parser = command(commands, "analyse", "maps of polarization and tilts, walls and topology of a trajectory", ANALYSE, _analyse)
    parser.add_argument("trajectory", type=Path, metavar="TRAJECTORY", help="H5MD, extended XYZ, LAMMPS dump or what ASE reads")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="structure with the same atoms, in which the cells are found")
    species = {"nargs": "+", "metavar": "X"}
    parser.add_argument("--a", **species, default=(), help="elements on the A site")
    parser.add_argument("--b", **species, default=(), help="elements on the B site")
    parser.add_argument("--oxygen", **species, default=("O",), help="elements on the anion site (default O)")
    parser.add_argument("--born", nargs="+", default=(), metavar="X=Z", help="Born charges, e; X=ALONG,ACROSS with respect to the B-O bond")
    parser.add_argument("--model", type=Path, help="model folder or shipped model; its Born charges are used where --born names none")
    parser.add_argument("--charges", choices=("born", "model", "stored"), default="born", help="model: its dipoles in each frame")
    parser.add_argument("--effective", metavar="NAME", help="the trajectory is a lattice of this parameter set, or its file")
    parser.add_argument("--centre", choices=("B", "A"), default="B", help="of the cells (default B)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="use each N-th frame (default 1)")
    parser.add_argument("--elements", **species, default=(), help="of LAMMPS types 1, 2, ...")
    parser.add_argument("--time-step", type=float, metavar="FS", help="fs of a step, or of a frame where steps are not counted")
    parser.add_argument("--layers", choices=("x", "y", "z", "none"), default="z", help="axis across which Q is counted (default z)")
    parser.add_argument("--walls", metavar="AXIS:COMPONENT", help="fit walls: x:z for P_z along x, or 1,0,0:0,1,1")
    parser.add_argument("--cores", choices=("vortices", "skyrmions"), help="of the layers, followed from frame to frame")
    parser.add_argument("--threshold", type=float, default=0.1, metavar="P", help="C/m² from which P counts (default 0.1)")
    parser.add_argument("--tilt-threshold", type=float, default=1.0, metavar="DEG", help="from which a tilt counts (default 1 degree)")
    parser.add_argument("--diffusion", **species, default=(), help="diffusion coefficients of these elements; needs no reference")
    parser.add_argument("--maps", choices=("extxyz", "hdf5", "none"), default="extxyz", help="default extxyz")
    parser.add_argument("--out", type=Path, default=Path("runs/analysis"), metavar="DIR", help="default runs/analysis")


def _analyse(options: argparse.Namespace) -> None:
    from ferrojax.ferroelectrics.analyse import Source, atom_mapper, axis_number, lattice_mapper, run_analyse, run_diffusion
    from ferrojax.ferroelectrics.series import Series

    source = Source(options.trajectory, options.every, options.elements, options.time_step)
    if options.diffusion:
        run_diffusion(source, options.diffusion, options.out)
        if options.reference is None and options.effective is None:
            return
    if options.effective is not None:
        mapper = lattice_mapper(options.effective)
    else:
        sites = (options.a, options.b, options.oxygen)
        mapper = atom_mapper(options.reference, sites, options.charges, _born(options.born), options.model, options.centre)
    layers = None if options.layers == "none" else axis_number(options.layers)
    if options.cores and layers is None:
        raise FerrojaxError("--cores: they lie in layers; name the axis across them with --layers.")
    series = Series(options.threshold, layers, options.walls and _walls(options.walls), options.tilt_threshold, options.cores)
    run_analyse(source, mapper, series, options.maps, options.out)


def _walls(text: str) -> tuple[Any, Any]:
    try:
        axis, component = map(_direction, text.split(":"))
        return axis, component
    except ValueError:
        raise FerrojaxError(f"--walls {text}: give an axis and a component, such as x:z or 1,0,0:0,1,1.") from None


def _direction(text: str) -> int | tuple[int, int, int]:
    from ferrojax.ferroelectrics.analyse import axis_number

    if "," not in text:
        return axis_number(text)
    one, two, three = map(int, text.split(","))
    return one, two, three


def _born(items: list[str]) -> dict[str, float | tuple[float, float]]:
    charges: dict[str, float | tuple[float, float]] = {}
    for item in items:
        try:
            name, numbers = item.split("=")
            values = [float(x) for x in numbers.split(",")]
            charges[name] = values[0] if len(values) == 1 else (values[0], values[1])
            if len(values) > 2:
                raise ValueError
        except ValueError:
            raise FerrojaxError(f"--born {item}: give ELEMENT=CHARGE or ELEMENT=ALONG,ACROSS in e, such as O=-5.83,-2.56.") from None
    return charges
