"""Phonons at Γ, Born charges, elastic constants, tilts and P_s from labels of the structures of reference.py.

The same arithmetic serves first-principles labels and a model's, so that only the labels differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from phonopy import Phonopy
from reference import COMPONENTS, STRAIN, phonopy_of

from ferrojax.data import Frame
from ferrojax.units import E_PER_A2, GPA, PER_CM

FORMAL = {"Pb": 2, "Ba": 2, "Ti": 4, "O": -2}
MIRROR = [0, 1, 2, 4, 3]  # where x <-> y takes the atoms of relax.py
CONSTANTS = {  # C_ij: pairs (strained, stress) whose mean it is
    "cubic": {"C11": ["xx xx"], "C12": ["xx yy", "xx zz"], "C44": ["yz yz"]},
    "tetragonal": {
        "C11": ["xx xx"],
        "C12": ["xx yy"],
        "C13": ["xx zz", "zz xx"],
        "C33": ["zz zz"],
        "C44": ["yz yz"],
        "C66": ["xy xy"],
    },
}
INDEX = COMPONENTS | {"yy": (1, 1)}

Labels = dict[str, Frame]


def all_properties(labels: Labels) -> dict[str, Any]:
    """Both phases: frequencies (1/cm), Born charges (e), elastic constants (GPa); tilts (eV/Å²), P_s (C/m²)."""
    found: dict[str, Any] = {}
    for phase in ("cubic", "tetragonal"):
        rest, moves = labels[f"{phase}/rest"], [frame for name, frame in labels.items() if name.startswith(f"{phase}/move-")]
        phonopy = force_constants(rest, moves)
        found[phase] = {
            "phonons_per_cm": frequencies(phonopy),
            "born_charges_e": born_charges(rest, moves),
            "elastic_clamped_GPa": elastic(labels, phase),
        }
        if phase == "tetragonal":  # in the cubic phase atoms do not relax, they leave
            found[phase]["elastic_relaxed_GPa"] = elastic(labels, phase, phonopy.force_constants)
    found["tilts_eV_per_A2"] = {wave: tilt_constant(labels[f"tilts/{wave}"]) for wave in ("R", "M")}
    found["P_s_C_per_m2"] = spontaneous_polarization(labels["tetragonal/rest"], found["tetragonal"]["born_charges_e"])
    return found


def force_constants(rest: Frame, moves: list[Frame]) -> Phonopy:
    """Of the displaced cells; the forces at rest are taken off."""
    atoms = rest.atoms
    phonopy = phonopy_of(atoms)
    moved = []
    for frame in moves:
        shift = frame.atoms.positions - atoms.positions
        which = int(np.argmax(np.linalg.norm(shift, axis=1)))
        moved.append({"number": which, "displacement": shift[which], "forces": frame.forces - rest.forces})
    phonopy.dataset = {"natom": len(atoms), "first_atoms": moved}
    phonopy.produce_force_constants()
    phonopy.symmetrize_force_constants()
    return phonopy


def frequencies(phonopy: Phonopy) -> list[float]:
    """Of the transverse optical modes at Γ, ascending, imaginary ones negative."""
    every = np.asarray(phonopy.run_qpoints([(0, 0, 0)]).frequencies[0])  # THz
    acoustic = np.argsort(np.abs(every))[:3]
    return sorted(float(value) * PER_CM for value in np.delete(every, acoustic))


def born_charges(rest: Frame, moves: list[Frame]) -> dict[str, float]:
    """Z*_cc = ΔM_c / Δu_c for the moves along an axis, the mean of both signs where there are two."""
    found: dict[str, list[float]] = {}
    for frame in moves:
        shift = frame.atoms.positions - rest.atoms.positions
        if np.count_nonzero(np.abs(shift) > 1e-6) == 1:
            which, axis = np.unravel_index(np.argmax(np.abs(shift)), shift.shape)
            change = nearest(frame.dipole - rest.dipole, np.zeros(3), rest.atoms.cell.array)
            found.setdefault(f"{rest.atoms.symbols[which]}{which} {'xyz'[axis]}", []).append(change[axis] / shift[which, axis])
    return {name: float(np.mean(values)) for name, values in found.items()}


def elastic(labels: Labels, phase: str, hessian: Float[np.ndarray, "atoms atoms 3 3"] | None = None) -> dict[str, float]:
    """C_ij = Δσ_i/Δη_j, with the Hessian K of the atoms relaxed: C_ij - Λ_i K⁺ Λ_j / V, Λ_j = ΔF/Δη_j; η of Voigt.

    Wu, Vanderbilt and Hamann, PRB 72, 035105 (2005), equation 35.
    """
    rest = labels[f"{phase}/rest"]
    stresses, forces = slopes(labels, phase)
    constants = {}
    for name, pairs in CONSTANTS[phase].items():
        values = []
        for strained, stressed in (pair.split() for pair in pairs):
            value = stresses[strained][INDEX[stressed]]
            if hessian is not None:
                size = 3 * len(rest.atoms)
                # The pseudo-inverse leaves out moving the crystal as a whole.
                inverse = np.linalg.pinv(hessian.transpose(0, 2, 1, 3).reshape(size, size), rcond=1e-6, hermitian=True)
                value -= forces[stressed].ravel() @ inverse @ forces[strained].ravel() / rest.atoms.get_volume()
            values.append(value / GPA)
        constants[name] = float(np.mean(values))
    return constants


def slopes(labels: Labels, phase: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Δσ/Δη and ΔF/Δη of every strain, the mean of both signs where there are two; ΔF/Δη_yy by the mirror x <-> y."""
    rest, found = labels[f"{phase}/rest"], {}
    for name, frame in labels.items():
        if name.startswith(f"{phase}/strain-"):
            which, sign = name[-3:-1], {"+": 1, "-": -1}[name[-1]]
            step = sign * STRAIN * (1 if which[0] == which[1] else 2)
            found.setdefault(which, []).append(((frame.stress - rest.stress) / step, (frame.forces - rest.forces) / step))
    stresses = {which: np.mean([stress for stress, _ in pairs], axis=0) for which, pairs in found.items()}
    forces = {which: np.mean([force for _, force in pairs], axis=0) for which, pairs in found.items()}
    forces["yy"] = forces["xx"][MIRROR][:, [1, 0, 2]]
    return stresses, forces


