"""`ferrojax md` and `ferrojax loop`: what a configuration means, what is refused before any compute, and the loop's numbers."""

from __future__ import annotations

import csv
import json
import sys
from importlib.resources import files

import ase.io
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from random_model import random_model
from toy_model import ToyModel, rattled_triclinic

import ferrojax
from ferrojax import cli
from ferrojax.dynamics import NPT, NVE, Langevin, Ramp, Records, Sequence, run
from ferrojax.dynamics.config import IntegratorConfig, LoopConfig, MdConfig, as_value
from ferrojax.dynamics.simulate import build_integrator, pe_loop, simulate
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.hysteresis import hysteresis
from ferrojax.sections import read_section


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    ferrojax.save_model(folder, *random_model("fast"), {})
    return folder


@pytest.fixture
def config(model, tmp_path):
    """A short run, as the text of a file would give it."""
    structure = {"perovskite": {"elements": ["Pb", "Ti", "O"], "a_A": 3.9, "c_A": 4.1}, "repeat": [1, 1, 2]}
    output = {"folder": str(tmp_path / "md"), "every": 5}
    return {
        "model": str(model),
        "structure": structure,
        "integrator": {"name": "langevin"},
        "temperature_K": 300,
        "steps": 10,
        "output": output,
    }


@pytest.mark.slow
def test_md_writes_and_goes_on(config, tmp_path, capsys):
    (tmp_path / "md.yaml").write_text(yaml.safe_dump(config))
    assert cli.main(["md", str(tmp_path / "md.yaml")]) == 0
    first = capsys.readouterr()
    assert first.out.startswith("step 10: ") and first.err == ""  # no progress where there is no terminal
    (tmp_path / "md.yaml").write_text(yaml.safe_dump(config | {"steps": 20}))
    assert cli.main(["md", str(tmp_path / "md.yaml"), "--progress"]) == 0
    assert "step 20/20  0.020 ps" in capsys.readouterr().err
    with open(tmp_path / "md" / "log.csv") as stream:
        assert [int(row["step"]) for row in csv.DictReader(stream)] == [5, 10, 15, 20]
    (tmp_path / "md.yaml").write_text(yaml.safe_dump(config | {"temperature_K": 310}))
    assert cli.main(["md", str(tmp_path / "md.yaml")]) == 2
    assert "integrator.temperature was 300.0 and is now 310.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stepz": 5}, "unknown key 'stepz'"),
        ({"integrator": {"name": "langevin", "tau": 1}}, r"unknown key 'integrator.tau'; known keys there: name, time_step_fs"),
        ({"integrator": {"name": "langevin", "tau_fs": 1}}, "integrator.tau_fs: langevin has no such setting"),
        ({"integrator": {"name": "langevin", "time_step_fs": 6.0}}, "6 fs is too large, the limit is 5 fs: the fastest vibrations"),
        ({"integrator": {"name": "langevin", "time_step_fs": 0.0}}, "must be a finite number of fs above zero; got 0"),
        ({"integrator": {"name": "langevin", "friction_per_fs": -1.0}}, "friction: must be a finite number above zero; got -1"),
        ({"integrator": {"name": "nve"}, "temperature_K": None}, "initial_temperature_K: is missing"),
        ({"steps": 0}, "steps: must be a whole number above zero; got 0"),
        ({"time_ps": 1.0}, "exactly one of steps and time_ps"),
        ({"temperature_K": -1.0}, r"temperature \(K\): is negative, -1 K"),
        ({"temperature_K": [{"from_fs": 0, "to_fs": 10, "start": 100, "end": -50}]}, r"is negative, -50 K at 10 fs"),
        (
            {"temperature_K": [{"from_ps": 0, "to_ps": 1, "value": 1}, {"from_ps": 2, "to_ps": 3, "value": 1}]},
            "temperature_K: a gap before piece 2",
        ),
        ({"temperature_K": [{"from_ps": 0, "to_ps": 2, "value": 1}, {"from_ps": 1, "to_ps": 3, "value": 1}]}, "temperature_K: an overlap"),
        ({"temperature_K": [{"from_ps": 0, "to_ps": 2, "from_fs": 0, "value": 1}]}, "exactly one of from_ps and from_fs"),
        ({"temperature_K": [{"from_ps": 0, "to_ps": 2, "value": 1, "start": 1, "end": 2}]}, "exactly one of value, start with end"),
        ({"temperature_K": [{"from_ps": 0, "to_ps": 2, "valeu": 1}]}, r"unknown key 'temperature_K.0.valeu'; known keys there: from_ps"),
        ({"temperature_K": None}, "temperature_K: is missing; langevin needs it"),
        ({"field_V_per_A": [0, 0]}, r"field \(V/Å\): must be three numbers; got an array of shape \(2,\)"),
        ({"field_V_per_A": [0, 0, float("inf")]}, r"field \(V/Å\): is not finite"),
        ({"strain": [[0, 0, 0], [0, float("nan"), 0], [0, 0, 0]]}, "strain: is not finite"),
        ({"strain": [[0, 0, 0], [0, -1.5, 0], [0, 0, 0]]}, "strain: leaves -0.5 of the volume"),
        ({"stress_GPa": 1.0}, "stress_GPa: langevin holds the cell"),
        ({"structure": {"file": "nowhere.cif"}}, "nowhere.cif: no such file"),
        ({"structure": {"perovskite": {"elements": ["Pb", "Tt", "O"], "a_A": 4}}}, "'Tt' is no chemical element"),
        ({"structure": {"perovskite": {"elements": ["Pb", "Hf", "O"], "a_A": 4}}}, r"does not know \['Hf'\]"),
        ({"model": "nomodel"}, "nomodel.config.json: cannot be read"),
        ({"output": {"folder": "x", "every": 0}}, "every: must be a whole number above zero"),
    ],
)
def test_bad_input_is_refused_before_any_compute(config, change, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("_first", "_segment"):
        monkeypatch.setattr(sys.modules["ferrojax.dynamics.run"], name, None)
    with pytest.raises(FerrojaxError, match=words) as caught:
        simulate(config | change)
    assert str(caught.value).count("\n") == 0 and not (tmp_path / "md").exists()


@pytest.mark.parametrize(
    ("integrator", "settings", "words"),
    [
        (NVE(dt=7.0), {}, "7 fs is too large"),
        (Langevin(temperature=Ramp(10.0, -10.0, duration=50.0)), {}, "is negative, -10 K"),
        (NPT(stress=jnp.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])), {}, "tensor is not symmetric"),
        (NPT(cell="square"), {}, "must be one of"),
        (NPT(tau=0.0), {}, "tau: must be"),
        (NVE(), {"temperature": -5.0}, "is negative, -5 K"),
        (NVE(), {"strain": lambda t: t * jnp.full((3, 3), jnp.nan)}, "strain: is not finite"),
        (NVE(), {"every": 0}, "every: must be a whole number"),
        (NVE(), {"steps": -3}, "steps: must be a whole number above zero; got -3"),
    ],
)
def test_the_python_interface_is_as_strict(integrator, settings, words):
    state = ToyModel().prepare(rattled_triclinic(), skin=1.0)
    settings = {"steps": 100, "key": jax.random.key(0), "temperature": 300.0} | settings
    with pytest.raises(FerrojaxError, match=words):
        run(never, {}, state, integrator, **settings)


