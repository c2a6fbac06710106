"""Switching of PbTiO3 by the trained potential: against ASE's nudged elastic band, and against barriers converged anew."""

import functools
import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
from ase.geometry import find_mic
from ase.io import read, write
from ase.mep import NEB
from ase.optimize import BFGS
from lead_titanate import MODEL, lead_titanate_cell

from ferrojax import cli
from ferrojax.calculator import FerrojaxCalculator
from ferrojax.effective.lattice import VOIGT, strain_tensor
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.paths import minimum_energy_path, refine_minimum, refine_saddle, switching_barrier

pytestmark = pytest.mark.slow


@functools.cache
def material():
    model, params, _, _ = lead_titanate_cell()
    return model, params, make_enthalpy(model)


def up_and_down(n):
    """Tetragonal PbTiO3 relaxed with its cell, and its mirror image, of n³ cells."""
    up = lead_titanate_cell()[-1].to_ase()
    down = up.copy()
    down.positions += find_mic(up.positions * [0.0, 0.0, -2.0], up.cell)[0]  # every atom stays in its cell when those are repeated
    return up.repeat(n), down.repeat(n)


def states(n):
    return [material()[0].prepare(atoms, np.float64, skin=1.0) for atoms in up_and_down(n)]


@pytest.mark.parametrize("n", [1, 2])
def test_same_barrier_as_ase(n, claim):
    """The same straight start, tolerance and springs, each with its own optimiser, in a field: without it symmetry gives the saddle."""
    model, params, enthalpy = material()
    field = (0.0, 0.0, 0.01)
    ends = [relax(enthalpy, params, state, field, cell=False, force_tolerance=1e-5).state for state in states(n)]
    path = minimum_energy_path(enthalpy, params, *ends, field=field, force_tolerance=1e-3)
    images = [point.geometry().to_ase() for point in (path.points[0], path.points[-1])]
    images = [images[0].copy() for _ in range(8)] + images[1:]
    for image in images:
        image.calc = FerrojaxCalculator(model, params, field=field, dataset="", skin=1.0)
    band = NEB(images, k=5.0, climb=True, method="improvedtangent")
    band.interpolate()
    assert BFGS(band, logfile=None).run(fmax=1e-3, steps=500)
    energies = [image.get_potential_energy() for image in images]
    claim("D-neb-ase", 1e3 * abs(max(energies) - energies[0] - path.barrier))
    assert path.barrier > 0.2 * n**3
    # The top is away from the symmetric structure: without the field's work the two ends would look alike from there.
    assert abs(path.polarization[path.top, 2] - path.polarization[[0, -1], 2].mean()) > 1e-4


def test_first_and_second_derivatives_of_the_barrier():
    """By strain and field in a fixed cell, in random directions, against ends and saddle converged anew; relative 1e-5."""
    _, params, enthalpy = material()
    found = switching_barrier(enthalpy, params, *states(1), start="mode", second=True, tolerance=1e-10)
    assert found.forward.barrier < 0.22 and found.saddle.unstable == 1  # below the path over the symmetric saddle
    slope = np.concatenate([[found.forward.strain[i, j] for i, j in VOIGT], -found.forward.dipole])
    searches, rng = ((refine_minimum, found.first), (refine_saddle, found.saddle)), np.random.default_rng(0)

    def barrier(load):
        conditions, strain = found.path.conditions.replace(field=jnp.asarray(load[6:])), strain_tensor(jnp.asarray(load[:6]))
        ends = [search(enthalpy, conditions, end.point.replace(strain=strain), tolerance=1e-10).energy for search, end in searches]
        return ends[1] - ends[0]

    for _ in range(2):
        step = 5e-5 * rng.normal(size=9)  # the saddle is soft, 0.15 eV/Å² across: larger steps see the seventh derivative
        values = {k: barrier(k * step) for k in (-3, -2, -1, 0, 1, 2, 3)}
        first = sum(w * (values[k] - values[-k]) for k, w in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)))
        second = sum(w * (values[k] + values[-k]) for k, w in ((1, 3 / 2), (2, -3 / 20), (3, 1 / 90))) - 49 / 18 * values[0]
        assert first == pytest.approx(slope @ step, rel=1e-5)
        assert second == pytest.approx(step @ found.second[:9, :9] @ step, rel=1e-5)


def test_free_cell_follows_the_lowest_path_and_its_stress_derivative():
    """With the whole cell free the barrier falls to a tenth; dE_b/dσ = -V₀ Δε against saddles and minima under stress."""
    _, params, enthalpy = material()
    found = switching_barrier(enthalpy, params, *states(1), free=range(6), start="mode", second=True, tolerance=1e-9, max_steps=2000)
    assert 0.005 < found.forward.barrier < 0.05
    volume = float(found.first.point.state.volume)
    load = np.array([[0.3, 0.1, 0.0], [0.1, -0.2, 0.0], [0.0, 0.0, 0.4]])
    conditions, h = found.path.conditions, 1e-4

    def barrier(k):
        there = conditions.replace(stress=jnp.asarray(k * h * load))
        pair = ((refine_minimum, found.first), (refine_saddle, found.saddle))
        ends = [search(enthalpy, there, end.point, tolerance=1e-9).energy for search, end in pair]
        return ends[1] - ends[0]

    values = {k: barrier(k) for k in range(-3, 4)}
    first = sum(w * (values[k] - values[-k]) for k, w in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))) / h
    second = (sum(w * (values[k] + values[-k]) for k, w in ((1, 3 / 2), (2, -3 / 20), (3, 1 / 90))) - 49 / 18 * values[0]) / h**2
    assert first == pytest.approx(-volume * np.sum(load * found.forward.stretch), rel=1e-6)
    voigt = np.array([load[i, j] for i, j in VOIGT])
    assert second == pytest.approx(voigt @ found.second[9:, 9:] @ voigt, rel=1e-5)


def test_command_writes_a_barrier(tmp_path, monkeypatch, capsys):
    for name, atoms in zip(("up.xyz", "down.xyz"), up_and_down(1)):
        write(tmp_path / name, atoms)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["barrier", "up.xyz", "down.xyz", "--model", str(MODEL), "--start", "mode", "--images", "9", "--out", "out"]) == 0
    assert "barrier 20" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "out" / "barrier.json").read_text())
    assert numbers["forward"]["barrier_eV"] == pytest.approx(0.203, abs=0.002)
    frames = read(tmp_path / "out" / "path.extxyz", index=":")
    assert len(frames) == 9 and (tmp_path / "out" / "path.png").exists()
    assert cli.main(["barrier", "up.xyz", "nowhere.xyz", "--model", str(MODEL)]) == 2
    assert "nowhere.xyz" in capsys.readouterr().err


def test_the_page_runs(tmp_path, monkeypatch):
    """Every block of docs/paths.md, in order; its files go to a temporary folder."""
    root = MODEL.parents[3]
    blocks = re.findall(r"^```python\n(.*?)^```", (root / "docs" / "paths.md").read_text(encoding="utf-8"), re.M | re.S)
    namespace: dict = {}
    monkeypatch.chdir(root)
    for block in blocks:
        exec(compile(block.replace("runs/barrier", str(tmp_path)), "docs/paths.md", "exec"), namespace)
    assert (tmp_path / "barrier.json").exists() and namespace["gradient"][1].shape == (3, 3)
