"""Engines: what they write, what they read back, and what they say when something is missing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.io.espresso import read_fortran_namelist
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import Bohr, GPa, Hartree, Rydberg
from engine_outputs import ABINIT, DYNAMICAL, PHONON, PWSCF, VASPRUN
from labelling_teacher import crystals
from training_toy import perovskite, toy

import ferrojax
from ferrojax.data import read_frames
from ferrojax.errors import FerrojaxError
from ferrojax.labelling import CalculationFailed, Job, Queue, leash, make_engine
from ferrojax.labelling.engines.gpaw import LENGTH, SCRIPT
from ferrojax.labelling.kpoints import mesh
from ferrojax.labelling.process import Interrupted, run_command
from ferrojax.units import EPSILON_0


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ((3.92, 3.92, 3.92), (5, 5, 5)),  # PbTiO3, cubic
        ((3.87, 3.87, 4.22), (5, 5, 5)),  # tetragonal
        ((4.06, 3.96, 3.98), (5, 5, 5)),  # BaTiO3
        ((3.75, 3.75, 4.55), (5, 5, 5)),  # strained by 3 and by 8 %
        ((3.9, 3.9, 8.0), (5, 5, 3)),
        ((7.8, 8.0, 8.4), (3, 3, 3)),
        ((5.53, 5.53, 7.82), (4, 4, 3)),  # √2 x √2 x 2
        ((30.0, 3.9, 3.9), (1, 5, 5)),
    ],
)
def test_meshes_of_perovskites(edges, expected):
    assert mesh(np.diag(edges), LENGTH) == expected


def test_the_shipped_frames_keep_their_mesh_and_it_follows_the_heights():
    assert {mesh(frame.atoms.cell.array, LENGTH) for frame in read_frames("pbtio3-v1") if len(frame.atoms) == 5} == {(5, 5, 5)}
    cell = bulk("NaCl", "rocksalt", a=5.6).cell.array
    heights = 2 * np.pi / np.linalg.norm(2 * np.pi * np.linalg.inv(cell).T, axis=1)
    assert mesh(cell, 20.0) == tuple(np.ceil(20.0 / heights).astype(int))
    assert mesh(2 * cell, 20.0) == tuple(-(-n // 2) for n in mesh(cell, 20.0))


def job(atoms, engine, properties=("energy", "forces", "stress")):
    return Job(atoms, engine.name, engine.plain_settings(), tuple(properties))


def magnesia():
    """Magnesium first: VASP is given the elements together, in another order than here."""
    return Atoms("OMgO", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0), (0.5, 0.5, 0.5)], cell=(4, 4, 5), pbc=True)


def test_vasp_files(tmp_path, monkeypatch):
    for element in ("Mg_pv", "O"):
        (tmp_path / "potpaw_PBE" / element).mkdir(parents=True)
        (tmp_path / "potpaw_PBE" / element / "POTCAR").write_text(f"potential of {element}\n")
    monkeypatch.setenv("VASP_PP_PATH", str(tmp_path))
    engine = make_engine("vasp", {"potentials": {"Mg": "Mg_pv"}, "incar": {"NCORE": 2}})
    wanted = job(magnesia(), engine, ("energy", "forces", "stress", "born_charges", "polarizability"))
    (command,) = engine.prepare(wanted, tmp_path)
    assert command.arguments == ["vasp_std"]
    assert (tmp_path / "POTCAR").read_text() == "potential of O\npotential of Mg_pv\n"
    poscar = (tmp_path / "POSCAR").read_text().splitlines()
    assert poscar[5].split() == ["O", "Mg"] and poscar[6].split() == ["2", "1"]
    tags = dict(line.split(" = ") for line in (tmp_path / "INCAR").read_text().splitlines())
    assert (tags["GGA"], tags["LEPSILON"], tags["NCORE"], tags["ENCUT"]) == ("PS", ".TRUE.", "2", "600.0")
    assert (tmp_path / "KPOINTS").read_text().splitlines()[2:4] == ["Gamma", "6 6 5"]
    (tmp_path / "vasprun.xml").write_text(VASPRUN)
    label = engine.read(wanted, tmp_path)
    values = label.values
    assert (label.version, label.iterations, label.converged) == ("6.4.2", 2, True)
    assert values["energy"] == pytest.approx(-12.25)
    assert np.allclose(values["forces"], [[0.1, 0.2, 0.3], [-0.5, -0.7, -0.9], [0.4, 0.5, 0.6]])  # Mg is second again
    # VASP prints kbar, compression positive.
    assert np.allclose(values["stress"], -0.1 * GPa * np.array([[10, 1, 2], [1, 20, 3], [2, 3, 30]]))
    assert values["born_charges"][1, 0, 2] == 3.3 and values["born_charges"][2, 2, 0] == -2.7
    assert np.allclose(values["polarizability"], np.array([[5, 0.1, 0], [0.1, 6, 0], [0, 0, 7]]) * 80 * EPSILON_0)
    (tmp_path / "vasprun.xml").write_text(VASPRUN.replace('"NELM">    60', '"NELM">    2'))
    assert not engine.read(wanted, tmp_path).converged
    (tmp_path / "vasprun.xml").write_text(VASPRUN[:1200])
    with pytest.raises(CalculationFailed, match="cut short"):
        engine.read(wanted, tmp_path)
    with pytest.raises(FerrojaxError, match="potential of Pb"):
        engine.prepare(job(crystals(1)[0], engine), tmp_path)


def test_abinit_files(tmp_path, monkeypatch):
    for element in ("Mg", "O"):
        (tmp_path / f"{element}.psp8").write_text("pseudopotential")
    monkeypatch.setenv("ABINIT_PP_PATH", str(tmp_path))
    engine = make_engine("abinit", {"more": {"nband": 10}})
    atoms = Atoms("MgO", positions=[(0, 0, 0), (2, 2, 2)], cell=(4, 4, 4), pbc=True)
    (command,) = engine.prepare(job(atoms, engine), tmp_path)
    text = (tmp_path / "run.abi").read_text()
    assert command.arguments == ["abinit", "run.abi"]
    for line in ("ixc -116133", "ecut 45.0", "ngkpt 6 6 6", "nband 10", "natom 2", "znucl 8 12"):
        assert line in text, line
    assert text.index("O.psp8") < text.index("Mg.psp8")
    with pytest.raises(CalculationFailed, match="missing or ends too soon"):
        engine.read(job(atoms, engine), tmp_path)
    (tmp_path / "run.abo").write_text(ABINIT)
    label = engine.read(job(atoms, engine), tmp_path)
    assert label.version == "9.6.2" and label.converged and label.iterations == 2
    assert label.values["energy"] == pytest.approx(-285.721) and np.allclose(label.values["forces"][1], [-0.1, -0.2, -0.3])
    voigt = np.array([[1, 0.6, 0.5], [0.6, 2, 0.4], [0.5, 0.4, 3]]) * 1e-4
    assert np.allclose(label.values["stress"], voigt * Hartree / Bohr**3)
    message = "scprqt: nstep= 100 was not enough scf cycles to converge;"
    (tmp_path / "run.abo").write_text(ABINIT.replace("----iterations are completed or convergence reached----", message))
    assert not engine.read(job(atoms, engine), tmp_path).converged


def test_espresso_files(tmp_path, monkeypatch):
    for name in ("standard-Mg.upf", "standard-O.upf"):
        (tmp_path / name).write_text("pseudopotential")
    monkeypatch.setenv("FERROJAX_PSEUDO", str(tmp_path))
    engine = make_engine("espresso", {"cutoff": 60})
    atoms = Atoms("MgO", positions=[(0, 0, 0), (2, 2, 2.1)], cell=(4, 4, 4), pbc=True)
    every = job(atoms, engine, ("energy", "forces", "stress", "born_charges", "polarizability", "force_constants"))
    commands = engine.prepare(every, tmp_path)
    assert [command.arguments for command in commands] == [["pw.x", "-in", "pw.in"], ["ph.x", "-in", "ph.in"]]
    assert len(engine.prepare(job(atoms, engine), tmp_path)) == 1
    with open(tmp_path / "pw.in") as file:
        names, cards = read_fortran_namelist(file)
    assert (names["system"]["ecutwfc"], names["control"]["pseudo_dir"]) == (60.0, str(tmp_path))
    assert "6 6 6  1 1 1" in cards and "Mg 24.305 standard-Mg.upf" in cards
    with open(tmp_path / "ph.in") as file:
        assert read_fortran_namelist(file)[0]["inputph"] == {
            "prefix": "ferrojax", "outdir": "./scratch", "fildyn": "ferrojax.dyn", "epsil": True, "zeu": True, "trans": True,
            "tr2_ph": 1e-14,
        }  # fmt: skip
    (tmp_path / "pw.out").write_text(PWSCF)
    (tmp_path / "ph.out").write_text(PHONON)
    (tmp_path / "ferrojax.dyn").write_text(DYNAMICAL)
    label = engine.read(every, tmp_path)
    assert label.version == "6.7MaX" and label.iterations == 2 and label.details["kpoints"] == (6, 6, 6)
    values = label.values
    assert values["energy"] == pytest.approx(-20.5 * Rydberg, rel=1e-6)
    assert np.allclose(values["forces"], np.array([[0.01, 0.02, 0.03], [-0.01, -0.02, -0.03]]) * Rydberg / Bohr)
    # pw.x prints the stress as a pressure.
    stress = -np.array([[1e-4, 6e-5, 5e-5], [6e-5, 2e-4, 4e-5], [5e-5, 4e-5, 3e-4]]) * Rydberg / Bohr**3
    assert np.allclose(values["stress"], stress, rtol=1e-4)
    assert values["born_charges"][0, 0, 2] == 1.3 and values["born_charges"][1, 2, 0] == -2.7
    assert np.allclose(values["polarizability"], np.array([[5, 0.1, 0], [0.1, 6, 0], [0, 0, 7]]) * 64 * EPSILON_0)
    constants = values["force_constants"] * Bohr**2 / Rydberg
    assert constants[1, 5] == pytest.approx(-0.24) and constants[5, 1] == pytest.approx(-0.24) and constants[3, 3] == pytest.approx(0.11)
    (tmp_path / "ferrojax.dyn").write_text(DYNAMICAL[:900])
    with pytest.raises(CalculationFailed, match="all pairs"):
        engine.read(every, tmp_path)
    (tmp_path / "ph.out").write_text(PHONON.replace("   JOB DONE.", ""))
    with pytest.raises(CalculationFailed, match="ends too soon"):
        engine.read(every, tmp_path)
    (tmp_path / "pw.out").write_text(PWSCF + "     convergence NOT achieved after 100 iterations: stopping\n")
    assert not engine.read(every, tmp_path).converged
    with pytest.raises(FerrojaxError, match="holds no stringent-Pb.upf"):
        engine.prepare(job(crystals(1)[0], engine), tmp_path)


def test_gpaw_files(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("")
    (tmp_path / "setups").mkdir()
    monkeypatch.setenv("FERROJAX_DFT_PYTHON", str(tmp_path / "bin" / "python"))
    monkeypatch.delenv("GPAW_SETUP_PATH", raising=False)
    engine, (atoms,) = make_engine("gpaw"), crystals(1)
    wanted = job(atoms, engine, ("energy", "forces", "stress", "dipole"))
    (command,) = engine.prepare(wanted, tmp_path)
    assert command.environment == {"GPAW_SETUP_PATH": str(tmp_path / "setups")} and command.arguments[1].endswith("gpaw_job.py")
    written = json.loads((tmp_path / "job.json").read_text())
    assert np.array_equal(written["positions"], atoms.positions) and written["kpoints"] == [5, 5, 5]
    assert written["settings"] == engine.plain_settings() and written["settings"]["cutoff"] == 800
    with pytest.raises(CalculationFailed, match="no label"):
        engine.read(wanted, tmp_path)
    (tmp_path / "label.json").write_text(json.dumps({"error": "KohnShamConvergenceError: did not\nconverge", "versions": {}}))
    with pytest.raises(CalculationFailed, match="KohnShamConvergenceError: did not converge"):
        engine.read(wanted, tmp_path)
    found = {"energy": -1.0, "forces": np.eye(5, 3).tolist(), "stress": np.eye(3).tolist(), "dipole": [1.0, 2.0, 3.0], "gap": 1.8}
    found |= {"converged": True, "iterations": 13, "versions": {"gpaw": "26.7.0"}}
    (tmp_path / "label.json").write_text(json.dumps(found))
    label = engine.read(wanted, tmp_path)
    assert label.version == "26.7.0" and label.details["gap"] == 1.8 and np.array_equal(label.values["dipole"], [1, 2, 3])


def test_documented_settings_are_the_defaults():
    page = Path(__file__).parent.parent / "docs" / "labelling.md"
    shown = yaml.safe_load(page.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0])
    assert shown == make_engine("gpaw").plain_settings()


def test_a_program_that_fails_or_says_nothing(tmp_path):
    with pytest.raises(CalculationFailed, match="python.* ended with status 3; its last words: out of memory"):
        run_command([sys.executable, "-c", "import sys; print('out of memory'); sys.exit(3)"], tmp_path, "log", {}, lambda: False)
    with pytest.raises(CalculationFailed, match="no-such-program ended with status 127"):
        run_command(["no-such-program"], tmp_path, "log", {}, lambda: False)
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        run_command(["sleep", "1000"], tmp_path, "log", {}, lambda: time.monotonic() - begun > 0.3)
    assert time.monotonic() - begun < 8
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['MORE'])"
    run_command([sys.executable, "-c", code], tmp_path, "log", {"MORE": "x"}, lambda: False)
    assert (tmp_path / "log").read_text().split() == [os.environ.get("OMP_NUM_THREADS", "1"), "x"]


def test_a_calculation_ends_with_its_worker(tmp_path):
    """The worker is killed with SIGKILL, so nothing it does can end the calculation."""
    code = f"""
