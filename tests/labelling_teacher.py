"""Calculators that label in no time, for the tests of the queue."""

from __future__ import annotations

import os
import time

import numpy as np
from ase import Atoms
from ase.calculators.lj import LennardJones


class Journal(LennardJones):
    """Lennard-Jones that writes each calculation it makes to a file, and takes its time."""

    def __init__(self, journal: str, seconds: float) -> None:
        super().__init__(sigma=2.0, epsilon=0.1, rc=4.0)
        self.journal, self.seconds = journal, seconds

    def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)):
        super().calculate(atoms, properties, system_changes)
        time.sleep(self.seconds)
        line = f"{os.getpid()} {atoms.positions[0, 0]!r}\n".encode()
        file = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line)  # one call: lines of two processes do not mix
        os.close(file)


class Moody(LennardJones):
    """Fails for structures whose first atom lies beyond 1 Å."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)):
        if atoms.positions[0, 0] > 1.0:
            raise RuntimeError("the first atom lies too far out")
        super().calculate(atoms, properties, system_changes)


def lennard_jones() -> LennardJones:
    return LennardJones(sigma=2.0, epsilon=0.1, rc=4.0)


def journal(file: str, seconds: float = 0.0) -> Journal:
    return Journal(file, seconds)


def moody() -> Moody:
    return Moody(sigma=2.0, epsilon=0.1, rc=4.0)


def crystals(count: int, seed: int = 0) -> list[Atoms]:
    """Rattled, strained cells of five atoms; the first coordinate tells them apart."""
    rng = np.random.default_rng(seed)
    places = np.array([(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
    found = []
    for k in range(count):
        cell = 4.0 * (np.eye(3) + rng.normal(0, 0.02, (3, 3)))
        atoms = Atoms("PbTiO3", scaled_positions=places, cell=cell, pbc=True)
        atoms.positions += rng.normal(0, 0.05, (5, 3))
        atoms.positions[0, 0] = 0.001 * k
        atoms.info["origin"] = f"rattled {k}"
        found.append(atoms)
    return found
