"""The PTO-test on crystals of which every number is known: protocol, observables, resume, failures, verdicts, report."""

import json
import re
from dataclasses import replace
from importlib.resources import files

import jax.numpy as jnp
import numpy as np
import pto_crystal
import pytest
import yaml
from ase import units
from ase.data import atomic_masses
from lead_titanate import MODEL
from pto_crystal import EDGES, ELASTIC, SHIFTS, STIFFNESS, Crystal

from ferrojax import cli
from ferrojax.dynamics.barostat import cell_mass
from ferrojax.errors import FerrojaxError
from ferrojax.pto_test import PtoTestConfig, crystal, run_test
from ferrojax.pto_test.ase_potential import AsePotential
from ferrojax.pto_test.ase_run import AseRun, integrator
from ferrojax.pto_test.config import read_config
from ferrojax.pto_test.criteria import judge
from ferrojax.pto_test.jax_potential import JaxPotential, cell_period
from ferrojax.pto_test.models import ModelFailure, Plan
from ferrojax.pto_test.series import COLUMNS, Scale, averages, trouble
from ferrojax.quickstart.statics import perovskite
from ferrojax.units import BOLTZMANN, E_PER_A2, FEMTOSECOND, PER_CM, THZ

NOMINAL = np.array([[2.0], [4.0], [-2.0], [-2.0], [-2.0]]) * np.ones(3)
REPEAT = (2, 2, 2)
TINY = {
    "born_charges": {"Pb": 2, "Ti": 4, "O_along": -2, "O_across": -2},  # of the crystal's own dipole
    "phonons": {"points": 5},
    "dynamics": {"repeat": [2, 2, 2], "steps": 60, "every": 2, "checkpoint_seconds": 0},
    "npt": {"temperatures_K": [100, 300]},
    "nvt": {"temperatures_K": [300]},
    "efficiency": {"sizes": [1, 2], "temperatures_K": [300], "steps": 3},
}


def plan(ensemble, steps=60, reference=None, kelvin=300.0):
    scale = Scale(REPEAT, 2.0, NOMINAL, reference)
    return Plan(ensemble, kelvin, steps, 2.0, 2, 0, 0.3, scale, 0.0)


def start():
    cell = perovskite(EDGES[0], EDGES[2])
    cell.positions[:, 2] += SHIFTS
    return cell


def test_the_defaults_are_the_protocol():
    """PHYSICS: 625 atoms, 2 fs, 100 ps of which 50 are averaged, 300 to 1000 K, ttime 25 fs, pfactor 75² fs, 0.01/fs, 2 x 2 x 2."""
    config = PtoTestConfig()
    assert PtoTestConfig.model_validate(yaml.safe_load((files("ferrojax.pto_test") / "example.yaml").read_text())) == config
    assert config.dynamics.steps * config.dynamics.time_step_fs == 1e5 and np.prod(config.dynamics.repeat) * 5 == 625
    assert config.npt.temperatures_K == config.nvt.temperatures_K == tuple(range(300, 1001, 100))
    assert config.npt.pfactor_fs == 75**2 and not config.departures()
    told = " ".join(read_config(short=True).departures())
    assert "dynamics.steps 2000 (protocol: 50000)" in told and "dynamics.repeat 3 3 3" in told


@pytest.mark.parametrize("wrong, match", [({"steps": 100}, "more than 10 records"), ({"stpes": 1}, "unknown key 'dynamics.stpes'")])
def test_settings_that_make_no_sense(wrong, match, tmp_path):
    (tmp_path / "pto.yaml").write_text(yaml.safe_dump({"dynamics": wrong}))
    with pytest.raises(FerrojaxError, match=match):
        read_config(tmp_path / "pto.yaml")


