"""`ferrojax analyse`: the same maps from every format, files that other programs open, and what is refused."""

import json
import os
import re
import signal

import ase.io
import h5py
import numpy as np
import pandas
import pytest
from analyse_command import BORN, SITES, analyse
from lead_titanate import MODEL
from perovskites import crystal, trajectory, write_dump, write_h5md
from test_local import brute_force

from ferrojax import cli, effective
from ferrojax import ferroelectrics as fe
from ferrojax.dynamics import Langevin, Output, run
from ferrojax.ferroelectrics.maps import map_atoms
from ferrojax.units import E_PER_A2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One trajectory in all formats."""
    path, made = tmp_path_factory.mktemp("analyse"), trajectory(12)
    ase.io.write(path / "start.traj", made[0])
    write_h5md(path / "run.h5", made)
    ase.io.write(path / "run.extxyz", made)
    ase.io.write(path / "run.traj", made)
    write_dump(path / "run.dump", made)
    return path


def test_all_formats_give_the_same_maps_and_series(folder, capsys):
    made = trajectory(12)
    for name in ("run.h5", "run.extxyz", "run.traj", "run.dump"):
        assert analyse(folder, name, *BORN, "--every", 2) == 0
    tables = [pandas.read_csv(folder / f"out-{name}" / "series.csv") for name in ("run.h5", "run.extxyz", "run.traj", "run.dump")]
    maps = [ase.io.read(folder / f"out-{name}" / "maps.extxyz", ":") for name in ("run.h5", "run.extxyz", "run.traj", "run.dump")]
    for table, frames in zip(tables, maps):
        assert table["step"].tolist() == [20 * k for k in range(6)] and len(frames) == 6
        numbers = table.select_dtypes("number").drop(columns=["time_fs"])
        np.testing.assert_allclose(numbers, tables[0].select_dtypes("number").drop(columns=["time_fs"]), atol=1e-6)
        assert (table["glazer"] == tables[0]["glazer"]).all() and (table["phase_of_mean_P"] == tables[0]["phase_of_mean_P"]).all()
        for frame, first, atoms in zip(frames, maps[0], made[::2]):
            np.testing.assert_allclose(frame.arrays["local_polarization"], first.arrays["local_polarization"], atol=1e-6)
            # and as the second map has it, by the B atom that stands there
            theirs = brute_force(atoms)
            distance = ase.geometry.get_distances(frame.positions, atoms.positions[list(theirs)], atoms.cell, True)[1]
            np.testing.assert_allclose(np.sort(frame.arrays["local_polarization"], 0), np.sort(list(theirs.values()), 0), atol=1e-6)
            assert distance.shape == (12, 12)
    np.testing.assert_allclose(tables[0]["P_z_C_per_m2"], [x.arrays["local_polarization"][:, 2].mean() for x in maps[0]], atol=1e-7)
    assert (tables[0]["phase_of_mean_P"] == "tetragonal").mean() > 0.5
    assert "P_z_C_per_m2" in capsys.readouterr().out


def test_thresholds_of_vortices_and_tilts(tmp_path):
    """Noise across a single domain makes no vortices; tilts of half a degree are named where they are asked for."""
    start = crystal((6, 6, 4))
    cells = fe.find_cells(start, "Pb", "Ti")
    made = start.copy()
    made.positions[cells.b, 2] += 0.3
    made.positions[cells.b, :2] += np.random.default_rng(0).normal(0, 0.01, (144, 2))
    signs = np.where(cells.index.sum(1) % 2, -1, 1)
    made.positions[cells.o[:, 0], 1] += signs * 0.5 * 3.9 * np.tan(np.radians(0.6))
    made.positions[cells.o[:, 1], 0] -= signs * 0.5 * 3.9 * np.tan(np.radians(0.6))
    ase.io.write(tmp_path / "start.traj", start)
    ase.io.write(tmp_path / "run.traj", made)
    rows = []
    for options in ((), ("--threshold", 1e-4, "--tilt-threshold", 0.3)):
        assert analyse(tmp_path, "run.traj", *BORN, "--maps", "none", *options) == 0
        rows.append(pandas.read_csv(tmp_path / "out-run.traj" / "series.csv").iloc[0])
    assert rows[0]["vortices"] == 0 and rows[1]["vortices"] > 10
    assert rows[0]["glazer"] == "a0a0a0" and rows[1]["glazer"] == "a0a0c-"


def test_hdf5_maps(folder):
    assert analyse(folder, "run.traj", *BORN, "--maps", "hdf5") == 0
    with h5py.File(folder / "out-run.traj" / "maps.h5") as file:
        assert file.attrs["grid"].tolist() == [3, 2, 2] and file["local_polarization"].shape == file["tilt"].shape == (12, 12, 3)
        assert set(np.unique(file["variant"])) <= {-1, 0, 1}
        assert file["local_polarization"].attrs["unit"] == "C m-2" and file["step"][:].tolist() == [10 * k for k in range(12)]


@pytest.mark.slow  # compiles the dynamics
def test_a_run_of_the_effective_hamiltonian(tmp_path):
    import jax

    params = effective.load_parameters("pbtio3-lda")
    state = effective.prepare(params, effective.uniform_state((3, 2, 4), (0.0, 0.0, 0.3)))
    end = run(
        effective.make_enthalpy((3, 2, 4)),
        params,
        state,
        Langevin(2.0, 100.0),
        20,
        key=jax.random.key(0),
        every=10,
        output=Output(tmp_path / "md"),
    )
    assert cli.main(["analyse", str(tmp_path / "md" / "trajectory.h5"), "--effective", "pbtio3-lda", "--out", str(tmp_path / "out")]) == 0
    table = pandas.read_csv(tmp_path / "out" / "series.csv")
    expected = end.records.dipole / (24 * float(params.a0) ** 3) * E_PER_A2
    np.testing.assert_allclose(table[["P_x_C_per_m2", "P_y_C_per_m2", "P_z_C_per_m2"]], expected, atol=1e-6)
    last = list(fe.frames(tmp_path / "md" / "trajectory.h5"))[-1]
    np.testing.assert_allclose(fe.lattice_modes(last, params), end.state.modes, atol=1e-6)
    assert (table["phase_of_mean_P"] == "tetragonal").all() and "glazer" not in table


def test_bad_arguments_are_one_sentence(folder, tmp_path, capsys):
    def refused(*options, name="run.traj"):
        assert analyse(folder, name, *options) == 2
        return capsys.readouterr().err

    assert "give an axis and a component, such as x:z" in refused(*BORN, "--walls", "xz")
    assert "give ELEMENT=CHARGE or ELEMENT=ALONG,ACROSS" in refused("--born", "Pb:3")
    assert "name the Born charges with --born" in refused()
    assert "holds no charges; give Born charges instead" in refused("--charges", "stored")
    assert "no Born charge for O" in refused("--born", "Pb=3.9", "Ti=7")
    bad = ["analyse", str(folder / "run.traj"), *SITES, *BORN, "--out", str(tmp_path / "out")]
    assert cli.main(bad) == 2 and "name a reference structure" in capsys.readouterr().err
    other = tmp_path / "other.traj"
    ase.io.write(other, crystal((2, 2, 2)))
    assert cli.main([*bad, "--reference", str(other)]) == 2
    assert "the frame has 60 atoms, the reference 40" in capsys.readouterr().err
    by_element = tmp_path / "sorted.traj"
    start = ase.io.read(folder / "start.traj")
    ase.io.write(by_element, start[np.argsort(start.numbers, kind="stable")])
    assert cli.main([*bad, "--reference", str(by_element)]) == 2
    assert re.search(r"atom \d+ is \w+ in the frame and \w+ in the reference; give a reference with the atoms", capsys.readouterr().err)
    assert not (tmp_path / "out" / "series.csv").exists() and not list((tmp_path / "out").glob("*maps*"))
    assert json.dumps(sorted(x.name for x in (tmp_path / "out").iterdir())) == "[]"  # nothing half-written


def test_frames_before_a_broken_one_are_kept(folder, capsys):
    whole = (folder / "run.extxyz").read_text()
    (folder / "cut.extxyz").write_text(whole[:-200])  # as a run leaves it that was killed while it wrote
    assert analyse(folder, "cut.extxyz", *BORN) == 2
    assert "frame 11 cannot be read" in (message := capsys.readouterr().err) and "The 11 frames before are in" in message
    assert analyse(folder, "run.extxyz", *BORN) == 0
    for name in ("series.csv", "maps.extxyz"):
        kept, every = ((folder / f"out-{run}.extxyz" / name).read_text().splitlines() for run in ("cut", "run"))
        assert kept == every[: len(kept)] and len(kept) == (12 if name == "series.csv" else len(every) // 12 * 11)


def test_a_signal_ends_it_after_a_whole_frame(folder, capsys, monkeypatch):
    frames = iter(range(100))

    def interrupted(*arguments):
        if next(frames) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return map_atoms(*arguments)

    assert analyse(folder, "run.extxyz", *BORN) == 0
    monkeypatch.setattr("ferrojax.ferroelectrics.analyse.map_atoms", interrupted)
    (folder / "stopped.extxyz").write_text((folder / "run.extxyz").read_text())
    with pytest.raises(SystemExit) as stop:
        analyse(folder, "stopped.extxyz", *BORN)
    assert stop.value.code == 128 + signal.SIGINT and "stopped by a signal after 4 frames" in capsys.readouterr().out
    for name in ("series.csv", "maps.extxyz"):
        kept, every = ((folder / f"out-{run}.extxyz" / name).read_text().splitlines() for run in ("stopped", "run"))
        assert kept == every[: len(kept)] and len(kept) == (5 if name == "series.csv" else len(every) // 12 * 4)


@pytest.mark.slow  # compiles Born charges of a potential
def test_a_model_brings_its_own_charges(tmp_path):
    """Near the reference its Born charges there and its dipoles in the frame give the same map."""
    start = crystal((2, 1, 1), a=(3.9, 3.9, 4.0))
    moved = start.copy()
    moved.positions += np.random.default_rng(0).normal(0, 2e-3, moved.positions.shape)
    ase.io.write(tmp_path / "start.traj", start)
    ase.io.write(tmp_path / "run.traj", [moved])
    found = []
    for kind in ("born", "model"):
        assert analyse(tmp_path, "run.traj", "--model", MODEL, "--charges", kind) == 0
        found.append(pandas.read_csv(tmp_path / "out-run.traj" / "series.csv").filter(like="P_").to_numpy()[0, :3])
    assert np.abs(found[0]).max() > 1e-3  # C/m²
    np.testing.assert_allclose(*found, atol=0.02 * np.abs(found[0]).max())  # second order in displacements of a percent of a bond
