"""Labels by a teacher are those of its calculator, batched and padded, and cannot pass for first-principles ones."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from training_toy import perovskite, toy

from ferrojax.calculator import FerrojaxCalculator
from ferrojax.data import read_frames, write_frames
from ferrojax.errors import FerrojaxError
from ferrojax.training import teacher_frames

INFO = {"reference_energies": {"dft": {"Ba": -1.5, "Ti": -2.5, "O": -3.5}}}
MODEL = toy()
PARAMS = MODEL.init(jax.random.key(0))


def test_labels_are_those_of_the_calculator(tmp_path):
    rng = np.random.default_rng(0)
    structures = [perovskite(repeats, rng) for repeats in ((1, 1, 1), (1, 2, 1), (1, 1, 1))]
    for atoms, name in zip(structures, names := ("one", "pair", "one")):
        atoms.info["system"] = name
    frames = teacher_frames(MODEL, PARAMS, INFO, structures, dtype=np.float64)
    assert [(frame.dataset, frame.system) for frame in frames] == [("teacher", name) for name in names]
    for frame, atoms in zip(frames[:2], structures):
        assert np.array_equal(frame.atoms.positions, atoms.positions)
        atoms.calc = FerrojaxCalculator(MODEL, PARAMS, INFO)
        expected = {
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces(),
            "stress": atoms.get_stress(voigt=False),
            "dipole": atoms.calc.get_property("dipole"),
            "born_charges": atoms.calc.get_property("born_effective_charges"),
            "polarizability": atoms.calc.get_property("polarizability"),
        }
        assert set(frame.labels()) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(frame.labels()[name], value, rtol=1e-9, atol=1e-9, err_msg=name)
    single = teacher_frames(MODEL, PARAMS, INFO, structures[2:], "my teacher", labels=("forces", "energy"), references="")
    assert set(single[0].labels()) == {"energy", "forces"}
    assert single[0].energy == pytest.approx(frames[2].energy - (-1.5 - 2.5 - 3 * 3.5), abs=1e-4)
    np.testing.assert_allclose(single[0].forces, frames[2].forces, atol=1e-4)  # float32
    write_frames(tmp_path / "teacher.extxyz", frames)
    assert [frame.dataset for frame in read_frames(tmp_path / "teacher.extxyz")] == ["teacher"] * 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"dataset": "pbesol"}, "the data set name 'pbesol' must say 'teacher': these labels are not first-principles ones."),
        ({"labels": ("force",)}, r"labels \['force'\]; choose some of \['energy', 'forces'"),
        ({"labels": ()}, "labels are missing"),
        ({"references": "b3lyp"}, r"no reference energies of a data set 'b3lyp'; it knows \['dft'\]"),
        ({"structures": []}, "there are no frames"),
        ({"info": {"reference_energies": {"dft": {"Ba": 0.0}}}}, r"structure 0: the teacher has no reference energy for \['O', 'Ti'\]"),
    ],
)
def test_faults_are_named(settings, sentence):
    given = {"info": INFO, "structures": [perovskite((1, 1, 1), np.random.default_rng(0))], "labels": ("energy",)} | settings
    with pytest.raises(FerrojaxError, match=sentence):
        teacher_frames(MODEL, PARAMS, **given)
