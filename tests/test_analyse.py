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
from test_texture import pair

from ferrojax import cli, effective
from ferrojax import ferroelectrics as fe
from ferrojax.dynamics import Langevin, Output, run
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics import structures as st
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


def test_cores_that_move(tmp_path, capsys):
    """A vortex and an antivortex of Ti displacements that drift through the boundary and annihilate, in a crystal that breathes."""
    start, made = crystal((16, 16, 1)), []
    cells = fe.find_cells(start, "Pb", "Ti")
    for k, balance in enumerate((1.0, 1.0, 1.0, 2.1)):
        field = pair(balance, 7.0 + k, size=16).reshape(-1, 3)
        atoms = start.copy()
        atoms.positions[cells.b] += 0.3 * field
        atoms.set_cell(start.cell.array * (1 + 0.01 * k), scale_atoms=True)
        atoms.info = {"time": 10.0 * k}
        made.append(atoms)
    ase.io.write(tmp_path / "start.traj", start)
    ase.io.write(tmp_path / "run.traj", made)
    assert analyse(tmp_path, "run.traj", *BORN, "--cores", "vortices", "--maps", "none") == 0
    assert "vortices: 2 cores, 0 in all frames, 0 formed and 2 vanished on the way" in " ".join(capsys.readouterr().out.split())
    table = pandas.read_csv(tmp_path / "out-run.traj" / "cores.csv")
    assert table.columns.tolist() == ["step", "time_fs", "layer", "charge", "core", "x_A", "y_A", "z_A"]
    assert table["step"].tolist() == [0, 0, 1, 1, 2, 2] and table["core"].tolist() == [0, 1] * 3 and (table["layer"] == 0).all()
    for _, rows in table.groupby("core"):
        side = -4.0 if rows["charge"].iloc[0] > 0 else 4.0
        lattice = 3.9 * (1 + 0.01 * rows["step"])
        away = rows["x_A"] / lattice - 0.5 - (7.0 + rows["step"] + side)  # Ti of the first cell stands half a cell from the origin
        assert np.abs(away).max() <= 0.5 + 1e-6 and (np.diff(rows["charge"]) == 0).all()
        np.testing.assert_allclose(np.diff(rows["x_A"] / lattice), 1.0, atol=1e-9)
        np.testing.assert_allclose(rows["z_A"], 0.5 * 4.15 * (1 + 0.01 * rows["step"]), atol=1e-9)
    assert analyse(tmp_path, "run.traj", *BORN, "--cores", "skyrmions", "--maps", "none") == 0
    assert "skyrmions: 0 cores" in capsys.readouterr().out and len(pandas.read_csv(tmp_path / "out-run.traj" / "cores.csv")) == 0
    assert analyse(tmp_path, "run.traj", *BORN, "--cores", "vortices", "--layers", "none") == 2
    assert "name the axis across them with --layers" in capsys.readouterr().err


def test_walls_of_a_crystal_without_a_grid(tmp_path, capsys):
    """Walls of 90 degrees: what there is no grid for is left out and said, the walls are fitted plane by plane."""
    bulk = st.polarize(st.perovskite("PbTiO3", (3.9, 3.9, 4.15)), (0, 0, 0.3), st.SLATER)
    made, start = st.domain_wall(bulk, "PbTiO3", 90, cells=12, width=6.0)
    ase.io.write(tmp_path / "start.traj", start)
    ase.io.write(tmp_path / "run.traj", made)
    tables = []
    for walls in ("x:z", "1,0,0:0,0,-2"):
        assert analyse(tmp_path, "run.traj", *BORN, "--walls", walls, "--maps", "none") == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "no Q, vortices, helicity and toroidal moment: the supercell does not repeat along its pseudo-cubic axes" in said
        tables.append(pandas.read_csv(tmp_path / "out-run.traj" / "walls.csv"))
    one, other = tables
    assert one["sign"].tolist() == (-other["sign"]).tolist() == [-1, 1]
    np.testing.assert_allclose(one["position_A"], np.array([0.5, 1.0]) * made.cell[0, 0], atol=0.5)
    for name in ("position_A", "width_A", "P0_C_per_m2"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5)
    assert "Q_total" not in pandas.read_csv(tmp_path / "out-run.traj" / "series.csv")
    assert analyse(tmp_path, "run.traj", *BORN, "--walls", "x:0,0,0") == 2 and "has no direction" in capsys.readouterr().err
    assert analyse(tmp_path, "run.traj", *BORN, "--layers", "none", "--maps", "none") == 0
    assert "no Q" not in capsys.readouterr().out


