"""Relaxed PbTiO3 at 0 K: both phases, spontaneous polarization, Born charges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from ase import Atoms
from jaxtyping import Float

from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.potential import Model
from ferrojax.response.first import born_charges, dipole_moment, eps_inf
from ferrojax.state import State, to_ase
from ferrojax.units import E_PER_A2, GPA

ATOMS = ("Pb", "Ti", "O apical", "O (bond y)", "O (bond x)")  # an equatorial O is named after its Ti-O bond
# Relaxed with GPAW (PBEsol) at the settings of the labels: experiments/dft-labels/pbtio3-relaxed.json and README.md.
REFERENCE = {"a": 3.8719, "c": 4.2196, "c/a": 1.0898, "z Ti": 0.5573, "z O apical": 0.9770, "z O equatorial": 0.4709, "a cubic": 3.9229}
REFERENCE_DIFFERENCE = 95.2  # meV/f.u., E(cubic) - E(tetragonal)
REFERENCE_POLARIZATION = 0.978  # C/m²
PB_HEIGHT = 0.0987  # the origin along z is free: Pb is put here, as in the reference
SKIN = 1.0  # Å
FORCE, STRESS = 1e-4, 0.001 * GPA  # eV/Å, eV/Å³; the soft c axis moves by 0.003 Å at ten times as much
STEPS_ON_PATH = 20

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Statics:
    """Results at 0 K.

    tetragonal, cubic: relaxed states. numbers: as REFERENCE. difference: E(cubic) - E(tetragonal), meV/f.u.
    polarization: C/m², with respect to the cubic phase. path: P_z along the way there, C/m².
    born, born_cubic: e, [atom, polarization, displacement]. permittivity: ε∞ of the tetragonal phase.
    """

    tetragonal: State
    cubic: State
    numbers: dict[str, float]
    difference: float
    polarization: np.ndarray
    path: np.ndarray
    born: np.ndarray
    born_cubic: np.ndarray
    permittivity: np.ndarray
    converged: bool


def perovskite(a: float, c: float, ti: float = 0.5, apical: float = 0.0, equatorial: float = 0.5, pb: float = 0.0) -> Atoms:
    """Five-atom PbTiO3 in the order of ATOMS; heights as fractions of c."""
    places = [(0, 0, pb), (0.5, 0.5, ti), (0.5, 0.5, apical), (0.5, 0, equatorial), (0, 0.5, equatorial)]
    return Atoms("PbTiO3", scaled_positions=places, cell=(a, a, c), pbc=True)


def relax_phases(model: Model, enthalpy: Enthalpy, params: Any, warn: Warn) -> Statics:
    """Relax tetragonal and cubic PbTiO3, then differentiate; call it where float64 is enabled.

    A relaxation that does not converge is passed to ``warn``; what follows is then of its starting structure.
    """
    heights = (REFERENCE["z Ti"], REFERENCE["z O apical"] - 1, REFERENCE["z O equatorial"], PB_HEIGHT)
    starts = [perovskite(3.87, 4.22, *heights), perovskite(3.92, 3.92)]
    slots = max(_prepare(model, atoms).topology.neighbors.shape[1] for atoms in starts)  # one shape, compiled once
    (tetragonal, polar, good), (cubic, nonpolar, fine) = (
        _relaxed(name, enthalpy, params, _prepare(model, atoms, slots), warn) for name, atoms in zip(("tetragonal", "cubic"), starts)
    )
    path = polarization_path(model, enthalpy, params, cubic, tetragonal, slots)
    born, born_cubic = (np.asarray(born_charges(enthalpy, params, state, jnp.zeros(3))) for state in (tetragonal, cubic))
    permittivity = np.asarray(eps_inf(enthalpy, params, tetragonal, jnp.zeros(3)))
    numbers, difference = _numbers(tetragonal, cubic), 1e3 * (nonpolar - polar)
    return Statics(tetragonal, cubic, numbers, difference, path[-1], path[:, 2], born, born_cubic, permittivity, good and fine)


def polarization_path(
    model: Model, enthalpy: Enthalpy, params: Any, start: State, end: State, slots: int | None = None
) -> Float[np.ndarray, "images 3"]:
    """P - P(start), C/m², on a straight path of cells and fractional positions between two states.

    The dipole of each image is followed in units of the lattice vectors, so the branch is the one
    continuous with ``start``. King-Smith and Vanderbilt, Phys. Rev. B 47, 1651 (1993).
    """
    shares = np.linspace(0.0, 1.0, STEPS_ON_PATH + 1)
    first, last = to_ase(start), to_ase(end)
    fractional = first.get_scaled_positions(wrap=False)
    change = last.get_scaled_positions(wrap=False) - fractional
    change -= np.round(change)
    reduced, cells = [], []
    for share in shares:
        cell = first.cell.array + share * (last.cell.array - first.cell.array)
        image = Atoms(first.numbers, scaled_positions=fractional + share * change, cell=cell, pbc=True)
        moment = dipole_moment(enthalpy, params, _prepare(model, image, slots), jnp.zeros(3))
        reduced.append(np.asarray(moment) @ np.linalg.inv(cell))
        cells.append(cell)
    followed = np.unwrap(np.array(reduced), period=1.0, axis=0)
    return np.array([(p - followed[0]) @ cell / np.linalg.det(cell) for p, cell in zip(followed, cells)]) * E_PER_A2


def _prepare(model: Model, atoms: Atoms, slots: int | None = None) -> State:
    return model.prepare(atoms, np.float64, skin=SKIN, slots=slots)


def _relaxed(name: str, enthalpy: Enthalpy, params: Any, start: State, warn: Warn) -> tuple[State, float, bool]:
    """State, energy and whether it converged."""
    try:
        found = relax(enthalpy, params, start, force_tolerance=FORCE, stress_tolerance=STRESS)
        return found.state, found.energy, True
    except FerrojaxError as error:
        warn(f"{name} phase: {error} The numbers that follow are of the unrelaxed start.")
        return start, float(enthalpy(params, start, jnp.zeros((3, 3)), jnp.zeros(3))), False


def _numbers(tetragonal: State, cubic: State) -> dict[str, float]:
    """Lattice constants (Å) and fractional heights of the relaxed states."""
    atoms = to_ase(tetragonal)
    lengths = atoms.cell.lengths()
    a, c = float(lengths[:2].mean()), float(lengths[2])
    height = atoms.get_scaled_positions(wrap=False)[:, 2]
    pb, ti, apical, *equatorial = (height - height[0] + PB_HEIGHT).tolist()
    numbers = {"a": a, "c": c, "c/a": c / a, "z Ti": ti, "z O apical": apical % 1, "z O equatorial": float(np.mean(equatorial))}
    return numbers | {"a cubic": float(to_ase(cubic).cell.lengths().mean())}