def test_polarization_of_displaced_cells():
    """Against the sum over atoms; the same for a supercell, whatever the origin; that of the dipole where charges are numbers."""
    tensors = crystal.born_tensors(PtoTestConfig().born_charges)
    np.testing.assert_allclose(tensors.sum(0), 0, atol=1e-12)
    cell = crystal.tetragonal_start()
    found = []
    for repeat, shift in (((1, 1, 1), 0.0), (REPEAT, 0.0), (REPEAT, 0.7)):
        atoms = cell.repeat(repeat)
        atoms.positions += shift
        box = atoms.cell.array[None]
        found.append(crystal.polarization(crystal.displacements(atoms.positions[None], box, repeat), box, tensors)[0])
    np.testing.assert_allclose(found, [found[0]] * 3, atol=1e-12)
    # With respect to Pb, and each oxygen by hand: along its bond -5.83, across it -2.56, 0.002 e to make them neutral.
    height = 4.1995 * np.array([0, 0.5561 - 0.5943, 0.9785 - 1.0943, 0.4733 - 0.5943, 0.4733 - 0.5943])
    brute = np.dot([3.898, 7.058, -5.832, -2.562, -2.562], height) / (3.8741**2 * 4.1995) * 16.0217663
    np.testing.assert_allclose(found[0], [0, 0, brute], atol=1e-9)
    assert 0.8 < brute < 1.15  # 0.8 to 0.9 by Berry phases; charges of the cubic phase give more
    ideal = perovskite(3.9, 3.9)
    reference = 8 / 2 * (NOMINAL[:, 0] @ ideal.positions) @ np.linalg.inv(ideal.cell.array)
    atoms = cell.repeat(REPEAT)
    box = atoms.cell.array[None]
    charges = crystal.polarization(crystal.displacements(atoms.positions[None], box, REPEAT), box, NOMINAL)
    dipole = np.tile(NOMINAL[:, 0], 8) @ atoms.positions
    np.testing.assert_allclose(crystal.from_dipole(dipole[None], box, reference), charges, atol=1e-10)


def test_lindemann_ratio_of_thermal_noise():
    """√3 σ/(a/2), whatever the polarization, the origin and the cell."""
    rng = np.random.default_rng(0)
    atoms = crystal.tetragonal_start().repeat((8, 8, 8))
    box = atoms.cell.array[None] * [1.0, 1.02, 0.97]
    noise = atoms.get_scaled_positions(wrap=False) @ box[0] + rng.normal(0, 0.2, atoms.positions.shape) + [3.0, 0.0, 1.0]
    ratio = crystal.lindemann(crystal.displacements(noise[None], box, (8, 8, 8)), box)[0]
    assert ratio == pytest.approx(np.sqrt(3) * 0.2 * 2 / np.cbrt(np.linalg.det(box[0]) / 512), rel=0.02)


def series(**changes):
    rows = np.zeros((40, len(COLUMNS)))
    rows[:, 0], rows[:, 1] = np.arange(40), np.arange(40) / 10
    for name, value in ({"a_A": 3.9, "b_A": 3.9, "c_A": 4.2, "lindemann": 0.1} | changes).items():
        rows[:, COLUMNS.index(name)] = value
    return rows


def test_what_ends_a_run():
    assert trouble(series(), 0.3) is None and trouble(series()[:0], 0.3) is None
    assert trouble(series(dipole_Pz=np.nan), 0.3) is None  # of a potential without a dipole
    assert "melted by 3.90 ps: the Lindemann ratio is 0.40" in trouble(series(lindemann=0.4), 0.3)
    assert trouble(series(lindemann=[0.1] * 39 + [0.9]), 0.3) is None  # one frame does not decide
    assert "burst by 3.90 ps: the volume is 2.50" in trouble(series(c_A=np.linspace(4.0, 10.0, 40)), 0.3)
    assert "collapsed" in trouble(series(c_A=np.linspace(4.0, 1.0, 40)), 0.3)
    assert "not finite" in trouble(series(energy_eV=[0.0] * 39 + [np.nan]), 0.3)


def test_averages_take_the_longest_edge_for_c():
    noise = np.random.default_rng(1).normal(0, 0.01, 40)
    found = averages(series(a_A=4.1 + noise, c_A=3.9, Pz=[9.0] * 20 + [0.5] * 20), 0.5)
    assert found["c"] == pytest.approx(4.1 + noise[20:].mean()) and found["c/a"] == pytest.approx(found["c"] / 3.9)
    assert found["Pz"] == pytest.approx(0.5) and 0.001 < found["a_A_error"] < 0.01


def runs(ratios, lost=None, lindemann=0.1):
    means = [{"c/a": ratio, "lindemann": lindemann} for ratio in ratios]
    good = [{"temperature_K": 300.0 + 100 * k, "status": "finished", "means": x} for k, x in enumerate(means)]
    return [run | {"status": "failed", "message": "melted by 3 ps."} if k == lost else run for k, run in enumerate(good)]


REENTRANT = ("tetragonal to cubic at 450 K", "cubic to tetragonal at 550 K", "tetragonal to cubic at 650 K")


