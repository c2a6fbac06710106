"""Engines: their k-points and settings, the files they write, what they read back, and what they say when something is missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.io.espresso import read_fortran_namelist
from ase.units import Bohr, GPa, Hartree, Rydberg
from engine_outputs import ABINIT, DYNAMICAL, PHONON, PWSCF, VASPRUN
from labelling_teacher import crystals

from ferrojax.data import read_frames
from ferrojax.errors import FerrojaxError
from ferrojax.labelling import CalculationFailed, Job, make_engine
from ferrojax.labelling.engines.gpaw import LENGTH
from ferrojax.labelling.kpoints import mesh
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


def test_the_first_frames_keep_their_mesh_and_it_follows_the_heights():
    assert {mesh(frame.atoms.cell.array, LENGTH) for frame in read_frames("pbtio3-v1")[:39]} == {(5, 5, 5)}
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
    assert (tmp_path / "KPOINTS").read_text().splitlines()[2:] == ["Gamma", "6 6 5", "0 0 0"]
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


@pytest.mark.parametrize(
    ("settings", "shift"),
    [({}, "0.0 0.0 0.0"), ({"shifted": True}, "0.5 0.5 0.5"), ({"more": {"shiftk": "0.5 0.5 0.0"}}, "0.5 0.5 0.0")],
)
def test_abinit_mesh_contains_gamma_unless_it_is_shifted(tmp_path, monkeypatch, settings, shift):
    """Six points and five: ASE's own choice would shift the even ones."""
    for element in ("Mg", "O"):
        (tmp_path / f"{element}.psp8").write_text("pseudopotential")
    monkeypatch.setenv("ABINIT_PP_PATH", str(tmp_path))
    engine = make_engine("abinit", settings)
    engine.prepare(job(magnesia(), engine), tmp_path)
    lines = (tmp_path / "run.abi").read_text().splitlines()
    meshes = [line for line in lines if line.split()[0] in ("kptopt", "ngkpt", "nshiftk", "shiftk")]
    assert meshes == ["kptopt 1", "ngkpt 6 6 5", "nshiftk 1", f"shiftk {shift}"]
    assert (engine.dataset == make_engine("abinit").dataset) == (not settings)


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
    assert "input_dft" not in names["system"]  # the functional is that of the pseudopotentials
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
    with pytest.raises(FerrojaxError, match="holds no stringent-Pb.upf; run make dft"):
        engine.prepare(job(crystals(1)[0], engine), tmp_path)


def test_espresso_calculates_the_functional_that_it_names(tmp_path, monkeypatch):
    """Pseudopotentials of make dft are for PBEsol; the settings must name others for another functional."""
    for name in ("lda-Mg.upf", "lda-O.upf", "standard-O.upf"):
        (tmp_path / name).write_text("pseudopotential")
    monkeypatch.setenv("FERROJAX_PSEUDO", str(tmp_path))
    for settings in ({"xc": "LDA"}, make_engine("espresso").plain_settings() | {"xc": "LDA"}):
        with pytest.raises(FerrojaxError, match="^espresso: xc is LDA, but the pseudopotentials are for PBEsol; name some for LDA"):
            make_engine("espresso", settings)
    with pytest.raises(FerrojaxError, match="the functional B3LYP is not known here; choose PBEsol, PBE, LDA"):
        make_engine("espresso", {"xc": "B3LYP"})
    half = make_engine("espresso", {"xc": "LDA", "pseudopotentials": {"Mg": "lda-Mg.upf"}})
    with pytest.raises(FerrojaxError, match="standard-O.upf is for PBEsol; name one of O for LDA"):
        half.prepare(job(magnesia(), half), tmp_path)
    own = {"Mg": "lda-Mg.upf", "O": "lda-O.upf"}
    for xc, written in (("LDA", "sla+pw+nogx+nogc"), ("PBE", "PBE"), ("PBEsol", "PBESOL")):
        engine = make_engine("espresso", {"xc": xc, "pseudopotentials": own})
        engine.prepare(job(magnesia(), engine), tmp_path)
        with open(tmp_path / "pw.in") as file:
            assert read_fortran_namelist(file)[0]["system"]["input_dft"] == written
        assert engine.dataset.startswith(f"espresso-{xc.lower()}-")
    assert make_engine("espresso").dataset == "espresso-pbesol-64cdb584"  # of the sets of the package


