"""Paths and saddles on the surface of Müller and Brown, where they are known; what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from ase.io import read
from scipy.integrate import solve_ivp
from surfaces import BATH, MINIMA, SADDLE, SADDLE_ENERGY, SCALE, A, X, Y, a, b, c, pair, surface

from ferrojax.errors import FerrojaxError
from ferrojax.paths import Point, conditions_of, minimum_energy_path, refine_minimum, refine_saddle, switching_barrier
from ferrojax.paths.record import save_path
from ferrojax.state import State
from ferrojax.topology import with_topology

FIRST, LAST = (pair(*place) for place in MINIMA)
CONDITIONS = conditions_of(SCALE, FIRST)


def separation(point):
    return np.asarray(point.state.positions[1] - point.state.positions[0])


@pytest.mark.parametrize("method", ["neb", "string"])
def test_path_climbs_to_the_known_saddle(method):
    found = switching_barrier(surface, SCALE, FIRST, LAST, method=method, force_tolerance=2e-3)
    (low, high) = MINIMA.values()
    assert found.first.energy / SCALE == pytest.approx(low, abs=2e-6) and found.last.energy / SCALE == pytest.approx(high, abs=2e-6)
    assert found.saddle.energy / SCALE == pytest.approx(SADDLE_ENERGY, abs=2e-6)
    np.testing.assert_allclose(separation(found.saddle.point), [*SADDLE, 3.0], atol=1e-8)
    assert found.path.barrier == pytest.approx(found.forward.barrier, abs=1e-5)
    assert found.forward.barrier - found.backward.barrier == pytest.approx((high - low) * SCALE, abs=1e-7)
    # -dE_b/dE of a potential -E·d is the difference of d.
    np.testing.assert_allclose(found.forward.dipole, separation(found.saddle.point) - separation(found.first.point), atol=1e-12)
    gaps = np.diff(found.path.distance)
    assert found.path.force <= 2e-3 and gaps.max() / gaps.min() < (2.0 if method == "string" else 1.5)


@pytest.mark.slow
def test_images_lie_on_the_descent_from_the_saddle():
    """Those before the saddle, on the line of steepest descent that SciPy integrates from there."""
    path = minimum_energy_path(surface, SCALE, FIRST, LAST, images=21, force_tolerance=2e-3)

    def downhill(_, d):
        x, y = d[0] - np.asarray(X), d[1] - np.asarray(Y)
        terms = np.asarray(A) * np.exp(np.asarray(a) * x**2 + np.asarray(b) * x * y + np.asarray(c) * y**2)
        return -SCALE * np.array([terms @ (2 * np.asarray(a) * x + np.asarray(b) * y), terms @ (np.asarray(b) * x + 2 * np.asarray(c) * y)])

    start = np.array(SADDLE) + 1e-3 * np.array([-0.7, 0.7])
    line = solve_ivp(downhill, (0, 8), start, rtol=1e-8, atol=1e-10, max_step=1e-3).y.T
    assert np.linalg.norm(line[-1] - list(MINIMA)[0]) < 1e-3
    away = [np.linalg.norm(line - separation(point)[:2], axis=1).min() for point in path.points[1 : path.top]]
    # The improved tangent is upwind, so the error is of first order in the spacing: 0.066 Å with 9 images.
    assert len(away) >= 4 and max(away) < 0.04


@pytest.mark.parametrize("dense", [True, False])
def test_saddle_search_with_and_without_the_matrix(dense):
    """From a distant start, in a bath of springs that follows; the saddle of the surface is that of the whole."""
    start = Point(pair(-0.7, 0.7, BATH), jnp.zeros((3, 3)))
    found = refine_saddle(surface, conditions_of(SCALE, start), start, tolerance=1e-9, dense=dense)
    assert found.force <= 1e-9 and found.unstable == 1
    assert found.energy / SCALE == pytest.approx(SADDLE_ENERGY, abs=1e-5)  # springs at rest cost nothing


def test_a_field_moves_the_barrier_as_its_derivatives_say():
    """First and second derivative by the field against barriers found anew, by central differences."""
    ends = [point.state for point in (refine_minimum(surface, CONDITIONS, Point(end, jnp.zeros((3, 3)))).point for end in (FIRST, LAST))]
    axis, h = np.array([0.6, 0.8, 0.0]), 2e-3

    def found(field):
        return switching_barrier(surface, SCALE, *ends, field=field, force_tolerance=0.05, second=True)

    here = found(np.zeros(3))
    ends_of = {k: found(k * h * axis).forward.barrier for k in (-2, -1, 1, 2)}
    first = (8 * (ends_of[1] - ends_of[-1]) - (ends_of[2] - ends_of[-2])) / (12 * h)
    second = (16 * (ends_of[1] + ends_of[-1]) - (ends_of[2] + ends_of[-2]) - 30 * here.forward.barrier) / (12 * h**2)
    assert -here.forward.dipole @ axis == pytest.approx(first, rel=1e-7)
    assert axis @ here.second[6:9, 6:9] @ axis == pytest.approx(second, rel=1e-5)


def test_files_of_a_path(tmp_path):
    path = minimum_energy_path(surface, SCALE, FIRST, LAST, images=5)
    save_path(path, tmp_path)
    frames = read(tmp_path / "path.extxyz", index=":")
    energies = [frame.get_potential_energy() for frame in frames]
    np.testing.assert_allclose(energies, path.energies, atol=1e-8)
    np.testing.assert_allclose([frame.get_forces() for frame in frames], path.forces, atol=1e-7)
    table = np.genfromtxt(tmp_path / "path.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["energy_meV"], 1e3 * (path.energies - path.energies[0]), atol=1e-9)
    np.testing.assert_allclose(table["Px_C_per_m2"] / 16.02176634 * 1e6, path.dipoles[:, 0], atol=1e-6)
    assert (tmp_path / "path.png").read_bytes().startswith(b"\x89PNG")


def test_refusals():
    def path(**changes):
        settings = {"initial": FIRST, "final": LAST, **changes}
        return minimum_energy_path(surface, SCALE, **settings)

    with pytest.raises(FerrojaxError, match="not converged after 2 steps"):
        path(max_steps=2)
    with pytest.raises(FerrojaxError, match="the second end is not at rest, the longest force is"):
        path(final=pair(0.5, 0.1))
    saddle = refine_saddle(surface, CONDITIONS, Point(pair(-0.8, 0.6), jnp.zeros((3, 3)))).point
    with pytest.raises(FerrojaxError, match=r"first end is no minimum, its softest mode has -15 eV/Å² .*THz.*along"):
        path(initial=saddle)
    with pytest.raises(FerrojaxError, match=r"the ends are one structure, 5.5e-05 Å apart"):
        path(final=pair(-0.5582, 1.4418))
    with pytest.raises(FerrojaxError, match="method must be one of neb, string"):
        path(method="drag")
    with pytest.raises(FerrojaxError, match="give at least 3"):
        path(images=2)
    with pytest.raises(FerrojaxError, match="Voigt components 0 to 5"):
        path(free=(6,))
    with pytest.raises(FerrojaxError, match="the stress must be a symmetric"):
        path(stress=np.triu(np.ones((3, 3))))
    with pytest.raises(FerrojaxError, match="0 unstable directions"):
        refine_saddle(surface, CONDITIONS, Point(FIRST, jnp.zeros((3, 3))), tolerance=1e-3)


def test_a_hilltop_and_a_flat_saddle_are_refused():
    """V = cos x + κ cos y of the separation: at the origin two negative modes, or with κ = 0 one flat."""

    def hills(params, state, strain, field):
        d = state.positions[1] - state.positions[0]
        return jnp.cos(d[0]) + params * jnp.cos(d[1]) + (d[2] - 3) ** 2

    top = State(jnp.array([[0.0, 0, 0], [0, 0, 3]]), jnp.eye(3) * 50.0, jnp.array([6, 6], jnp.int32))
    start = Point(with_topology(top, cutoff=1.0, skin=10.0), jnp.zeros((3, 3)))
    with pytest.raises(FerrojaxError, match=r"2 unstable directions instead of one: -2 eV/Å².*-2 eV/Å².*start='mode'"):
        refine_saddle(hills, conditions_of(1.0, start).replace(params=jnp.asarray(1.0)), start)
    with pytest.raises(FerrojaxError, match="degenerate, its second mode is flat"):
        refine_saddle(hills, conditions_of(0.0, start), start)


@pytest.mark.slow
def test_images_over_two_devices():
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}
    worker = Path(__file__).with_name("path_worker.py")
    done = subprocess.run([sys.executable, worker], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