def never(params, state, strain, field):
    raise AssertionError("the enthalpy was asked for")


def test_pieces_become_protocols_in_fs():
    text = [
        {"from_ps": 0, "to_fs": 2000, "start": 300, "end": 900},
        {"from_ps": 2, "to_ps": 3, "triangle": {"amplitude": 10, "period_ps": 1}},
    ]
    values = read_section(MdConfig, minimal() | {"temperature_K": text})[0].temperature_K
    protocol = as_value(values, 2.0, "temperature_K")
    assert isinstance(protocol, Sequence)
    at = [float(protocol(jnp.asarray(t))) for t in (0.0, 1000.0, 2250.0, 2750.0)]
    np.testing.assert_allclose(at, [600.0, 1200.0, 20.0, -20.0], atol=1e-3)


def minimal():
    structure = {"perovskite": {"elements": ["Pb", "Ti", "O"], "a_A": 4.0}}
    return {"model": "m", "structure": structure, "integrator": {"name": "nve"}, "output": {"folder": "f"}, "steps": 1}


def test_integrators_get_their_settings():
    config = IntegratorConfig(name="npt", time_step_fs=2.0, tau_fs=50.0, cell="film")
    assert build_integrator(config, 300.0, 0.5) == NPT(dt=2.0, temperature=300.0, stress=0.5, tau=50.0, cell="film")


@pytest.mark.parametrize(("command", "kind"), [("md", MdConfig), ("loop", LoopConfig)])
def test_examples_are_valid(command, kind, capsys):
    assert cli.main([command, "--example"]) == 0
    shown = capsys.readouterr().out
    assert shown == (files("ferrojax.dynamics") / f"{command}.yaml").read_text(encoding="utf-8")
    assert read_section(kind, yaml.safe_load(shown))[0].seed == 0
    assert cli.main([command]) == 2 and "--example" in capsys.readouterr().err


