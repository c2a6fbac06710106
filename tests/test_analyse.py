"""`ferrojax analyse`: the same maps from every format, files that other programs open, lattices, and what is refused."""

import json
import os
import re
import signal

import ase.io
import h5py
import numpy as np
import pandas
import pytest
from lead_titanate import MODEL
from perovskites import crystal, trajectory, write_dump, write_h5md
from test_local import brute_force

from ferrojax import cli, effective
from ferrojax import ferroelectrics as fe
from ferrojax.dynamics import Langevin, Output, run
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.maps import map_atoms
from ferrojax.units import E_PER_A2

BORN = ("--born", "Pb=3.90", "Ti=7.06", "O=-5.84,-2.56")
SITES = ("--a", "Pb", "--b", "Ti")


def analyse(folder, name, *options):
    """Exit status of the command on a trajectory in a folder whose first frame is the reference."""
    out = ("--out", str(folder / f"out-{name}"))
    return cli.main(["analyse", str(folder / name), "--reference", str(folder / "start.traj"), *SITES, *out, *map(str, options)])


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


def test_hdf5_maps(folder):
    assert analyse(folder, "run.traj", *BORN, "--maps", "hdf5") == 0
    with h5py.File(folder / "out-run.traj" / "maps.h5") as file:
        assert file.attrs["grid"].tolist() == [3, 2, 2] and file["local_polarization"].shape == file["tilt"].shape == (12, 12, 3)
        assert file["local_polarization"].attrs["unit"] == "C m-2" and file["step"][:].tolist() == [10 * k for k in range(12)]


def test_walls_of_a_striped_crystal(tmp_path, capsys):
    """Ti displaced as tanh, two walls that move: positions and widths in walls.csv."""
    start, made = crystal((24, 2, 2)), []
    cells = fe.find_cells(start, "Pb", "Ti")
    x = (cells.index[:, 0] + 0.5) * 3.9
    for k in range(12):
        places = np.array([23.0, 70.0]) + [0.5 * k, -0.3 * k]
        atoms = start.copy()
        atoms.positions[cells.b, 2] += 0.2 * np.tanh((x - places[0]) / 5.0) * np.tanh((places[1] - x) / 5.0)
        atoms.info = {"time": 100.0 * k}
        made.append(atoms)
    ase.io.write(tmp_path / "start.traj", start)
    ase.io.write(tmp_path / "run.traj", made)
    assert analyse(tmp_path, "run.traj", *BORN, "--walls", "x:z", "--maps", "none") == 0
    said = re.search(r"walls move at (\S+) ± \S+ m/s,\s+(\S+) ±", capsys.readouterr().out)
    assert said and [float(x) for x in said.groups()] == pytest.approx([500.0, -300.0], rel=1e-3)  # 0.5 and -0.3 Å in 100 fs
    walls = pandas.read_csv(tmp_path / "out-run.traj" / "walls.csv")
    one, other = (walls[walls["wall"] == k] for k in (0, 1))
    # The walls of this profile are multiplied, not added: a difference of the tails, exp(-2 x 9) of the width.
    np.testing.assert_allclose(one["position_A"], 23.0 + 0.5 * np.arange(12), atol=2e-3)
    np.testing.assert_allclose(other["position_A"], 70.0 - 0.3 * np.arange(12), atol=2e-3)
    np.testing.assert_allclose(walls["width_A"], 10.0, atol=1e-2)
    assert one["sign"].eq(1).all() and other["sign"].eq(-1).all() and not (tmp_path / "out-run.traj" / "maps.extxyz").exists()
    expected = 7.06 * 0.2 / (3.9**2 * 4.15) * E_PER_A2
    np.testing.assert_allclose(walls["P0_C_per_m2"], expected, rtol=1e-3)


def test_a_frame_without_walls_is_not_one_whose_walls_cannot_be_fitted(tmp_path, capsys):
    """Four planes across are too few for the six numbers of two walls: blank and said, not zero."""
    start, made = crystal((4, 2, 2)), []
    cells = fe.find_cells(start, "Pb", "Ti")
    for signs in ((1, 1, 1, 1), (1, 1, -1, -1), (-1, -1, -1, -1)):
        atoms = start.copy()
        atoms.positions[cells.b, 2] += 0.2 * np.array(signs)[cells.index[:, 0]]
        made.append(atoms)
    ase.io.write(tmp_path / "start.traj", start)
    ase.io.write(tmp_path / "run.traj", made)
    assert analyse(tmp_path, "run.traj", *BORN, "--walls", "x:z", "--maps", "none") == 0
    walls = pandas.read_csv(tmp_path / "out-run.traj" / "series.csv")["walls"]
    assert walls[0] == walls[2] == 0 and np.isnan(walls[1])
    said = " ".join(capsys.readouterr().out.split())
    assert "walls could not be fitted in 1 of 3 frames, first at step 1: fit_walls: 4 points cannot give 6 parameters" in said


def test_modes_of_a_lattice_frame():
    params = effective.load_parameters("batio3-wc")
    modes = np.random.default_rng(0).normal(0, 0.2, (3, 2, 4, 3))
    state = effective.LatticeState(modes, tilts=modes[::-1], cell=np.diag([3.0, 2.0, 4.0]) * float(params.a0), mass=np.ones(3))
    atoms = state.to_ase()
    frame = fe.Snapshot(atoms.positions + np.asarray(state.coordinates), 1.01 * atoms.cell.array, atoms.numbers, 0)
    np.testing.assert_allclose(fe.lattice_modes(frame, params), modes, atol=1e-12)
    expected = modes.sum((0, 1, 2)) * float(params.charge) / (24 * float(params.a0) ** 3) * E_PER_A2
    np.testing.assert_allclose(fe.lattice_polarization(modes, params).mean((0, 1, 2)), expected, rtol=1e-12)
    with pytest.raises(FerrojaxError, match="50 rows are no lattice"):
        fe.lattice_modes(fe.Snapshot(np.zeros((50, 3)), atoms.cell.array, np.zeros(50, int), 0), params)
    with pytest.raises(FerrojaxError, match="no lattice of"):
        fe.lattice_modes(fe.Snapshot(atoms.positions, atoms.cell.array, np.ones(48, int), 0), params)


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