def tilt_constant(frame: Frame) -> float:
    """k = -F·d/d², d being the displacements from the ideal sites; negative where the tilt lowers the energy."""
    places = frame.atoms.get_scaled_positions(wrap=False)
    moved = (places - np.rint(4 * places) / 4) @ frame.atoms.cell.array
    return float(-np.sum(frame.forces * moved) / np.sum(moved**2))


def spontaneous_polarization(rest: Frame, charges: dict[str, float]) -> float:
    """P along z, C/m², on the branch nearest to Σ Z* u from the centrosymmetric sites, whose own dipole is that of formal charges."""
    atoms = rest.atoms
    cell, places = atoms.cell.array, atoms.get_scaled_positions(wrap=False)
    ideal = np.rint(2 * places) / 2
    along = [charges[f"{atoms.symbols[k]}{min(k, 3)} z"] for k in range(len(atoms))]  # the last two oxygens are alike
    moved = ((places - ideal) @ cell)[:, 2]
    zero = np.array([FORMAL[symbol] for symbol in atoms.symbols]) @ (ideal @ cell)
    guess = zero + np.array([0.0, 0.0, np.array(along) @ moved])
    return float((nearest(rest.dipole, guess, cell) - zero)[2] / atoms.get_volume() * E_PER_A2)


def nearest(dipole: Float[np.ndarray, " 3"], guess: Float[np.ndarray, " 3"], cell: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 3"]:
    """The value closest to ``guess`` that differs from ``dipole`` by lattice vectors."""
    return dipole - np.rint((dipole - guess) @ np.linalg.inv(cell)) @ cell
