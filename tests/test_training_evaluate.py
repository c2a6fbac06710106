"""Evaluation: every metric against the same number worked out by hand."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from training_toy import random_frame, toy

from ferrojax.errors import FerrojaxError
from ferrojax.training.evaluate import evaluate
from ferrojax.training.loss import predict
from ferrojax.training.metrics import nearest_image
from ferrojax.units import GPA

REFERENCES = {"toy": {"Ba": -1000.3, "Ti": -999.8, "O": -1000.1}}
ALL = ("energy", "forces", "stress", "dipole", "born_charges", "polarizability")


@pytest.fixture(scope="module")
def labelled():
    """A toy, unequal frames with various labels, and predictions one structure at a time."""
    rng = np.random.default_rng(4)
    kinds = [((1, 1, 1), ALL), ((2, 1, 1), ALL), ((1, 1, 1), ("energy", "forces")), ((1, 1, 1), ("dipole", "energy"))]
    frames = [random_frame(repeats, rng, labels, i) for i, (repeats, labels) in enumerate(kinds)]
    model = toy()
    params = model.init(jax.random.key(1))
    single = jax.jit(lambda state: predict(model, params, state, born=True))
    kgrid, slots = (9, 6, 6), 64  # beyond the float64 reciprocal cutoff of either cell
    values = [single(model.prepare(f.atoms, dtype=np.float64, kgrid=kgrid, slots=slots)) for f in frames]
    return model, params, frames, [{k: np.asarray(v) for k, v in value.items()} for value in values]


def _rms(parts):
    return np.sqrt(np.mean(np.concatenate([np.ravel(p) for p in parts]) ** 2))


def _mae(parts):
    return np.mean(np.abs(np.concatenate([np.ravel(p) for p in parts])))


def test_every_metric_by_hand(labelled):
    model, params, frames, values = labelled
    result = evaluate(model, params, {"reference_energies": REFERENCES}, frames, dtype=np.float64, predictions=True)

    def residuals(name, scale=lambda frame: 1.0):
        return [(v[name] - getattr(f, name)) * scale(f) for f, v in zip(frames, values) if getattr(f, name) is not None]

    reference = [sum(REFERENCES["toy"][s] for s in f.atoms.symbols) for f in frames]
    expected = {
        "energy": [1e3 * (v["energy"] + e - f.energy) / len(f.atoms) for f, v, e in zip(frames, values, reference)],
        "forces": residuals("forces", lambda f: 1e3),
        "stress": residuals("stress", lambda f: 1 / GPA),
        "virial": residuals("stress", lambda f: 1e3 * f.atoms.get_volume() / len(f.atoms)),
        "dipole": [nearest_image(d, f.atoms.cell.array) for d, f in zip(residuals("dipole"), (frames[0], frames[1], frames[3]))],
        "born_charges": residuals("born_charges"),
        "polarizability": residuals("polarizability"),
    }
    for name, parts in expected.items():
        assert result[name]["rmse"] == pytest.approx(_rms(parts), rel=1e-9), name
        assert result[name]["mae"] == pytest.approx(_mae(parts), rel=1e-9), name
        assert result[name]["count"] == sum(np.size(p) for p in parts)
        label, value = result["predictions"][name]
        assert np.sqrt(np.mean((value - label) ** 2)) == pytest.approx(result[name]["rmse"])
    labels = {"energy": 4, "forces": 3, "stress": 2, "dipole": 3, "born_charges": 2, "polarizability": 2}
    assert result["counts"] == {"frames": 4, "atoms": 25} | labels
    relative = 100 * _rms(expected["polarizability"]) / _rms([f.polarizability for f in frames[:2]])
    assert result["polarizability"]["relative_rmse_percent"] == pytest.approx(relative)
    oxygen = [p[f.atoms.symbols == "O"] for f, p in zip(frames, expected["forces"])]
    assert result["forces"]["per_element"]["O"]["rmse"] == pytest.approx(_rms(oxygen))
    assert result["forces"]["per_element"]["O"]["count"] == sum(p.size for p in oxygen)
    assert result["notes"] == []


def test_alignment_removes_a_shift_of_each_element_and_needs_no_references(labelled):
    model, params, frames, values = labelled
    rng = np.random.default_rng(0)
    shift, noise = {"Ba": 3.0, "Ti": -2.0, "O": 0.5}, rng.normal(size=40)
    shifted = [random_frame((1, 1, 1), rng, ("energy",), i) for i in range(40)]
    for i, frame in enumerate(shifted):  # compositions of three kinds, so that the shifts are determined
        frame.atoms.symbols[: 1 + i % 3] = ["O", "Ba", "Ti"][: 1 + i % 3]
        frame.dataset = "elsewhere"
        frame.energy = 0.0
    base = evaluate(model, params, {}, shifted, align_energies=True, dtype=np.float64, predictions=True)
    assert "energy" not in base
    assert "'elsewhere'" in base["notes"][0]
    predicted = base["predictions"]["energy_aligned"][1] * 1e-3 * 5
    for frame, energy, error in zip(shifted, predicted, noise):
        frame.energy = float(energy) + sum(shift[s] for s in frame.atoms.symbols) + 1e-3 * error
    aligned = evaluate(model, params, {}, shifted, align_energies=True, dtype=np.float64)
    # Three fitted numbers take at most 3/40 of the noise away.
    assert aligned["energy_aligned"]["rmse"] == pytest.approx(_rms([noise]) / 5, rel=0.1)
    plain = evaluate(model, params, {}, shifted, dtype=np.float64)
    assert "energy_aligned" not in plain
    assert "align_energies" in plain["notes"][0]


def test_nearest_image_in_a_skewed_cell_is_the_shortest():
    rng = np.random.default_rng(2)
    cell = np.array([[4.0, 0, 0], [3.4, 2.0, 0], [1.0, 1.5, 3.0]])
    images = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
    for vector in rng.normal(size=(20, 3)) * 5:
        shortest = np.linalg.norm(vector + images, axis=1).min()
        assert np.linalg.norm(nearest_image(vector, cell)) == pytest.approx(shortest)


def test_a_frame_with_an_element_without_reference_is_left_out_and_said(labelled):
    model, params, frames, _ = labelled
    partial = {"toy": {"Ba": -1000.3, "Ti": -999.8}}
    result = evaluate(model, params, {"reference_energies": partial}, frames[2:3])
    assert "energy" not in result
    assert "forces" in result
    assert "['toy'] were left out" in result["notes"][0]


def test_zero_frames_are_refused(labelled):
    model, params, _, _ = labelled
    with pytest.raises(FerrojaxError, match="no frames"):
        evaluate(model, params, {}, [])
