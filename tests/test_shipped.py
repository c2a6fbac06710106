"""Models and data sets of the package by name; the arithmetic that compares a model with first principles."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from lead_titanate import lead_titanate_cell

import ferrojax
from ferrojax import shipped
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.response import Phonons, response_tensors
from ferrojax.training import teacher_frames
from ferrojax.units import PER_CM

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"


def test_a_model_or_data_set_at_the_path_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "MODELS", tmp_path / "models")
    (tmp_path / "models" / "known").mkdir(parents=True)
    (tmp_path / "models" / "known" / "config.json").write_text("{}")
    assert shipped.shipped_models() == ["known"]
    (tmp_path / "known").mkdir()  # a folder of something else
    assert shipped.model_folder("known", tmp_path) == tmp_path / "models" / "known"
    assert shipped.model_folder("other", tmp_path) == tmp_path / "other"
    (tmp_path / "known" / "config.json").write_text("{}")
    assert shipped.model_folder("known", tmp_path) == tmp_path / "known"
    with pytest.raises(FerrojaxError, match="give the folder of a trained model or known"):
        ferrojax.load(tmp_path / "nowhere")

    assert shipped.shipped_datasets() and all(ferrojax.read_frames(name)[0].dataset == name for name in shipped.shipped_datasets())
    name = shipped.shipped_datasets()[0]
    (tmp_path / name).mkdir()
    assert shipped.data_path(name, tmp_path).is_relative_to(shipped.DATA)
    (tmp_path / name / "mine.xyz").touch()
    assert shipped.data_path(name, tmp_path) == tmp_path / name
    with pytest.raises(FerrojaxError, match="no such file"):
        ferrojax.read_frames("pbtio3-v0")


@pytest.mark.slow
def test_properties_of_labels_are_the_derivatives_of_the_model(monkeypatch):
    """Phonons, Born charges and elastic constants by differences of labels, and by differentiating the enthalpy."""
    monkeypatch.syspath_prepend(EXPERIMENTS / "shipped-models")
    import properties
    import reference

    model, params, info, state = lead_titanate_cell()
    structures = reference.around("tetragonal", state.to_ase())
    frames = teacher_frames(model, params, info, structures, labels=["energy", "forces", "stress", "dipole"], dtype=np.float64)
    labels = {structure.info["system"]: frame for structure, frame in zip(structures, frames)}
    rest, moves = labels["tetragonal/rest"], [frame for name, frame in labels.items() if "/move-" in name]

    phonopy = properties.force_constants(rest, moves)
    exact = Phonons(model, params, state).frequencies([(0, 0, 0)])[0] * PER_CM
    np.testing.assert_allclose(properties.frequencies(phonopy), np.sort(np.delete(exact, np.argsort(np.abs(exact))[:3])), atol=3)

    tensors = response_tensors(make_enthalpy(model), params, state)
    for name, value in properties.born_charges(rest, moves).items():
        which, axis = int(name.split()[0][-1]), "xyz".index(name[-1])
        assert value == pytest.approx(tensors.born[which, axis, axis], abs=0.03)

    voigt = {"C11": (0, 0), "C12": (0, 1), "C13": (0, 2), "C33": (2, 2), "C44": (3, 3), "C66": (5, 5)}
    for hessian, exact in ((None, tensors.elastic_clamped), (phonopy.force_constants, tensors.elastic)):
        for name, value in properties.elastic(labels, "tetragonal", hessian).items():
            assert value == pytest.approx(exact[voigt[name]], rel=0.03), name


def test_tilts_of_r_and_m_have_their_space_groups():
    import spglib

    found = {
        atoms.info["system"]: spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-3).number
        for atoms in ase.io.read(EXPERIMENTS / "dft-labels" / "structures" / "pbtio3-reference.extxyz", ":")
        if atoms.info["system"].startswith("tilts")
    }
    assert found == {"tilts/R": 140, "tilts/M": 127}  # a0a0c- and a0a0c+ of Glazer


def test_pbtio3_v1_has_the_forces_of_gpaw_on_cells_it_was_not_trained_on():
    """Displaced and strained cells of both phases: what phonons and elastic constants are made of."""
    frames = ferrojax.read_frames(EXPERIMENTS / "dft-labels" / "labels" / "pbtio3-reference.extxyz", dataset="pbtio3-v1")
    cells = [frame for frame in frames if len(frame.atoms) == 5]
    errors = ferrojax.evaluate(*ferrojax.load("pbtio3-v1"), cells)
    assert errors["forces"]["label_rms"] > 90 and errors["forces"]["rmse"] < 6  # meV/Å
    assert errors["stress"]["label_rms"] > 0.4 and errors["stress"]["rmse"] < 0.06  # GPa
    assert errors["dipole"]["rmse"] < 0.01  # e Å