def test_a_failed_espresso_job_keeps_its_words_and_not_its_waves(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "pw.x"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nmkdir scratch; echo waves > scratch/wfc1; echo 'too few bands'; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "standard-Mg.upf").write_text("pseudopotential")
    monkeypatch.setenv("FERROJAX_PSEUDO", str(tmp_path))
    engine, folder = make_engine("espresso"), tmp_path / "job"
    with pytest.raises(CalculationFailed, match="too few bands"):
        engine.label(job(Atoms("Mg", cell=(4, 4, 4), pbc=True), engine), folder, lambda: False)
    assert sorted(path.name for path in folder.iterdir()) == ["pw.in", "pw.out"]


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
    assert written["settings"] == engine.plain_settings() and written["settings"]["cutoff"] == 800 and not written["shifted"]
    with pytest.raises(CalculationFailed, match="no label"):
        engine.read(wanted, tmp_path)
    (tmp_path / "label.json").write_text(json.dumps({"error": "KohnShamConvergenceError: did not\nconverge", "versions": {}}))
    with pytest.raises(CalculationFailed, match="KohnShamConvergenceError: did not converge"):
        engine.read(wanted, tmp_path)
    for xc, remedy in (("PBEsol", "run make dft ELEMENTS=Zr, then"), ("PBE", "the folder that GPAW_SETUP_PATH names, then")):
        missing = f'FileNotFoundError: Could not find required PAW dataset file "Zr.{xc}".\n\nYou need to set the GPAW_SETUP_PATH'
        (tmp_path / "label.json").write_text(json.dumps({"error": missing, "versions": {}}))
        with pytest.raises(CalculationFailed, match=f"no PAW set of Zr for {xc}; .*{remedy} ferrojax label retry"):
            make_engine("gpaw", {"xc": xc}).read(wanted, tmp_path)
    found = {"energy": -1.0, "forces": np.eye(5, 3).tolist(), "stress": np.eye(3).tolist(), "dipole": [1.0, 2.0, 3.0], "gap": 1.8}
    found |= {"converged": True, "iterations": 13, "versions": {"gpaw": "26.7.0"}}
    (tmp_path / "label.json").write_text(json.dumps(found))
    label = engine.read(wanted, tmp_path)
    assert label.version == "26.7.0" and label.details["gap"] == 1.8 and np.array_equal(label.values["dipole"], [1, 2, 3])


def test_gpaw_mesh_off_gamma_is_another_level_of_theory_and_the_default_keeps_its_name(tmp_path, monkeypatch):
    (python := tmp_path / "python").write_text("")
    monkeypatch.setenv("FERROJAX_DFT_PYTHON", str(python))
    plain, shifted = make_engine("gpaw"), make_engine("gpaw", {"shifted": True, "kpoint_length": 15.0})
    assert plain.dataset == make_engine("gpaw", {"shifted": False}).dataset == "gpaw-pbesol-c25abcd5"  # of the sets of the package
    assert plain.dataset != make_engine("gpaw", {"kpoint_length": 15.0}).dataset != shifted.dataset
    shifted.prepare(job(crystals(1)[0], shifted), tmp_path)
    written = json.loads((tmp_path / "job.json").read_text())
    assert written["shifted"] and written["kpoints"] == [4, 4, 4]
    assert make_engine("gpaw", shifted.plain_settings()).dataset == shifted.dataset


def test_documented_settings_are_the_defaults():
    page = Path(__file__).parent.parent / "docs" / "labelling.md"
    shown = yaml.safe_load(page.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0])
    assert shown == make_engine("gpaw").settings.model_dump(mode="json")


def test_launcher_is_no_part_of_the_level_of_theory():
    one, two = make_engine("gpaw"), make_engine("gpaw", None, "mpirun -np 2")
    assert one.dataset == two.dataset and two.launcher == ["mpirun", "-np", "2"]
    assert one.dataset != make_engine("gpaw", {"cutoff": 700}).dataset and one.dataset.startswith("gpaw-pbesol-")
