"""Polymorphs of HfO2 and ZrO2, in cells along the axes of the cubic fluorite.

Cells and coordinates were measured on ZrO2:
cubic: Aldebert and Traverse, J. Am. Ceram. Soc. 68, 34 (1985), at 2683 K.
tetragonal: Teufer, Acta Cryst. 15, 1187 (1962), at 1523 K.
monoclinic: Howard, Hill and Reichert, Acta Cryst. B 44, 116 (1988).
polar: Kisi, Howard and Hill, J. Am. Ceram. Soc. 72, 1757 (1989), Mg-doped, at 295 K.
antipolar: Ohtaka, Yamanaka, Kume, Hara, Asano and Izumi, Proc. Jpn. Acad. B 66, 193 (1990).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.spacegroup import crystal

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.perovskite import cell_rows

Site = tuple[float, float, float]
# The cells of HfO2 are smaller: cube root of the ratio of the volumes of the monoclinic cells, with HfO2 from
# Hann, Suitch and Pentecost, J. Am. Ceram. Soc. 68, C285 (1985): 138.32 and 140.88 Å³.
SCALE = {"Zr": 1.0, "Hf": (138.32 / 140.88) ** (1 / 3)}
COLUMN = 0.065  # 1/4 - z(O): how far the columns of oxygen of the tetragonal phase move along z, in c


@dataclass(frozen=True)
class Polymorph:
    """A space group, lengths and angles of the cell of ZrO2 (Å, degrees), and the places of metal and oxygens."""

    group: int
    cell: tuple[float, ...]
    metal: Site
    oxygens: tuple[Site, ...]


POLYMORPHS = {
    "cubic": Polymorph(225, (5.269, 5.269, 5.269, 90, 90, 90), (0, 0, 0), ((0.25, 0.25, 0.25),)),
    "tetragonal": Polymorph(137, (5.148, 5.148, 5.27, 90, 90, 90), (0, 0, 0), ((0.25, 0.25, 0.25),)),
    "monoclinic": Polymorph(
        14, (5.1505, 5.2116, 5.3173, 90, 99.23, 90), (0.2754, 0.0395, 0.2083), ((0.0700, 0.3317, 0.3447), (0.4496, 0.7569, 0.4792))
    ),
    "polar": Polymorph(29, (5.260, 5.068, 5.077, 90, 90, 90), (0.030, 0.267, 0.250), ((0.361, 0.068, 0.106), (0.229, 0.537, 0.0))),
    "antipolar": Polymorph(
        61, (10.0861, 5.2615, 5.0910, 90, 90, 90), (0.8843, 0.0332, 0.2558), ((0.7911, 0.3713, 0.1310), (0.9779, 0.7477, 0.4948))
    ),
}


def fluorite(formula: str, phase: str, cell: Any = None) -> Atoms:
    """A polymorph of "HfO2" or "ZrO2", a start for a relaxation.

    phase: "cubic" (Fm-3m), "tetragonal" (P4_2/nmc), "monoclinic" (P2_1/c), "polar" (Pca2_1, P along z) or "antipolar" (Pbca, 24
    atoms; the others have 12). cell: another one, as in ``perovskite``; by default that of ZrO2, scaled for HfO2.
    Coordinates are those of ZrO2; sources stand at the head of the module. Cubic and tetragonal cells are those of high temperature.

    Raises FerrojaxError for another formula, phase or cell.
    """
    if phase not in POLYMORPHS:
        raise FerrojaxError(f"the phase of a fluorite must be one of {', '.join(POLYMORPHS)}; got {phase!r}.")
    metal = formula.removesuffix("O2")
    if metal not in SCALE or formula == metal:
        raise FerrojaxError(f"fluorite polymorphs are known of HfO2 and ZrO2; got {formula!r}. Replace the metal of ZrO2 for others.")
    chosen = POLYMORPHS[phase]
    symbols = [metal, *["O"] * len(chosen.oxygens)]
    # The tetragonal phase in these axes is no standard setting: it is the cubic one with moved oxygens.
    group = 225 if phase == "tetragonal" else chosen.group
    atoms = crystal(symbols, [chosen.metal, *chosen.oxygens], spacegroup=group, cellpar=_scaled(chosen.cell, SCALE[metal]), symprec=1e-6)
    plain = Atoms(atoms.numbers, scaled_positions=atoms.get_scaled_positions(), cell=atoms.cell, pbc=True)
    if phase == "tetragonal":
        plain.positions[:, 2] += COLUMN * plain.cell[2, 2] * _columns(plain)
    if cell is not None:
        plain.set_cell(cell_rows(cell), scale_atoms=True)
    return plain


def _scaled(cell: tuple[float, ...], scale: float) -> list[float]:
    return [scale * length for length in cell[:3]] + list(cell[3:])


def _columns(atoms: Atoms) -> np.ndarray:
    """+1 and -1 for the columns of oxygen along z in a checkerboard, 0 for the metal."""
    x, y = np.round(4 * atoms.get_scaled_positions()[:, :2]).T
    return np.where(atoms.numbers == 8, np.where((x + y) % 4 == 2, 1, -1), 0)
