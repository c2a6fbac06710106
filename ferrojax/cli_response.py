"""Arguments of `ferrojax relax`, `response`, `phonons` and `flexo`; what they do is imported when they run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

RELAX = """\
Relax the atoms and, unless it is fixed, the cell of a structure in any format that ASE reads, in a field and under
pressure or stress, in float64. Prints enthalpy, stress, space group before and after, cell, and the softest mode.

examples:
  ferrojax relax POSCAR --model runs/pto/best --out relaxed.xyz
  ferrojax relax POSCAR --model runs/pto/best --symmetry --force-tolerance 1e-8 --out relaxed.xyz
  ferrojax relax POSCAR --model runs/pto/best --pressure 2 --field 0 0 0.01 --out pressed.cif
  ferrojax relax film.xyz --model runs/pto/best --cell zz,yz,xz --out film-relaxed.xyz    a film: its plane is held
"""

RESPONSE = """\
Elastic, piezoelectric and dielectric tensors of a relaxed structure, clamped- and relaxed-ion, Born charges, and the
softest mode. The structure must be at rest: relax it first, in the same field, and write it to a format with all digits.

examples:
  ferrojax response relaxed.xyz --model runs/pto/best
  ferrojax response relaxed.xyz --model runs/pto/best --json tensors.json --born BORN    BORN: for phonopy
  ferrojax response --effective pbtio3-lda --direction 0 0 1                             a well of local modes
"""

PHONONS = """\
Phonon bands along symmetry lines with LO-TO splitting, density of states and zone-centre modes of a relaxed structure,
by automatic differentiation in the cell itself: no supercells. Writes bands.png, band.yaml (phonopy's), bands.csv and
total_dos.dat. Give the primitive cell, relaxed in the same field.

examples:
  ferrojax phonons relaxed.xyz --model runs/pto/best --out runs/phonons
  ferrojax phonons relaxed.xyz --model runs/pto/best --supercell 4 4 4      POSCAR, FORCE_CONSTANTS, BORN for phonopy too
"""

FLEXO = """\
Flexoelectric tensor of a relaxed structure in nC/m at E = 0: P_a = mu_ad,bc d(strain_bc)/dr_d, electrons, internal strain
and lattice together. The sublattices share a net force by mass, as in a sound wave, or equally; bending does not depend on it.

examples:
  ferrojax flexo relaxed.xyz --model runs/pto/best
  ferrojax flexo relaxed.xyz --model runs/pto/best --weights equal --json flexo.json
"""


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser; ``command`` makes one."""
    parser = command(commands, "relax", "relax a structure in a field, under pressure or stress", RELAX, _relax)
    parser.add_argument("structure", type=Path, metavar="STRUCTURE", help="file that ASE reads; the last structure in it")
    parser.add_argument("--model", type=Path, required=True, help="model folder, or the name of a shipped model")
    _add_field(parser)
    parser.add_argument("--pressure", type=float, metavar="GPA", help="hydrostatic pressure, GPa")
    names = ("XX", "YY", "ZZ", "YZ", "XZ", "XY")
    parser.add_argument("--stress", type=float, nargs=6, metavar=names, help="outer stress, GPa, tension positive")
    parser.add_argument("--cell", default="full", metavar="WHAT", help="full (default), fixed, or free strains such as zz,yz,xz")
    parser.add_argument("--symmetry", action="store_true", help="keep the space group that the structure has within 1e-3 Å")
    parser.add_argument("--force-tolerance", type=float, default=1e-5, metavar="X", help="eV/Å (default 1e-5)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the relaxed structure; its name says the format")

    parser = command(commands, "response", "elastic, piezoelectric and dielectric tensors", RESPONSE, _response)
    parser.add_argument("structure", type=Path, nargs="?", metavar="STRUCTURE", help="relaxed structure, a file that ASE reads")
    parser.add_argument("--model", type=Path, help="model folder, or the name of a shipped model")
    parser.add_argument("--effective", metavar="NAME", help="parameter set of the effective Hamiltonian, or its file")
    direction = {"type": float, "nargs": 3, "default": (0.0, 0.0, 1.0), "metavar": ("X", "Y", "Z")}
    parser.add_argument("--direction", **direction, help="of the modes with --effective (default 0 0 1)")
    _add_field(parser)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all tensors, those of each atom too")
    parser.add_argument("--born", type=Path, metavar="OUT", help="write phonopy's BORN file")

    parser = command(commands, "phonons", "phonon bands, density of states, files for phonopy", PHONONS, _phonons)
    _add_relaxed(parser)
    parser.add_argument("--points", type=int, default=51, metavar="N", help="on each segment (default 51)")
    mesh = {"type": int, "nargs": 3, "metavar": ("N1", "N2", "N3")}
    parser.add_argument("--mesh", **mesh, default=(12, 12, 12), help="of the density of states (default 12 12 12)")
    parser.add_argument("--supercell", **mesh, help="write files for phonopy, exact at the waves of this supercell")
    parser.add_argument("--out", type=Path, default=Path("runs/phonons"), metavar="DIR", help="default runs/phonons")

    parser = command(commands, "flexo", "flexoelectric tensor", FLEXO, _flexo)
    _add_relaxed(parser)
    parser.add_argument("--weights", choices=("mass", "equal"), default="mass", help="shares of the net force (default mass)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all tensors")


def _add_relaxed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("structure", type=Path, metavar="STRUCTURE", help="relaxed structure, a file that ASE reads")
    parser.add_argument("--model", type=Path, required=True, help="model folder, or the name of a shipped model")
    _add_field(parser)


def _add_field(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--field", type=float, nargs=3, default=(0.0, 0.0, 0.0), metavar=("X", "Y", "Z"), help="electric field, V/Å")


def _relax(options: argparse.Namespace) -> None:
    from ferrojax.response.command import run_relax

    conditions = (options.field, options.pressure, options.stress, options.cell, options.symmetry, options.force_tolerance)
    run_relax(options.structure, options.model, *conditions, options.out)


def _response(options: argparse.Namespace) -> None:
    from ferrojax.response.command import run_response

    run_response(options.structure, options.model, options.effective, options.direction, options.field, options.json, options.born)


def _phonons(options: argparse.Namespace) -> None:
    from ferrojax.response.wave_commands import run_phonons

    supercell = options.supercell and tuple(options.supercell)
    run_phonons(options.structure, options.model, options.field, options.points, tuple(options.mesh), supercell, options.out)


def _flexo(options: argparse.Namespace) -> None:
    from ferrojax.response.wave_commands import run_flexo

    run_flexo(options.structure, options.model, options.field, options.weights, options.json)