import subprocess, sys, time
command = [sys.executable, {leash.__file__!r}, "sh", "-c", "echo $$ > pid; exec sleep 1000"]
process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(1000)
"""
    worker = subprocess.Popen([sys.executable, "-S", "-c", code], cwd=tmp_path)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.02)
    calculation = int((tmp_path / "pid").read_text())
    os.kill(calculation, 0)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    for _ in range(200):
        stat = Path(f"/proc/{calculation}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the calculation lives on")


def test_a_model_is_a_teacher(tmp_path, monkeypatch):
    model = toy()
    params = model.init(jax.random.key(0))
    loaded = (model, params, {"reference_energies": {"own": {"Ba": -10.0, "Ti": -20.0, "O": -5.0}}})
    monkeypatch.setattr("ferrojax.calculator.load_model", lambda path: loaded)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("one")
    engine, atoms = make_engine(f"model:{tmp_path / 'model'}"), perovskite((1, 1, 1), np.random.default_rng(0))
    queue = Queue(tmp_path / "labels.db")
    queue.add([atoms], engine, engine.provides)
    assert queue.run() == {"done": 1, "failed": 0}, queue.failures()
    (frame,) = queue.frames()
    expected = ferrojax.FerrojaxCalculator(*loaded)
    assert frame.dataset.startswith("teacher-") and frame.energy == expected.get_potential_energy(atoms)
    assert np.array_equal(frame.forces, expected.get_forces(atoms))
    assert np.array_equal(frame.stress, voigt_6_to_full_3x3_stress(expected.get_stress(atoms)))
    assert np.array_equal(frame.born_charges, expected.get_property("born_effective_charges", atoms))
    assert np.array_equal(frame.polarizability, expected.get_property("polarizability", atoms))
    queue.add([perovskite((1, 1, 1), np.random.default_rng(1))], engine, ("energy",))
    (tmp_path / "model" / "config.json").write_text("another")
    with pytest.raises(FerrojaxError, match="has changed"):
        queue.run()
    assert queue.counts()["pending"] == 1
    assert queue.add([atoms], make_engine(f"model:{tmp_path / 'model'}"), engine.provides) == 1  # another teacher


@pytest.mark.parametrize("name", ["ase:labelling_teacher", "ase:nothing_of_the_kind:make", "ase:labelling_teacher:nothing"])
def test_a_teacher_that_is_not_there(name):
    with pytest.raises(FerrojaxError, match="module:factory"):
        make_engine(name).check()


def test_launcher_is_no_part_of_the_level_of_theory():
    one, two = make_engine("gpaw"), make_engine("gpaw", None, "mpirun -np 2")
    assert one.dataset == two.dataset and two.launcher == ["mpirun", "-np", "2"]
    assert one.dataset != make_engine("gpaw", {"cutoff": 700}).dataset and one.dataset.startswith("gpaw-pbesol-")


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
