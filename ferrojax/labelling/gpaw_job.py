"""One GPAW calculation, run as a process of its own: `python gpaw_job.py JOB.json LABEL.json` (under mpirun if wanted).

This file is never imported. GPAW is under the GPL and lives in an environment of its own; ferrojax writes the job, starts
this script there and reads the label. Only ASE, NumPy and GPAW may be used here.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import ase
import gpaw
import numpy as np
from ase import Atoms
from gpaw import GPAW, PW
from gpaw.mpi import world

EMPTY_BANDS = 4  # enough for the occupied ones to converge in as many iterations as with GPAW's nine, in four fifths of the time
BLOCK = 24  # bands that the eigensolver takes together: with all at once, 10 atoms take 10 to 28 % longer to the same energy
NORM = 1e-6  # error of <ψ|ψ> that shows that plane waves and projections do not belong together


def main(job_file: str, label_file: str) -> None:
    """Read the job, calculate, write the label; a failure is written as a label with the key ``error``."""
    job = json.loads(Path(job_file).read_text())
    started = time.time()
    try:
        label = calculate(job)
    except Exception as error:  # noqa: BLE001  whatever went wrong in GPAW becomes the reason recorded
        label = {"error": f"{type(error).__name__}: {error}".rstrip(": \n"), "traceback": traceback.format_exc()}
        if world.size > 1:  # the other ranks wait for this one
            write(label_file, label, started)
            world.abort(1)
    if world.rank == 0:
        write(label_file, label, started)


def write(label_file: str, label: dict[str, Any], started: float) -> None:
    """The label and what made it, under its name only when complete."""
    label |= {"wall_seconds": time.time() - started, "ranks": world.size}
    label["versions"] = {"gpaw": gpaw.__version__, "ase": ase.__version__, "numpy": np.__version__}
    temporary = f"{label_file}.{world.rank}.tmp"
    Path(temporary).write_text(json.dumps(label))
    os.replace(temporary, label_file)


def calculate(job: dict[str, Any]) -> dict[str, Any]:
    """Energy (eV), forces (eV/Å), stress (eV/Å³, tension positive) and, if asked for, Berry phases and dipole (e·Å)."""
    settings = job["settings"]
    atoms = Atoms(numbers=job["numbers"], positions=job["positions"], cell=job["cell"], pbc=True)
    atoms.calc = GPAW(
        mode=PW(settings["cutoff"]),
        xc=settings["xc"],
        kpts={"size": tuple(job["kpoints"]), "gamma": not job["shifted"]},
        # Of the point group nothing is used: labels of a structure and of its slightly moved copy are made alike, and the
        # Berry phase needs every k-point. ψ(-k) = ψ(k)* spares half of them.
        symmetry={"point_group": False},
        nbands=-EMPTY_BANDS,
        eigensolver={"name": "ppcg", "blocksize": BLOCK},
        occupations={"name": "fixed-uniform"},
        convergence={"density": settings["density"], "eigenstates": settings["eigenstates"]},
        maxiter=settings["max_iterations"],
        txt=job.get("log"),
    )
    label = {
        "energy": float(atoms.get_potential_energy()),
        "forces": atoms.get_forces().tolist(),
        "stress": atoms.get_stress(voigt=False).tolist(),
        "iterations": int(atoms.calc.get_number_of_iterations()),
        "converged": True,  # GPAW raises where it does not converge
        "gap": band_gap(atoms.calc),
    }
    if "dipole" in job["properties"]:
        phase = berry_phase(atoms)
        label |= {"berry_phase": phase.tolist(), "dipole": (phase / (2 * np.pi) @ atoms.cell.array).tolist()}
    return label


def band_gap(calculator: Any) -> float:
    """Smallest gap over all k-points, eV. A metal is refused: with occupations held fixed its energy would be wrong."""
    top, bottom = calculator.get_homo_lumo()
    if not bottom > top:
        raise ValueError(f"the bands overlap by {top - bottom:.3f} eV, and fixed occupations are for insulators")
    return float(bottom - top)


class Bloch(NamedTuple):
    """Occupied states of one k-point."""

    vectors: np.ndarray  # [plane wave, 3] integer reciprocal vectors G
    waves: np.ndarray  # [band, plane wave] coefficients of u(r) at G
    projections: np.ndarray  # [band, projector] <p|ψ>


def berry_phase(atoms: Atoms) -> np.ndarray:
    """Phases φ_c = 2π Σ_a Z_a s_ac + 2 <Im ln Π_j det <u_k|u_k+b>>, radians, one a lattice vector; modulo 2π.

    Z_a: valence charges, s_a: fractional positions; k runs along lattice vector c, <> is the mean over the strings. The PAW
    overlap is <ũ_k|ũ_k+b> + Σ_a exp(-2πi b·s_a) <ψ_k|p_a> ΔO_a <p_a|ψ_k+b>. King-Smith and Vanderbilt, PRB 47, 1651 (1993).
    """
    waves = atoms.calc.dft.ibzwfs
    gathered = [waves.get_wfs_on_master(kpt=k) for k in range(len(waves.ibz))]  # a collective call
    phase = np.zeros(3)
    if world.rank == 0:
        phase = electronic_phase(atoms.calc.setups, waves.ibz, gathered)
        valence = np.array([setup.Nv for setup in atoms.calc.setups])
        phase += 2 * np.pi * valence @ gathered[0].relpos_ac
    world.broadcast(phase, 0)
    return phase


def electronic_phase(setups: Any, ibz: Any, waves: list[Any]) -> np.ndarray:
    """The electrons' part, both spins."""
    bands = round(sum(setup.Nv for setup in setups) / 2)
    mesh, points = tuple(ibz.bz.size_c), ibz.bz.kpt_Kc
    if len(ibz.symmetries) != 1:
        raise ValueError("the Berry phase needs every k-point: the point group must not be used")
    states = [unfold(waves[ibz.bz2ibz_K[K]], ibz, K, bands) for K in range(len(points))]
    overlap = [np.asarray(setup.dO_ii) for setup in setups]
    # GPAW's own positions: it moves atoms into the cell, and projections change their phase by that.
    centres = np.repeat(waves[0].relpos_ac, [len(matrix) for matrix in overlap], axis=0)
    volume = float(waves[0].psit_nX.desc.dv)

    def product_of(first: Bloch, second: Bloch, step: np.ndarray, umklapp: np.ndarray) -> np.ndarray:
        return inner(first, second, umklapp) * volume + paw(first, second, overlap, np.exp(-2j * np.pi * centres @ step))

    nothing = np.zeros(3, int)
    error = np.abs(product_of(states[0], states[0], np.zeros(3), nothing) - np.eye(bands)).max()
    if error > NORM:
        raise ValueError(f"the states are not orthonormal (error {error:.1e}); this version of GPAW stores them differently")
    indices = np.arange(len(points)).reshape(mesh)
    total = np.zeros(3)
    for axis in range(3):
        strings = np.moveaxis(indices, axis, -1).reshape(-1, mesh[axis])
        step = np.eye(3)[axis] / mesh[axis]
        phases = []
        for string in strings:
            determinant = 1.0 + 0.0j
            for j, K in enumerate(string):
                last = j + 1 == len(string)
                matrix = product_of(states[K], states[string[0 if last else j + 1]], step, np.eye(3, dtype=int)[axis] * last)
                determinant *= np.linalg.det(matrix)
            phases.append(determinant / abs(determinant))
        # All strings on one branch: the one closest to their mean.
        mean = np.angle(np.mean(phases))
        total[axis] = 2 * (mean + np.mean(np.angle(np.array(phases) * np.exp(-1j * mean))))
    return total