@pytest.mark.parametrize(
    "ratios, lost, passed, words",
    [
        ([1.06, 1.05, 1.04, 1.02, 1.00, 1.00], None, (True, True, True), "650 ± 50 K"),
        ([1.06, 1.05, 1.04, 1.03, 1.03, 1.03], None, (True, False, True), "tetragonal from 300 to 800 K"),
        ([1.06, 1.00, 1.00, 1.00, 1.00, 1.00], None, (True, False, True), "350 ± 50 K"),
        ([1.06, 1.05, 1.00, 1.03, 1.00, 1.00], None, (True, False, True), "; ".join(REENTRANT)),
        ([1.32, 1.30, 1.30, 1.30, 1.00, 1.00], None, (False, True, True), "650 ± 50 K"),
        ([1.06, 1.05, 1.04, 1.02, 1.00, 1.00], 4, (True, False, False), "700 K: melted by 3 ps."),
        ([1.06, 1.05, 1.04, 1.02, 1.00, 1.00], 0, (False, False, False), "300 K: melted by 3 ps."),
        ([1.06, 1.05], None, (True, None, None), "2 of 6 temperatures"),
    ],
)
def test_verdicts(ratios, lost, passed, words):
    found = judge(runs(ratios, lost), np.arange(300.0, 801, 100), None, PtoTestConfig().criteria)
    assert tuple(v.passed for v in found[:3]) == passed and found[1].found == words
    assert found[3].passed is None and found[3].word == "undecided"


def test_a_scan_too_coarse_for_the_limits_decides_nothing():
    coarse = [run | {"temperature_K": kelvin} for run, kelvin in zip(runs([1.05, 1.0, 1.0]), (300.0, 600.0, 900.0))]
    found = judge(coarse, (300.0, 600.0, 900.0), None, PtoTestConfig().criteria)[1]
    assert found.passed is None and found.found == "450 ± 150 K"


def test_verdict_on_phonons_and_melting():
    criteria = PtoTestConfig().criteria
    soft, hard = ({"status": "finished", "lowest_per_cm": x, "wave": [0.5, 0.5, 0]} for x in (-35.0, -19.0))
    assert [judge([], [], x, criteria)[3].passed for x in (soft, hard)] == [False, True]
    assert "-35.0 1/cm at q = (0.5 0.5 0)" in judge([], [], soft, criteria)[3].found
    assert judge([], [], {"status": "failed", "message": "no cell"}, criteria)[3].found == "no cell"
    assert judge(runs([1.06, 1.0], lindemann=0.35), [300.0, 400.0], None, criteria)[2].passed is False


def test_the_cell_of_both_integrators_has_one_inertia():
    """dv/dt = V σ/W: in ASE 1/W = pfact, here W = (N_f + 3) kT τ²/3."""
    atoms, ensemble = start().repeat(REPEAT), PtoTestConfig().npt
    atoms.calc = Crystal()
    motion = integrator(atoms, plan(ensemble, kelvin=700.0), np.random.default_rng(0))
    tau = cell_period(atoms, 700.0, ensemble.pfactor_fs) * FEMTOSECOND
    assert float(cell_mass(jnp.asarray(BOLTZMANN * 700), 3 * len(atoms) - 3, tau)) == pytest.approx(1 / motion.pfact, rel=1e-7)
    assert FEMTOSECOND == pytest.approx(units.fs, rel=1e-7)


@pytest.mark.parametrize("kind", ["npt", "nvt"])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(kind, tmp_path):
    atoms, task = start().repeat(REPEAT), plan(getattr(PtoTestConfig(), kind), reference=np.full(3, -4.0))
    whole = AseRun(atoms, Crystal(), task).go()
    assert whole.shape == (30, len(COLUMNS)) and np.isfinite(whole).all()
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(SystemExit) as caught:
        AseRun(atoms, Crystal(stop_at=Crystal.calls + 33), task, path).go()
    assert caught.value.code == 143
    begun = AseRun(atoms, Crystal(), task, path)
    assert 0 < begun.step < 60
    np.testing.assert_allclose(begun.go(), whole, rtol=1e-9, atol=1e-9)
    calls = Crystal.calls
    np.testing.assert_array_equal(AseRun(atoms, Crystal(), task, path).go(), begun.rows)
    assert Crystal.calls == calls  # a run at its end takes no step
    path.write_bytes(b"PK cut short")
    with pytest.raises(FerrojaxError, match=r"checkpoint.npz: cannot be read .* remove it"):
        AseRun(atoms, Crystal(), task, path)