def ideal(switching=500e-5, remanent=0.3, amplitude=1000e-5, slope=10.0):
    """Records of a square loop, P = ±Pr + slope·E, in a volume of 100 Å³, through 3.25 periods of 4 ps."""
    time = np.arange(1, 13001, dtype=float)
    phase = time / 4000
    wave = 1 - 4 * np.abs(np.mod(phase + 0.25, 1) - 0.5)
    field, sign, up = amplitude * wave, [], -1.0
    for e in field:
        up = 1.0 if e > switching else -1.0 if e < -switching else up
        sign.append(up)
    polarization = remanent * np.array(sign) + slope * field + 0.07  # C/m², with a constant of no meaning
    n, zero = len(time), np.zeros(len(time))
    vectors = [np.stack([zero, zero, x], 1) for x in (polarization * 100.0 / 16.02176634, field)]
    cell = np.broadcast_to(np.diag([5.0, 5.0, 4.0]), (n, 3, 3))
    return Records(np.arange(1, n + 1), time, zero, zero, zero, zero, *vectors, np.zeros((n, 6)), cell)


def test_a_square_loop_has_its_remanence_coercive_field_and_area():
    loop = hysteresis(ideal(), np.array([0.0, 0.0, 1.0]), 4000.0)
    assert loop.cycles == 3 and (loop.cycle[:999] == -1).all() and loop.cycle.max() == 2
    np.testing.assert_allclose(loop.remanence, (0.3, -0.3), atol=2e-3)
    np.testing.assert_allclose(loop.coercive_field, (-500.0, 500.0), rtol=5e-3)
    # 2 Pr · 2 Ec, and times 100 Å³ in eV.
    area = 4 * 0.3 * 500 * 1e5 / 1e6
    assert loop.area == pytest.approx(area, rel=5e-3)
    assert loop.dissipated == pytest.approx(area * 1e6 * 100e-30 / 1.602176634e-19, rel=5e-3)


def test_a_loop_that_does_not_switch_has_no_area():
    loop = hysteresis(ideal(switching=1.0), np.array([0.0, 0.0, 1.0]), 4000.0)
    assert abs(loop.area) < 1e-3 and abs(loop.dissipated) < 1e-4
    with pytest.raises(FerrojaxError, match="no whole cycle"):
        hysteresis(Records(**{k: v[:3000] for k, v in vars(ideal()).items() if v is not None}), np.array([0.0, 0.0, 1.0]), 4000.0)


def test_loop_writes_table_numbers_and_figure(config, tmp_path):
    del config["steps"]
    cycle = {"amplitude_kV_per_cm": 2000.0, "direction": [0, 0, 2], "period_ps": 0.2, "cycles": 1}
    result = pe_loop(config | {"loop": cycle, "output": {"folder": str(tmp_path / "loop"), "every": 5}})
    assert result.field.max() == pytest.approx(2000.0, rel=1e-5) and result.field.min() == pytest.approx(-2000.0, rel=1e-5)
    with open(tmp_path / "loop" / "loop.csv") as stream:
        rows = list(csv.DictReader(stream))
    np.testing.assert_array_equal([float(row["polarization_C_per_m2"]) for row in rows], result.polarization)
    assert json.loads((tmp_path / "loop" / "loop.json").read_text())["area_MJ_per_m3"] == result.area
    assert (tmp_path / "loop" / "loop.png").stat().st_size > 5000
    with pytest.raises(FerrojaxError, match="fewer than 40 points a period"):
        pe_loop(config | {"loop": cycle | {"period_ps": 0.1}, "output": {"folder": str(tmp_path / "other"), "every": 5}})


def test_a_structure_file_is_read_and_repeated(config, tmp_path):
    from ferrojax.dynamics.config import StructureConfig
    from ferrojax.dynamics.simulate import build_structure

    ase.io.write(tmp_path / "start.cif", rattled_triclinic())
    atoms = build_structure(StructureConfig(file="start.cif", repeat=(2, 1, 1)), tmp_path)
    assert len(atoms) == 16
    (tmp_path / "bad.cif").write_text("not a structure")
    with pytest.raises(FerrojaxError, match=r"bad.cif: cannot be read as a structure"):
        build_structure(StructureConfig(file="bad.cif"), tmp_path)
