"""Labels by GPAW and Quantum ESPRESSO themselves, where these are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import ferrojax
from ferrojax.data import read_frames
from ferrojax.labelling import Queue, make_engine
from ferrojax.labelling.engines.gpaw import SCRIPT
from ferrojax.units import EPSILON_0

DFT = Path(ferrojax.__file__).parent.parent / ".venv-dft" / "bin" / "python"
needs_gpaw = pytest.mark.skipif(not DFT.exists(), reason="needs make dft")
BERRY = """
import sys
import numpy as np
from ase.io import read
from gpaw import GPAW, PW
from gpaw.berryphase import polarization_phase
import gpaw_job

atoms = read(sys.argv[1], 0)
labels = []
for symmetry in ({"point_group": False}, "off"):
    atoms.calc = GPAW(mode=PW(350), xc="PBEsol", kpts={"size": (2, 3, 2), "gamma": True}, symmetry=symmetry, txt=None,
                      occupations={"name": "fixed-uniform"}, convergence={"density": 1e-6, "eigenstates": 1e-9})
    labels.append((atoms.get_potential_energy(), atoms.get_forces(), gpaw_job.berry_phase(atoms)))
(e1, f1, p1), (e2, f2, p2) = labels
difference = p1 - polarization_phase(calc=atoms.calc)["phase_c"]
print("found", abs(e1 - e2), np.abs(f1 - f2).max(), np.abs(p1 - p2).max(),
      np.abs((difference + np.pi) % (2 * np.pi) - np.pi).max())
"""


@pytest.mark.slow
@needs_gpaw
def test_half_the_k_points_and_our_berry_phase_are_those_of_gpaw(tmp_path):
    """The Berry phase of the script against GPAW's own, and time reversal against the whole zone, on a mesh that needs umklapp."""
    shutil.copy(SCRIPT, tmp_path)
    (tmp_path / "compare.py").write_text(BERRY)
    data = Path(ferrojax.__file__).parent / "data" / "pbtio3-v1" / "pbtio3-v1.extxyz"
    environment = {**os.environ, "GPAW_SETUP_PATH": str(DFT.parent.parent / "setups"), "OMP_NUM_THREADS": "1"}
    command = [str(DFT), "compare.py", str(data)]
    output = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout
    errors = [float(x) for x in output.partition("found")[2].split()[:4]]
    assert max(errors) < 1e-7, errors


@pytest.mark.slow
@needs_gpaw
def test_fresh_labels_are_the_stored_ones(tmp_path, claim):
    """Three shipped frames labelled again: forces within 5 meV/Å, dipoles on the same branch or a quantum away."""
    frames = [read_frames("pbtio3-v1")[k] for k in (0, 13, 38)]
    queue = Queue(tmp_path / "labels.db")
    queue.add(frames, make_engine("gpaw"))
    assert queue.run(workers=os.cpu_count() or 1) == {"done": 3, "failed": 0}, queue.failures()
    for old, new in zip(frames, queue.frames()):
        difference = np.linalg.solve(old.atoms.cell.array.T, new.dipole - old.dipole)
        assert np.abs(difference - np.rint(difference)).max() < 1e-3
        assert abs(new.energy - old.energy) < 1e-3 and np.abs(new.stress - old.stress).max() < 1e-4
    claim("E-fresh-labels", max(1e3 * np.abs(new.forces - old.forces).max() for old, new in zip(frames, queue.frames())))


@pytest.mark.slow
@pytest.mark.skipif(not (DFT.parent.parent / "pseudo").is_dir() or not shutil.which("ph.x"), reason="needs make dft and Quantum ESPRESSO")
def test_born_charges_of_cubic_lead_titanate(tmp_path, claim):
    """By ph.x; the published ones are of LDA: Zhong, King-Smith and Vanderbilt, PRL 72, 3618 (1994)."""
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    cubic = Atoms("PbTiO3", scaled_positions=places, cell=[3.916] * 3, pbc=True)
    queue = Queue(tmp_path / "labels.db")
    queue.add([cubic], make_engine("espresso"), ("energy", "forces", "stress", "born_charges", "polarizability"))
    assert queue.run() == {"done": 1, "failed": 0}, queue.failures()
    (frame,) = queue.frames()
    charges = frame.born_charges
    dielectric = np.eye(3) + frame.polarizability / (cubic.get_volume() * EPSILON_0)
    assert np.abs(frame.forces).max() < 1e-4 and np.abs(dielectric - 8.24 * np.eye(3)).max() < 0.4
    across = np.diag(charges[2])[:2].mean()
    found = np.array([charges[0, 2, 2], charges[1, 2, 2], charges[2, 2, 2], across])
    claim("E-espresso-born", np.abs(found - [3.90, 7.06, -5.83, -2.56]).max())
    claim("E-espresso-sum-rule", np.abs(charges.sum(0)).max())
