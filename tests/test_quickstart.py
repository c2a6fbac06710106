"""The quick start end to end with a tiny budget, and its parts against independent physics."""

from __future__ import annotations

import base64
import functools
import json
import re
from pathlib import Path

import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest
from ase.data import atomic_masses
from random_model import random_model

from ferrojax.data import read_frames
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.potential import load
from ferrojax.quickstart import run, statics
from ferrojax.quickstart.fit import HELD_OUT, MAX_ATOMS
from ferrojax.quickstart.main import REPORTS
from ferrojax.quickstart.switching import switch
from ferrojax.response.first import born_charges, chi_inf
from ferrojax.training.evaluate import evaluate
from ferrojax.units import E_PER_A2, EPSILON_0, FEMTOSECOND

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"
pytestmark = pytest.mark.slow  # trains, relaxes and runs dynamics: minutes


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder and report of a run with seconds of training."""
    folder = tmp_path_factory.mktemp("quickstart") / "out"
    folder.mkdir()
    (folder / "report.json").write_text("of an earlier run")
    return folder, run(folder, minutes=0.1, seed=1, cells=1, picoseconds=0.1)


def test_report_is_whole_and_finite(finished):
    folder, report = finished
    assert json.loads((folder / "report.json").read_text()) == report

    def numbers(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [n for entry in value for n in numbers(entry)]
        return [value] if isinstance(value, float | int) else []

    assert np.isfinite(numbers(report)).all()
    assert set(report["seconds"]) == {"training", "statics", "derivatives", "dynamics"}
    switching = report["switching"]
    assert switching["atoms"] == 5 and len(switching["time_fs"]) == len(switching["field_V_per_A"]) == len(
        switching["polarization_C_per_m2"]
    )
    assert switching["time_fs"][0] == 0.0 and switching["polarization_C_per_m2"][0] == pytest.approx(report["polarization_C_per_m2"][2])
    born = np.array(list(report["born_charges_e"].values()))
    np.testing.assert_allclose(born.sum(0), 0.0, atol=1e-10)  # acoustic sum rule
    assert report["structure"]["c/a"] == pytest.approx(report["structure"]["c"] / report["structure"]["a"])


def test_errors_are_those_of_the_saved_model_on_frames_it_did_not_see(finished):
    folder, report = finished
    model, params, info = load(folder / "model")
    training = report["training"]
    frames = [frame for frame in read_frames("pbtio3-v1") if len(frame.atoms) <= MAX_ATOMS]
    every = evaluate(model, params, info, frames)
    seen, held = training["errors_train"], training["errors_held_out"]
    assert (seen["counts"]["frames"], held["counts"]["frames"]) == (len(frames) - HELD_OUT, HELD_OUT)
    for name in ("energy", "forces", "stress", "dipole"):
        square = [e[name]["count"] * e[name]["rmse"] ** 2 for e in (seen, held, every)]
        assert square[0] + square[1] == pytest.approx(square[2], rel=1e-3), name
    curve = training["curve"]
    assert curve["step"][-1] == training["steps"] > 0
    assert curve["forces_rmse"][-1] == pytest.approx(held["forces"]["rmse"], rel=1e-3)  # the last weights, not the best


def test_reference_is_what_gpaw_relaxed():
    found = json.loads((EXPERIMENTS / "dft-labels" / "pbtio3-relaxed.json").read_text())
    cubic, tetragonal = found["cubic"], found["tetragonal"]
    (a, _, c), height = np.diag(tetragonal["cell"]), np.array(tetragonal["scaled_positions"])[:, 2]
    expected = {"a": a, "c": c, "c/a": c / a, "z Ti": height[1], "z O apical": height[2] % 1, "z O equatorial": height[3:].mean()}
    assert pytest.approx(expected | {"a cubic": cubic["cell"][0][0]}, abs=6e-5) == statics.REFERENCE
    assert pytest.approx(height[0], abs=6e-5) == statics.PB_HEIGHT
    assert pytest.approx(1e3 * (cubic["energy"] - tetragonal["energy"]), abs=0.05) == statics.REFERENCE_DIFFERENCE


def test_page_holds_its_figures_and_every_warning(finished):
    folder, report = finished
    text = (folder / "report.html").read_text()
    images = re.findall(r'src="([^"]*)"', text)
    assert len(images) == 2 and all(image.startswith("data:image/png;base64,") for image in images)
    assert base64.b64decode(images[0].split(",")[1]) == (folder / "quickstart.png").read_bytes()
    assert "http" not in text
    assert text.count('class="warning"') == len(report["warnings"])
    assert (report["switching"]["reversals"] == 2) or any("did not follow" in warning for warning in report["warnings"])
    pixels = matplotlib.image.imread(folder / "quickstart.png")
    assert min(pixels.shape[:2]) > 1000 and pixels[..., :3].std() > 0.05
    assert not list(folder.glob(".*"))


def test_a_weak_field_moves_the_polarization_its_own_way():
    """ΔP = ε0 χ∞ E, and the ions fall freely at first: Σ_i Σ_b Z*_i,zb² E t² / 2 m_i V; thermal motion is the same for both signs."""
    model, params, enthalpy = untrained()
    state = model.prepare(statics.perovskite(3.9, 4.1, ti=0.54), np.float64)
    amplitude = 1e-3

    def response(sign):
        return switch(model, enthalpy, params, state, 0.0, 0, 1, 0.2, lambda _: None, pytest.fail, sign * amplitude)

    up, down = response(1.0), response(-1.0)
    np.testing.assert_allclose(up.field, -down.field, atol=1e-9)
    change = (up.polarization - down.polarization) / 2
    assert change[0] == 0.0 and (change[1:4] > 0).all()  # 10, 20, 30 fs; the field turns at 50 fs
    born = np.asarray(born_charges(enthalpy, params, state, jnp.zeros(3)))[:, 2]
    rate = np.sum(born**2 / atomic_masses[np.asarray(state.numbers)][:, None]) * amplitude / float(state.volume)
    fall = rate * (10 * FEMTOSECOND) ** 2 / 2 * E_PER_A2
    electrons = float(chi_inf(enthalpy, params, state, jnp.zeros(3))[2, 2]) * EPSILON_0 * amplitude * E_PER_A2
    assert 0.5 < (change[1] - electrons) / fall < 1.2  # less 5 % friction and what restoring forces take in 10 fs


def test_polarization_along_the_path_is_the_integral_of_the_born_charges():
    model, params, enthalpy = untrained()
    cubic, polar = statics.perovskite(4.0, 4.0), statics.perovskite(4.0, 4.0, ti=0.56, apical=-0.02, equatorial=0.48)
    wrapped = polar.copy()
    wrapped.positions[1] += 2 * polar.cell[2] - polar.cell[0]
    start, end, other = (model.prepare(atoms, np.float64, skin=1.0) for atoms in (cubic, polar, wrapped))
    path = statics.polarization_path(model, enthalpy, params, start, end)
    np.testing.assert_allclose(statics.polarization_path(model, enthalpy, params, start, other), path, atol=1e-9)
    shift = polar.positions - cubic.positions
    nodes, weights = np.polynomial.legendre.leggauss(4)
    total = np.zeros(3)
    for share, weight in zip((nodes + 1) / 2, weights / 2):
        image = start.replace(positions=start.positions + share * shift)
        total += weight * np.einsum("iab,ib->a", born_charges(enthalpy, params, image, jnp.zeros(3)), shift)
    np.testing.assert_allclose(path[-1], total / float(start.volume) * E_PER_A2, atol=1e-6)
    assert np.abs(path[-1, 2]) > 0.1


def test_a_relaxation_that_fails_is_said_and_survived(monkeypatch):
    model, params, enthalpy = untrained()

    def failing(*_):
        raise FerrojaxError("relax: not converged after 500 steps: largest force 0.2 eV/Å.")

    monkeypatch.setattr(statics, "relax", failing)
    said: list[str] = []
    found = statics.relax_phases(model, enthalpy, params, said.append)
    assert not found.converged and found.numbers["a"] == pytest.approx(3.87)
    assert [text.split()[0] for text in said] == ["tetragonal", "cubic"]
    assert all("largest force 0.2 eV/Å" in text and "unrelaxed start" in text for text in said)


@pytest.mark.parametrize("wrong", [{"minutes": 0.0}, {"cells": 0}, {"picoseconds": -1.0}])
def test_values_out_of_range(wrong, tmp_path):
    with pytest.raises(FerrojaxError, match="must be positive"):
        run(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_output_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FerrojaxError, match="choose another output folder"):
        run(tmp_path / "file", minutes=0.1)
    assert (tmp_path / "file").read_text() == "mine"
    assert set(REPORTS) == {"report.html", "report.json", "quickstart.png"}


@functools.cache
def untrained():
    """An untrained model, its parameters and its enthalpy."""
    model, params = random_model("fast")
    return model, params, make_enthalpy(model)
