"""The PTO-test as a whole, on a crystal of which every number is known: protocol, stages, resume, failures, report."""

import json
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import yaml
from ase.data import atomic_masses
from lead_titanate import MODEL
from pto_crystal import EDGES, ELASTIC, NOMINAL, REPEAT, SHIFTS, STIFFNESS, Crystal, plan, start

from ferrojax import cli
from ferrojax.errors import FerrojaxError
from ferrojax.pto_test import PtoTestConfig, run_test
from ferrojax.pto_test.ase_potential import AsePotential
from ferrojax.pto_test.config import read_config
from ferrojax.pto_test.jax_potential import JaxPotential
from ferrojax.units import E_PER_A2, PER_CM, THZ

TINY = {
    "born_charges": {"Pb": 2, "Ti": 4, "O_along": -2, "O_across": -2},  # of the crystal's own dipole
    "phonons": {"points": 5},
    "dynamics": {"repeat": [2, 2, 2], "steps": 60, "every": 2, "checkpoint_seconds": 0},
    "npt": {"temperatures_K": [100, 300]},
    "nvt": {"temperatures_K": [300]},
    "efficiency": {"sizes": [1, 2], "temperatures_K": [300], "steps": 3},
}


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
