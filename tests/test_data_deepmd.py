"""DeePMD folders: what is read, what is optional, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ferrojax.data import read_frames
from ferrojax.errors import FerrojaxError


def deepmd(folder: Path, frames: int = 3, atoms: int = 2, sets: int = 1, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "type.raw").write_text("1\n0\n")
    (folder / "type_map.raw").write_text("O\nPb\n")
    for k in range(sets):
        (one := folder / f"set.{k:03d}").mkdir()
        np.save(one / "coord.npy", rng.normal(size=(frames, 3 * atoms)))
        np.save(one / "box.npy", np.tile((4 * np.eye(3)).ravel(), (frames, 1)))
        np.save(one / "energy.npy", rng.normal(size=frames))
        np.save(one / "force.npy", rng.normal(size=(frames, 3 * atoms)))
        np.save(one / "virial.npy", np.tile(np.diag([1.0, 2.0, 3.0]).ravel(), (frames, 1)))
    return folder


def test_deepmd_folder(tmp_path):
    folder = deepmd(tmp_path / "db" / "one", sets=2)
    deepmd(tmp_path / "db" / "two", frames=1, seed=1)
    frames = read_frames(tmp_path / "db")
    assert [f.system for f in frames] == ["one"] * 6 + ["two"]
    assert frames[4].source == "one/set.001, frame 1"
    assert frames[0].dataset == "db"
    assert str(frames[0].atoms.symbols) == "PbO"
    np.testing.assert_allclose(frames[0].stress, -np.diag([1.0, 2.0, 3.0]) / 64.0)
    np.testing.assert_array_equal(frames[4].forces.ravel(), np.load(folder / "set.001" / "force.npy")[1])
    assert len(read_frames(folder)) == 6
    assert len(read_frames(tmp_path / "db", systems=["two"])) == 1


def test_deepmd_labels_are_optional_and_named_ones_are_read(tmp_path):
    folder = deepmd(tmp_path / "one")
    (folder / "set.000" / "energy.npy").unlink()
    np.save(folder / "set.000" / "p.npy", np.ones((3, 3)))
    assert read_frames(folder)[0].energy is None
    np.testing.assert_array_equal(read_frames(folder, keys={"dipole": "p"})[0].dipole, np.ones(3))
    with pytest.raises(FerrojaxError, match=r"one/set\.000/none\.npy: no such file"):
        read_frames(folder, keys={"dipole": "none"})


def test_deepmd_mixed_types(tmp_path):
    folder = deepmd(tmp_path / "one")
    np.save(folder / "set.000" / "real_atom_types.npy", np.array([[1, 0], [0, 0], [1, -1]]))
    frames = read_frames(folder)
    assert [str(f.atoms.symbols) for f in frames] == ["PbO", "O2", "Pb"]
    assert frames[2].forces.shape == (1, 3)


def test_deepmd_agrees_with_dpdata(tmp_path):
    dpdata = pytest.importorskip("dpdata")
    folder = deepmd(tmp_path / "one")
    system = dpdata.LabeledSystem(str(folder), fmt="deepmd/npy")
    for k, frame in enumerate(read_frames(folder)):
        names = [system["atom_names"][t] for t in system["atom_types"]]
        assert list(frame.atoms.symbols) == names
        assert frame.energy == system["energies"][k]
        np.testing.assert_array_equal(frame.forces, system["forces"][k])
        np.testing.assert_array_equal(frame.atoms.positions, system["coords"][k])
        np.testing.assert_allclose(frame.stress, -system["virials"][k] / np.linalg.det(system["cells"][k]))


def _truncate(folder: Path) -> None:
    path = folder / "set.000" / "force.npy"
    path.write_bytes(path.read_bytes()[:-20])


def _save(name: str, value: np.ndarray):
    return lambda folder: np.save(folder / "set.000" / name, value)


def _write(name: str, text: str):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncate, r"one/set\.000/force\.npy: truncated"),
        (_write("set.000/energy.npy", ""), r"energy\.npy: truncated"),
        (_save("energy.npy", np.zeros(2)), r"energy\.npy: shape \(2,\), not \(3, 1\)"),
        (_save("force.npy", np.zeros((3, 9))), r"force\.npy: shape \(3, 9\), not \(3, 6\)"),
        (_save("coord.npy", np.zeros((0, 6))), r"coord\.npy: zero frames"),
        (_save("box.npy", np.zeros((3, 9))), r"one/set\.000, frame 0: the cell is flat"),
        (_save("virial.npy", np.full((3, 9), np.nan)), "the stress label is NaN"),
        (_write("type.raw", "0 3"), "type 3 has no entry in type_map.raw"),
        (_write("type.raw", "Pb O"), "not a list of integers"),
        (_write("type.raw", ""), "no atoms"),
        (_write("type_map.raw", "Qq O"), "Qq is no chemical element"),
        (_write("nopbc", ""), "nopbc"),
        (lambda folder: (folder / "type_map.raw").unlink(), r"type_map\.raw: no such file"),
        (lambda folder: (folder / "set.000" / "box.npy").unlink(), r"box\.npy: no such file"),
        (lambda folder: shutil.rmtree(folder / "set.000"), "no set"),
    ],
)
def test_spoilt_deepmd_folders(tmp_path, spoil, message):
    folder = deepmd(tmp_path / "one")
    spoil(folder)
    with pytest.raises(FerrojaxError, match=message):
        read_frames(folder)
