"""Perovskite crystals and trajectories whose maps are known, for tests of the analysis."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ferrojax.dynamics.records import Records
from ferrojax.dynamics.trajectory import H5MD
from ferrojax.dynamics.undo import UndoFile

BORN = {"Pb": 3.90, "Ti": 7.06, "O": (-5.84, -2.56)}  # sums to zero in a cell
SITES = ([0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0])  # Pb, Ti, O on the faces across x, y, z
EXPERIMENT = ([0, 0, 0], [0.5, 0.5, 0.5377], [0, 0.5, 0.6174], [0.5, 0, 0.6174], [0.5, 0.5, 0.1118])  # PbTiO3, 295 K


def crystal(repeat=(2, 2, 2), a=(3.9, 3.9, 4.15), sites=SITES) -> Atoms:
    """PbTiO3; cells in the order of a grid, last axis fastest, five atoms each."""
    return Atoms("PbTiO3", scaled_positions=sites, cell=a, pbc=True).repeat(repeat)


def rattled(atoms: Atoms, size=0.1, seed=0) -> Atoms:
    """The same with random displacements."""
    copy = atoms.copy()
    copy.positions += np.random.default_rng(seed).normal(0, size, copy.positions.shape)
    return copy


def shuffled(atoms: Atoms, seed=0) -> Atoms:
    """Atoms in another order, shifted together and each moved by random lattice vectors."""
    rng = np.random.default_rng(seed)
    copy = atoms[rng.permutation(len(atoms))]
    copy.positions += rng.normal(0, 3, 3) + rng.integers(-2, 3, (len(copy), 3)) @ copy.cell.array
    return copy


def trajectory(frames=6, repeat=(3, 2, 2), seed=0) -> list[Atoms]:
    """A shuffled crystal that drifts through its cell, vibrates and breathes; wrapped; with time (fs) and momenta."""
    rng = np.random.default_rng(seed)
    start = shuffled(crystal(repeat, sites=EXPERIMENT), seed)
    out = []
    for k in range(frames):
        atoms = start.copy()
        atoms.set_cell(start.cell.array @ (np.eye(3) + np.diag(rng.normal(0, 0.01, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.08, atoms.positions.shape) + 1.7 * k
        atoms.wrap()
        atoms.set_momenta(rng.normal(0, 1, atoms.positions.shape))
        atoms.info = {"time": 2.0 * k, "step": 10 * k}
        out.append(atoms)
    return out


def write_h5md(path, frames: list[Atoms]) -> None:
    """As `ferrojax md` does it."""
    count = len(frames)
    blank = {name: np.zeros(count) for name in ("potential", "total", "conserved", "temperature")}
    file = UndoFile(path)
    sink = H5MD(file, frames[0], ("positions", "velocities"), np.float64)
    sink.append(
        Records(
            step=np.array([a.info["step"] for a in frames]),
            time=np.array([a.info["time"] for a in frames]),
            **blank,
            dipole=np.arange(3.0 * count).reshape(-1, 3),
            field=np.zeros((count, 3)),
            stress=np.zeros((count, 6)),
            cell=np.array([a.cell.array for a in frames]),
            positions=np.array([a.positions for a in frames]),
            velocities=np.array([a.get_velocities() for a in frames]) * 0.09822694788464063,  # Å/fs
        )
    )
    sink.close()
    file.close()


def write_dump(path, frames: list[Atoms], scaled=False, elements=True) -> None:
    """A LAMMPS text dump in metal units, atoms in another order in every frame; orthorhombic cells only."""
    with open(path, "w") as file:
        for k, atoms in enumerate(frames):
            lengths = atoms.cell.lengths()
            file.write(f"ITEM: TIMESTEP\n{atoms.info['step']}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\nITEM: BOX BOUNDS pp pp pp\n")
            file.writelines(f"0.0 {x:.12f}\n" for x in lengths)
            columns = "xs ys zs" if scaled else "x y z"
            file.write(f"ITEM: ATOMS id type{' element' if elements else ''} {columns} vx vy vz\n")
            places = atoms.get_scaled_positions() if scaled else atoms.positions
            speeds = atoms.get_velocities() * 0.09822694788464063 * 1e3  # Å/ps
            for i in np.random.default_rng(k).permutation(len(atoms)):
                kind = {"Pb": 1, "Ti": 2, "O": 3}[atoms.symbols[i]]
                element = f" {atoms.symbols[i]}" if elements else ""
                file.write(f"{i + 1} {kind}{element} " + " ".join(f"{x:.12f}" for x in (*places[i], *speeds[i])) + "\n")