def test_a_soft_crystal_melts(tmp_path):
    """Springs of 0.02 eV/Å² let an atom at 300 K go 2 Å."""
    with pytest.raises(ModelFailure, match="melted by .* ps: the Lindemann ratio is 0.3") as caught:
        AseRun(start().repeat(REPEAT), Crystal(stiffness=0.02), plan(PtoTestConfig().nvt, steps=2000), tmp_path / "checkpoint.npz").go()
    assert 10 <= len(caught.value.rows) < 1000


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder, arguments and report of a whole test from the command line."""
    folder = tmp_path_factory.mktemp("pto")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    arguments = ["pto-test", "--ase", "pto_crystal:Crystal", "--config", str(folder / "tiny.yaml"), "--out", str(folder / "out")]
    assert cli.main([*arguments, "--name", "Einstein"]) == 0
    return folder / "out", arguments, json.loads((folder / "out" / "report.json").read_text())


def test_statics_and_phonons_of_the_einstein_crystal(finished):
    """Edges, barrier Σ k s²/8 and frequencies √(k/m)/2π are known; in the cubic phase a well of curvature -k/2 along z."""
    _, _, report = finished
    statics = report["statics"]
    for phase in ("cubic", "tetragonal"):
        assert statics[phase]["converged"]
        np.testing.assert_allclose([statics[phase]["a"], statics[phase]["c"]], EDGES[1:], atol=1e-3 / ELASTIC * 10)
    assert report["energy_cubic_minus_tetragonal_eV"] == pytest.approx(STIFFNESS * np.sum(SHIFTS**2) / 8, abs=1e-5)
    masses = atomic_masses[[82, 22, 8]]
    lowest = np.sqrt(STIFFNESS / masses.max()) * THZ * PER_CM
    assert report["phonons"]["tetragonal"]["lowest_per_cm"] == pytest.approx(lowest, rel=2e-3)
    # The oxygens have the lightest mass, so the fastest fall from the saddle.
    assert report["phonons"]["cubic"]["lowest_per_cm"] == pytest.approx(-np.sqrt(STIFFNESS / 2 / 15.999) * THZ * PER_CM, rel=5e-3)
    assert [v["verdict"] for v in report["criteria"]][3] == "pass"


def test_heating_is_recorded_and_averaged(finished):
    folder, _, report = finished
    assert [run["temperature_K"] for run in report["npt"]] == [100.0, 300.0] and report["departures"]
    for kind, kelvin in (("npt", 100), ("npt", 300), ("nvt", 300)):
        table = np.genfromtxt(folder / kind / f"{kelvin}K" / "series.csv", delimiter=",", names=True)
        assert len(table) == 30 and table["time_ps"][-1] == pytest.approx(0.12)
        means = next(run["means"] for run in report[kind] if run["temperature_K"] == kelvin)
        assert means["Pz"] == pytest.approx(table["Pz"][15:].mean(), rel=1e-6)
    held = report["nvt"][0]["means"]
    assert (held["a"], held["c"]) == pytest.approx((3.90, 4.15), abs=1e-6)
    cold = report["npt"][0]["means"]
    assert cold["dipole_Pz"] == pytest.approx(cold["Pz"], rel=1e-6)
    # Wells a few kT deep hold the atoms near their minima.
    assert 0.6 < cold["Pz"] / (NOMINAL[:, 2] @ SHIFTS / np.prod(EDGES) * E_PER_A2) < 1.1
    assert {run["atoms"] for run in report["efficiency"]} == {5, 40} and all(run["us_per_atom_step"] > 0 for run in report["efficiency"])


def test_the_page_stands_alone_and_says_what_it_is(finished):
    folder, _, report = finished
    text = (folder / "report.html").read_text()
    images = re.findall(r'src="([^"]*)"', text)
    assert len(images) == 4 and all(image.startswith("data:image/png;base64,") for image in images)
    assert "http" not in text and "Einstein" in text and "CHGNet 0.3.0" in text
    assert "This is not the protocol" in text and "dynamics.steps 60 (protocol: 50000)" in text
    assert all(v["found"] in text for v in report["criteria"])


def test_a_second_call_computes_nothing_and_other_settings_are_refused(finished, capsys):
    folder, arguments, _ = finished
    calls = Crystal.calls
    assert cli.main(arguments) == 0
    assert Crystal.calls <= calls + 1 and "npt/300K: there already" in capsys.readouterr().out
    config = PtoTestConfig.model_validate(TINY)
    longer = config.model_copy(update={"dynamics": config.dynamics.model_copy(update={"steps": 80})})
    with pytest.raises(FerrojaxError, match=r"other settings: protocol.dynamics.steps was 60 and is now 80"):
        run_test(AsePotential("pto_crystal:Crystal", {}), folder, longer)
    with pytest.raises(FerrojaxError, match=r"potential.arguments.stiffness was absent and is now 2"):
        run_test(AsePotential("pto_crystal:Crystal", {"stiffness": 2}), folder, config)


def test_what_a_potential_does_not_survive_is_its_result(tmp_path, monkeypatch):
    """The first temperature fails; the second is run all the same, and the verdict names the first."""
    config = PtoTestConfig.model_validate(TINY)
    potential = AsePotential("pto_crystal:Crystal", {})
    run_test(potential, tmp_path, config, ["statics"])
    monkeypatch.setattr(potential.calculator, "fail_at", Crystal.calls + 40)
    report = run_test(potential, tmp_path, config, ["npt"])
    first, second = report["npt"]
    assert first["status"] == "failed" and second["status"] == "finished"
    assert re.search(r"the calculator failed by 0\.\d+ ps: RuntimeError: the network met an unknown structure", first["message"])
    assert [v["passed"] for v in report["criteria"][:3]] == [True, False, False]
    assert report["criteria"][2]["found"].startswith("100 K: the calculator failed")
    assert 5 < len((tmp_path / "npt" / "100K" / "series.csv").read_text().splitlines()) < 30
    assert "unknown structure" in (tmp_path / "report.html").read_text()


def test_without_a_ground_state_there_is_no_heating(tmp_path):
    potential = AsePotential("pto_crystal:Crystal", {"fail_at": Crystal.calls + 1})
    report = run_test(potential, tmp_path / "a", PtoTestConfig.model_validate(TINY), ["statics", "nvt"])
    assert "network" in report["statics"]["cubic"]["message"] and report["statics"]["tetragonal"]["status"] == "finished"
    with pytest.raises(FerrojaxError, match="run the stage 'statics' first"):
        run_test(AsePotential("pto_crystal:Crystal", {}), tmp_path / "b", PtoTestConfig.model_validate(TINY), ["npt"])


@pytest.mark.parametrize(
    "arguments, match",
    [
        ([], "give --model FOLDER"),
        (["--model", "here", "--ase", "x:y"], "one of them"),
        (["--ase", "pto_crystal:Nothing"], "module:factory"),
        (["--ase", "pto_crystal:Crystal", "--stages", "phonos"], "no stage 'phonos'"),
        (["--short", "--config", "x"], "not both"),
    ],
)
def test_command_line_refuses(arguments, match, tmp_path, capsys):
    assert cli.main(["pto-test", *arguments, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert match in message and message.count("\n") == 1 and not (tmp_path / "out").exists()


def test_example_is_printed(capsys):
    assert cli.main(["pto-test", "--example"]) == 0
    assert PtoTestConfig.model_validate(yaml.safe_load(capsys.readouterr().out)) == PtoTestConfig()


@pytest.mark.slow
def test_a_ferrojax_model_and_the_same_as_ase_calculator(tmp_path):
    """Two relaxations and two integrators of one potential: cell, barrier and phonons agree; a run stopped half way goes on."""
    settings = TINY | {"npt": {"temperatures_K": [300]}, "dynamics": TINY["dynamics"] | {"precision": "float64"}}
    config = PtoTestConfig.model_validate(settings)
    ours, theirs = JaxPotential(MODEL, "float64"), AsePotential("pto_crystal:trained", {})
    one = run_test(ours, tmp_path / "one", config, ["statics", "phonons", "npt", "efficiency"])
    other = run_test(theirs, tmp_path / "other", config, ["statics", "phonons"])
    for key, digits in (("a", 2e-3), ("c", 2e-3)):
        assert one["statics"]["tetragonal"][key] == pytest.approx(other["statics"]["tetragonal"][key], abs=digits)
    name = "energy_cubic_minus_tetragonal_eV"
    assert one[name] == pytest.approx(other[name], abs=1e-4)
    # Cells that differ by 1e-3 Å shift the soft modes by some 1/cm.
    assert one["phonons"]["cubic"]["lowest_per_cm"] == pytest.approx(other["phonons"]["cubic"]["lowest_per_cm"], abs=5)
    rows = ours.dynamics(start().repeat(REPEAT), replace(plan(config.npt), steps=20), tmp_path / "run")
    more = ours.dynamics(start().repeat(REPEAT), plan(config.npt), tmp_path / "run")
    np.testing.assert_array_equal(more[: len(rows)], rows)
    assert len(more) == 30 and one["npt"][0]["status"] == "finished" and one["efficiency"][0]["us_per_atom_step"] > 0


def test_the_calculator_of_these_tests_is_what_it_says():
    """Forces and stress against differences of the energy."""
    atoms = start().repeat((2, 1, 1))
    atoms.set_cell(atoms.cell.array @ np.diag([1.01, 0.99, 1.02]), scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = Crystal()
    from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, 1e-4), atol=1e-6)
    np.testing.assert_allclose(atoms.get_stress()[:3], calculate_numerical_stress(atoms, 1e-5)[:3], atol=1e-6)
    assert pto_crystal.Crystal.calls > 0