def test_walls_of_a_trajectory_without_times(tmp_path, capsys):
    start, made = crystal((12, 1, 1)), []
    cells = fe.find_cells(start, "Pb", "Ti")
    for k in range(12):
        atoms = start.copy()
        x = (cells.index[:, 0] + 0.5) * 3.9 - 0.1 * k
        atoms.positions[cells.b, 2] += 0.2 * np.tanh((x - 12.0) / 4.0) * np.tanh((35.0 - x) / 4.0)
        made.append(atoms)
    ase.io.write(tmp_path / "start.traj", start)
    ase.io.write(tmp_path / "run.extxyz", made)
    options = (*BORN, "--walls", "x:z", "--maps", "none", "--layers", "none")
    assert analyse(tmp_path, "run.extxyz", *options) == 0
    assert "no wall velocities: the trajectory has no times" in (said := " ".join(capsys.readouterr().out.split()))
    assert "give the time step with --time-step" in said
    assert analyse(tmp_path, "run.extxyz", *options, "--time-step", 20) == 0
    said = re.search(r"walls move at (\S+) ± \S+ m/s,\s+(\S+) ±", capsys.readouterr().out)
    assert said and [float(x) for x in said.groups()] == pytest.approx([500.0, 500.0], rel=0.05)  # 0.1 Å in 20 fs
    assert pandas.read_csv(tmp_path / "out-run.extxyz" / "series.csv")["time_fs"].tolist() == [20.0 * k for k in range(12)]


def test_diffusion_on_the_command_line(tmp_path, capsys):
    rng, start = np.random.default_rng(0), crystal((2, 2, 2))
    walk = np.cumsum(rng.normal(0, 0.1, (160, len(start), 3)), axis=0) * (start.numbers == 8)[:, None]
    made = [start.copy() for _ in walk]
    for atoms, moved in zip(made, walk):
        atoms.positions += moved
    for k, atoms in enumerate(made):
        atoms.info["step"] = 10 * k
    write_dump(tmp_path / "run.dump", made)
    command = ["analyse", str(tmp_path / "run.dump"), "--out", str(tmp_path / "out"), "--diffusion"]
    assert cli.main([*command, "O"]) == 2 and "frame 0 has no time; give the time step with --time-step" in capsys.readouterr().err
    assert cli.main([*command, "O", "Pb", "--time-step", "0.1"]) == 0
    found = re.findall(r"diffusion of (\w+): (\S+) ± (\S+) cm²/s", capsys.readouterr().out)
    assert [x[0] for x in found] == ["O", "Pb"]
    assert float(found[0][1]) == pytest.approx(5e-4, rel=0.15) and abs(float(found[1][1])) < 2e-5
    table = pandas.read_csv(tmp_path / "out" / "msd.csv")
    assert table.columns.tolist() == ["lag_fs", "msd_O_A2", "msd_Pb_A2"] and table["lag_fs"].tolist() == list(range(20))
    assert cli.main([*command, "Zr", "--time-step", "0.1"]) == 2 and "has no Zr; it has O, Pb, Ti" in capsys.readouterr().err


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
    with pytest.raises(FerrojaxError, match="50 rows .* are no lattice"):
        fe.lattice_modes(fe.Snapshot(np.zeros((50, 3)), atoms.cell.array, np.zeros(50, int), 0), params)
    with pytest.raises(FerrojaxError, match="no lattice of"):
        fe.lattice_modes(fe.Snapshot(atoms.positions, atoms.cell.array, np.ones(48, int), 0), params)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_modes_of_a_lattice_stretched_by_more_than_half_a_cell(rows):
    """Sixteen cells of PbTiO3 6 % longer than at zero strain are as long as seventeen."""
    params = effective.load_parameters("pbtio3-lda")
    modes = np.random.default_rng(0).normal(0, 0.2, (2, 2, 16, 3))
    more = {"acoustic": modes[::-1] + 5.0, "tilts": modes[:, ::-1]}
    kinds = dict(list(more.items())[: rows - 1])
    state = effective.LatticeState(modes, cell=np.diag([2.0, 2.0, 16.0]) * float(params.a0), mass=np.ones(3), **kinds)
    atoms = state.to_ase()
    frame = fe.Snapshot(atoms.positions + np.asarray(state.coordinates), atoms.cell.array * [0.99, 0.99, 1.06], atoms.numbers, 0)
    np.testing.assert_allclose(fe.lattice_modes(frame, params), modes, atol=1e-12)
    with pytest.raises(FerrojaxError, match=r"64 rows in a box of .* give the run's parameters"):
        fe.lattice_modes(fe.Snapshot(1.4 * atoms.positions[:64], atoms.cell.array, atoms.numbers[:64], 0), params)


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
