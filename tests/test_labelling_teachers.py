"""Models and ASE calculators as teachers."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from ase.stress import voigt_6_to_full_3x3_stress
from training_toy import perovskite, toy

import ferrojax
from ferrojax.errors import FerrojaxError
from ferrojax.labelling import Queue, make_engine


def test_a_model_is_a_teacher(tmp_path, monkeypatch):
    model = toy()
    params = model.init(jax.random.key(0))
    loaded = (model, params, {"reference_energies": {"own": {"Ba": -10.0, "Ti": -20.0, "O": -5.0}}})
    monkeypatch.setattr("ferrojax.calculator.load", lambda path: loaded)
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
