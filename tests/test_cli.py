"""The command line: help at once, one sentence and status 2 for bad input, true numbers."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from argparse import Namespace

import jax
import numpy as np
import pytest
import yaml
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from random_model import polar_perovskite, random_model

import ferrojax
from ferrojax import cli
from ferrojax.errors import FerrojaxError

COMMANDS = (
    ["train"],
    ["evaluate"],
    ["md"],
    ["loop"],
    ["barrier"],
    ["relax"],
    ["response"],
    ["phonons"],
    ["flexo"],
    ["design"],
    *(["label", action] for action in ("add", "run", "status", "export", "retry", "remove")),
    ["info"],
    ["data", "check"],
    ["quickstart"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches_by_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    assert f"  ferrojax {' '.join(command)}" in capsys.readouterr().out.split("examples:")[1]


def test_help_does_not_wait_for_jax():
    code = "import sys, ferrojax.cli as c; c.build_parser().format_help(); sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_exists():
    for name in ferrojax.__all__:
        assert getattr(ferrojax, name) is not None, name
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = ferrojax.nothing_of_the_kind


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "nowhere.yaml"], "nowhere.yaml"),
        (["train"], "--example"),
        (["evaluate", "--model", "no-model", "--data", "x.xyz"], "no-model"),
        (["info", "no-model"], "no-model"),
        (["barrier", "a.xyz", "b.xyz", "--model", "no-model"], "no-model"),
        (["barrier", "a.xyz", "b.xyz", "--model", "no-model", "--free", "zx"], "zx is no strain"),
        (["quickstart", "--minutes", "-1"], "--minutes -1"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(arguments, words, capsys):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1 and "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (FerrojaxError("frame 3: bad cell; mend it."), 2, "frame 3: bad cell; mend it."),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 2, "runs/x: No space left on device; "),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_failures_end_in_a_sentence(error, status, words, capsys, monkeypatch):
    def fail(options: Namespace) -> None:
        raise error

    monkeypatch.setattr(cli, "_info", fail)
    assert cli.main(["info"]) == status
    assert words in capsys.readouterr().err


def test_a_bug_is_not_hidden(monkeypatch):
    def fail(options: Namespace) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(cli, "_info", fail)
    with pytest.raises(KeyError):
        cli.main(["info"])


def test_example_configuration_is_valid(capsys):
    from ferrojax.training.config import load_config

    assert cli.main(["train", "--example"]) == 0
    assert load_config(yaml.safe_load(capsys.readouterr().out)).data[0].path == "pbtio3-v1"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model folder, and three frames labelled by that model with every force off by 0.01 eV/Å."""
    folder = tmp_path_factory.mktemp("cli")
    model, params = random_model("fast")
    references = {"own": {"Pb": -10.0, "Ti": -20.0, "O": -5.0}}
    ferrojax.save_model(folder / "model", model, params, {"reference_energies": references, "provenance": {"datasets": ["own"]}})
    evaluate = jax.jit(lambda state: ferrojax.energy_forces_stress(ferrojax.make_enthalpy(model), params, state, np.zeros(3)))
    frames = []
    for seed in range(3):
        atoms = polar_perovskite(seed=seed)
        energy, forces, stress = (np.asarray(x) for x in evaluate(model.prepare(atoms, dtype=np.float64)))
        atoms.calc = SinglePointCalculator(atoms, energy=energy - 10.0 - 20.0 - 3 * 5.0, forces=forces + 0.01, stress=stress)
        frames.append(atoms)
    write(folder / "own.extxyz", frames)
    return folder


def test_evaluate_reports_known_errors(saved, tmp_path, capsys):
    output = tmp_path / "deep" / "metrics.json"
    arguments = ["--model", str(saved / "model"), "--data", str(saved / "own.extxyz"), "--json", str(output), "--plots", str(tmp_path)]
    assert cli.main(["evaluate", *arguments, "--align-energies"]) == 0
    metrics = json.loads(output.read_text())
    # The labels are float64, the prediction float32 with its shorter reciprocal sum.
    assert metrics["forces"]["rmse"] == pytest.approx(10, abs=0.5) and metrics["forces"]["count"] == 45
    assert metrics["energy"]["rmse"] < 0.5 and metrics["energy_aligned"]["rmse"] < 0.5
    assert metrics["stress"]["rmse"] < 0.01 and metrics["counts"]["frames"] == 3
    assert (tmp_path / "parity.png").stat().st_size > 5000
    assert "forces" in capsys.readouterr().out


def test_evaluate_refuses_what_the_model_does_not_know(saved, tmp_path, capsys):
    frames = read(saved / "own.extxyz", ":")
    frames[1].numbers[0] = 56
    write(tmp_path / "barium.extxyz", frames)
    output = tmp_path / "metrics.json"
    arguments = ["--model", str(saved / "model"), "--data", str(tmp_path / "barium.extxyz"), "--json", str(output)]
    assert cli.main(["evaluate", *arguments]) == 2
    message = capsys.readouterr().err
    assert "barium.extxyz" in message and "Ba" in message and message.count("\n") == 1
    assert not output.exists()


def test_info_describes_machine_and_model(saved, capsys):
    assert cli.main(["info"]) == 0
    machine = capsys.readouterr().out
    assert ferrojax.__version__ in machine and jax.__version__ in machine and "float64" in machine
    assert cli.main(["info", str(saved / "model")]) == 0
    described = capsys.readouterr().out
    leaves = jax.tree.leaves(ferrojax.load(saved / "model")[1])
    assert f"{sum(leaf.size for leaf in leaves):,}" in described and "Pb +2" in described and "own" in described
    assert "null" not in described  # settings left open


def test_data_check_reports_a_broken_frame(saved, tmp_path, capsys):
    frames = read(saved / "own.extxyz", ":")
    assert cli.main(["data", "check", str(saved / "own.extxyz")]) == 0
    frames[1].calc.results["forces"][2, 0] = np.nan
    write(tmp_path / "bad.extxyz", frames)
    assert cli.main(["data", "check", str(tmp_path / "bad.extxyz"), "--json", str(tmp_path / "report.json")]) == 2
    assert "bad.extxyz, frame 1" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["findings"]