def unfold(wave: Any, ibz: Any, K: int, bands: int) -> Bloch:
    """States at point K of the whole zone from those kept: u_-k(G) = u_k(-G)*, u_k+G0(G) = u_k(G + G0)."""
    vectors, waves = np.array(wave.psit_nX.desc.indices_cG).T, np.asarray(wave.psit_nX.data[:bands])
    projections = np.hstack([np.asarray(wave.P_ani[a])[:bands] for a in range(len(wave.setups))])
    kept = ibz.kpt_kc[ibz.bz2ibz_K[K]]
    if ibz.time_reversal_K[K]:
        vectors, waves, projections, kept = -vectors, waves.conj(), projections.conj(), -kept
    shift = np.rint(ibz.bz.kpt_Kc[K] - kept).astype(int)
    return Bloch(vectors - shift, waves, projections)


def inner(first: Bloch, second: Bloch, umklapp: np.ndarray) -> np.ndarray:
    """Σ_G u_m(G)* v_n(G), v being the second one's states moved on by a reciprocal vector: v(G) = u(G + umklapp)."""
    moved = second.vectors - umklapp
    low = np.minimum(first.vectors.min(0), moved.min(0))
    shape = tuple(np.maximum(first.vectors.max(0), moved.max(0)) - low + 1)
    box = np.zeros((len(second.waves), np.prod(shape)), complex)
    box[:, np.ravel_multi_index(tuple((moved - low).T), shape)] = second.waves
    return first.waves.conj() @ box[:, np.ravel_multi_index(tuple((first.vectors - low).T), shape)].T


def paw(first: Bloch, second: Bloch, overlap: list[np.ndarray], phases: np.ndarray) -> np.ndarray:
    """Σ_a exp(-2πi b·s_a) <ψ_m|p_a> ΔO_a <p_a|ψ_n>."""
    ends = np.cumsum([len(matrix) for matrix in overlap])
    parts = [slice(end - len(matrix), end) for end, matrix in zip(ends, overlap)]
    right = second.projections * phases
    return sum(first.projections[:, part].conj() @ matrix @ right[:, part].T for part, matrix in zip(parts, overlap))


if __name__ == "__main__":
    main(*sys.argv[1:3])
