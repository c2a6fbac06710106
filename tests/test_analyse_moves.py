"""`ferrojax analyse`: walls and cores that move, and atoms that diffuse."""

import re

import ase.io
import numpy as np
import pandas
import pytest
from analyse_command import BORN, analyse
from perovskites import crystal, write_dump
from test_texture import pair

from ferrojax import cli
from ferrojax import ferroelectrics as fe
from ferrojax.ferroelectrics import structures as st
from ferrojax.units import E_PER_A2


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
