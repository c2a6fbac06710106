"""Topology of analytic textures and brute-force loops."""

import numpy as np
import pytest

from ferrojax import ferroelectrics as fe
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.texture import gauge, layer_sums


def skyrmion(size=48, radius=10.0, width=3.0, turns=1, angle=0.0, layers=1):
    """A core along -z in a background along +z, in-plane components turning ``turns`` times; angle 0 Néel, 90 degrees Bloch."""
    x, y = np.meshgrid(*[np.arange(size) - size / 2 + 0.5] * 2, indexing="ij")
    r, phi = np.hypot(x, y), np.arctan2(y, x)
    theta = 2 * np.arctan2(np.sinh(radius / width), np.sinh(r / width))
    azimuth = turns * phi + np.radians(angle)
    n = np.stack([np.sin(theta) * np.cos(azimuth), np.sin(theta) * np.sin(azimuth), np.cos(theta)], -1)
    return np.repeat(n[:, :, None], layers, 2)


@pytest.mark.parametrize("turns", [1, -1, 2, 3])
@pytest.mark.parametrize("angle", [0.0, 90.0, 200.0])
def test_charge_of_skyrmions(turns, angle, claim):
    n = skyrmion(turns=turns, angle=angle, layers=2) * 0.7
    assert fe.topological_charge(n).tolist() == [-turns, -turns]
    assert fe.topological_charge(-n).tolist() == [turns, turns]
    sums = layer_sums(fe.solid_angles(n))
    claim("F-berg-luscher", np.abs(sums + turns).max())


def test_random_textures_have_whole_charges(claim):
    n = np.random.default_rng(0).normal(size=(12, 9, 15, 3))
    for axis in range(3):
        sums = layer_sums(fe.solid_angles(n, axis), axis)
        claim("F-berg-luscher", np.abs(sums - np.rint(sums)).max())
        np.testing.assert_array_equal(fe.topological_charge(n, axis), np.rint(sums))


def test_charge_against_triangles_one_by_one():
    """Girard's theorem: the area of a spherical triangle is the excess of its angles, with the sign of its orientation."""

    def area(a, b, c):
        def corner(p, q, r):
            s, t = q - p * (p @ q), r - p * (p @ r)
            return np.arccos(s @ t / np.linalg.norm(s) / np.linalg.norm(t))

        return np.sign(a @ np.cross(b, c)) * (corner(a, b, c) + corner(b, c, a) + corner(c, a, b) - np.pi)

    n = np.random.default_rng(1).normal(size=(3, 4, 2, 3))
    n /= np.linalg.norm(n, axis=-1, keepdims=True)
    density = fe.solid_angles(n)
    for i, j, k in np.ndindex(3, 4, 2):
        here, right = n[i, j, k], n[(i + 1) % 3, j, k]
        corner, up = n[(i + 1) % 3, (j + 1) % 4, k], n[i, (j + 1) % 4, k]
        expected = (area(here, right, corner) + area(here, corner, up)) / (4 * np.pi)
        assert density[i, j, k] == pytest.approx(expected, abs=1e-10)


def test_charge_follows_translation_and_axis():
    n = skyrmion(32, 7.0, 2.0, layers=3)
    assert fe.topological_charge(np.roll(n, (5, -9), (0, 1))).tolist() == [-1] * 3
    for axis in (0, 1):  # the same texture about another axis: space and vectors turned together
        cyclic = (axis + 1) % 3
        turned = np.roll(np.moveaxis(n, (0, 1, 2), ((cyclic) % 3, (cyclic + 1) % 3, axis)), axis - 2, -1)
        assert fe.topological_charge(turned, axis).tolist() == [-1] * 3
    pair = np.concatenate([n, skyrmion(32, 7.0, 2.0, turns=-1, layers=3)], 0)
    assert fe.topological_charge(pair).tolist() == [0] * 3


def test_directions_must_exist():
    n = skyrmion(16, 4.0, 1.0)
    n[3, 4, 0] = 0
    with pytest.raises(FerrojaxError, match=r"cell \(3, 4, 0\) is zero"):
        fe.topological_charge(n)


@pytest.mark.parametrize("turns", [-2, -1, 0, 1, 3])
def test_winding_of_a_loop(turns):
    phi = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    noise = np.random.default_rng(0).normal(0, 0.2, 40)
    assert fe.winding(np.stack([np.cos(turns * phi + noise), np.sin(turns * phi + noise)], 1)) == turns
    with pytest.raises(FerrojaxError, match="closed loop"):
        fe.winding(np.zeros((5, 2)))


def test_vortex_cores_against_loops():
    """An array of vortices and antivortices, and every plaquette of random vectors by its own loop."""
    x, y = np.meshgrid(*[(np.arange(24) + 0.3) * 2 * np.pi / 24] * 2, indexing="ij")
    array = np.stack([-np.sin(y), np.sin(x), 0 * x], -1)[:, :, None]
    cores = fe.vortices(array)
    assert (cores == 1).sum() == 2 and (cores == -1).sum() == 2 and cores.sum() == 0
    random = np.random.default_rng(2).normal(size=(6, 7, 5, 3))
    for axis in range(3):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        found, (one, two) = fe.vortices(random, axis), (np.eye(3, dtype=int)[a], np.eye(3, dtype=int)[b])
        for place in np.ndindex(6, 7, 5):
            loop = [tuple((np.array(place) + step) % (6, 7, 5)) for step in (0 * one, one, one + two, two)]
            assert found[place] == fe.winding(np.array([random[c][[a, b]] for c in loop]))


def test_noise_of_upright_vectors_makes_no_vortices():
    rng = np.random.default_rng(3)
    upright = np.array([0, 0, 0.7]) + rng.normal(0, 0.03, (24, 24, 4, 3))
    assert (fe.vortices(upright) > 0).sum() > 100 and not fe.vortices(upright, threshold=0.1).any()
    x, y = np.meshgrid(*[(np.arange(24) + 0.3) * 2 * np.pi / 24] * 2, indexing="ij")
    array = 0.7 * np.stack([-np.sin(y), np.sin(x), 0 * x], -1)[:, :, None]
    np.testing.assert_array_equal(fe.vortices(array, threshold=0.05), fe.vortices(array))


def pair(balance, shift=0.0, size=24, layers=1):
    """(cos x + cos y - balance, sin y): zero at y = 0 and cos x = balance - 1 alone, a vortex and an antivortex that meet at balance 2.

    shift: of the texture along x, cells. The vortex, where the Jacobian -sin x cos y is positive, is the one at negative x.
    """
    x, y = np.meshgrid((np.arange(size) - shift) * 2 * np.pi / size, (np.arange(size) + 0.3) * 2 * np.pi / size, indexing="ij")
    plane = np.stack([np.cos(x) + np.cos(y) - balance, np.sin(y), 0.1 + 0 * x], -1)
    return np.repeat(plane[:, :, None], layers, 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_pair_that_moves_through_the_boundary(axis):
    """One and a half times around the box, continued; the same cores in all frames, in each layer, about each axis."""
    shifts = 0.6 * np.arange(61) + 0.37
    fields = [np.roll(np.moveaxis(pair(1.0, s, layers=2), (0, 1, 2), ((axis + 1) % 3, (axis + 2) % 3, axis)), axis - 2, -1) for s in shifts]
    found = [fe.vortex_cores(field, axis) for field in fields]
    tracks = fe.track_cores(found, fields[0].shape[:3], axis)
    assert np.bincount(tracks.core).tolist() == [61] * 4 and np.bincount(tracks.frame).tolist() == [4] * 61
    assert sorted(zip(tracks.place[:4, axis], tracks.charge[:4])) == [(0, -1), (0, 1), (1, -1), (1, 1)]
    for core in range(4):
        here = tracks.core == core
        charge, place = tracks.charge[here], tracks.place[here]
        assert (charge == charge[0]).all() and (place[:, axis] == place[0, axis]).all()
        expected = shifts + (-6.0 if charge[0] > 0 else 6.0)  # a quarter of the box from the middle of the pair
        away = place[:, (axis + 1) % 3] - expected
        assert np.abs(away - 24 * np.rint(away[0] / 24)).max() <= 0.5 + 1e-9
        assert np.ptp(place[:, (axis + 1) % 3]) == pytest.approx(36.0, abs=1.0)


def test_a_pair_that_annihilates_and_forms_anew():
    balance = np.concatenate([np.linspace(1.0, 2.2, 13), np.linspace(2.1, 1.0, 12)])
    found = [fe.vortex_cores(pair(b, 0.37)) for b in balance]
    tracks = fe.track_cores(found, (24, 24, 1))
    alive = [set(tracks.core[tracks.frame == k].tolist()) for k in range(25)]
    assert alive[0] == {0, 1} and alive[-1] == {2, 3}
    assert all(one == (set() if b > 1.95 else alive[0] if k < 12 else alive[-1]) for k, (one, b) in enumerate(zip(alive, balance)))
    for core in range(4):
        here = tracks.core == core
        assert len(set(tracks.charge[here])) == 1
        side = -1 if tracks.charge[here][0] > 0 else 1
        place = 0.37 + side * np.arccos(np.minimum(balance[tracks.frame[here]] - 1, 1)) * 24 / (2 * np.pi)
        away = tracks.place[here][:, 0] - place
        assert np.abs(away - 24 * np.rint(away / 24)).max() <= 0.5 + 1e-9


def test_cores_beyond_reach_are_others():
    one = fe.Cores(np.array([[0.5, 0.5, 0.0], [10.5, 0.5, 0.0]]), np.array([1, -1]))
    moved = fe.Cores(np.array([[0.5, 0.5, 0.0], [11.5, 22.5, 0.0]]), np.array([-1, 1]))  # each where the other was, the charges exchanged
    nothing = fe.Cores(np.zeros((0, 3)), np.zeros(0, int))
    tracks = fe.track_cores([one, moved, nothing, one], (24, 24, 1))
    assert tracks.core.tolist() == [0, 1, 2, 3, 4, 5] and tracks.frame.tolist() == [0, 0, 1, 1, 3, 3]
    followed = fe.track_cores([one, moved], (24, 24, 1), reach=12.0)
    assert followed.core.tolist() == [0, 1, 0, 1] and followed.charge.tolist() == [1, -1, 1, -1]
    assert len(fe.track_cores([], (24, 24, 1)).core) == 0
    # Both move by two cells: the sum of squares keeps their order, the nearest core would not.
    row = [fe.Cores(np.array([[x, 0.5, 0.0], [x + 2.0, 0.5, 0.0]]), np.array([1, 1])) for x in (0.5, 2.5)]
    assert fe.track_cores(row, (24, 24, 1)).core.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("turns", [1, -1, 2])
def test_skyrmions_in_noise_move_through_the_corner(turns):
    """Their middles and charges, where noise makes vortices in the background and inside."""
    texture, rng = skyrmion(48, 8.0, 2.0, turns, layers=2), np.random.default_rng(0)
    made = [np.roll(texture, (2 * k, k), (0, 1)) + rng.normal(0, 0.1, texture.shape) for k in range(30)]
    assert all((fe.vortices(field) > 0).sum() > 20 for field in made)
    found = [fe.skyrmion_cores(field, threshold=0.2) for field in made]
    tracks = fe.track_cores(found, (48, 48, 2))
    assert tracks.core.tolist() == [0, 1] * 30 and (tracks.charge == -turns).all()
    for core in (0, 1):
        path = tracks.place[tracks.core == core]
        np.testing.assert_allclose(path[:, 0] - 2 * np.arange(30), 23.5, atol=0.3)
        np.testing.assert_allclose(path[:, 1] - np.arange(30), 23.5, atol=0.3)
        assert (path[:, 2] == core).all()


def test_charges_of_skyrmions_sum_to_the_topological_charge():
    one = skyrmion(24, 6.0, 1.5)
    many = np.concatenate([one, skyrmion(24, 5.0, 1.5, turns=-1), skyrmion(24, 4.0, 1.0, turns=2), one])
    for field, charges in ((many, [-2, -1, -1, 1]), (-many, [-1, 1, 1, 2])):
        cores = fe.skyrmion_cores(field)
        assert sorted(cores.charge.tolist()) == charges and [cores.charge.sum()] == fe.topological_charge(field).tolist()
        np.testing.assert_allclose(sorted(cores.place[:, 0]), [11.5, 35.5, 59.5, 83.5], atol=1e-6)
    stripes = np.roll(np.repeat(skyrmion(24, 6.0, 1.5)[:, 12:13], 24, 1), 5, 0)
    assert not len(fe.skyrmion_cores(stripes).charge) and not len(fe.skyrmion_cores(pair(1.0), threshold=0.2).charge)


def test_curl_and_handedness():
    """A helix (0, cos qx, sin qx) has curl -q times itself; its mirror image the opposite."""
    x = 4.0 * np.arange(400)[:, None, None] * np.ones((1, 2, 2))
    q = 2 * np.pi / 1600.0
    helix = np.stack([0 * x, np.cos(q * x), np.sin(q * x)], -1)
    spacing = np.full(3, 4.0)
    exact = np.sin(q * 4.0) / 4.0  # central differences of a wave
    np.testing.assert_allclose(fe.vorticity(helix, spacing), -exact * helix, atol=1e-15)
    assert fe.helicity(helix, spacing) == pytest.approx(-exact) and exact == pytest.approx(q, rel=1e-4)
    assert fe.helicity(helix[::-1], spacing) == pytest.approx(exact)
    # Of a rotation v = ω × r inside the box: 2 ω.
    r = np.stack(np.meshgrid(*[np.arange(6.0)] * 3, indexing="ij"), -1)
    curl = fe.vorticity(np.cross([0.1, -0.3, 0.2], r), np.ones(3))
    np.testing.assert_allclose(curl[1:-1, 1:-1, 1:-1], np.broadcast_to([0.2, -0.6, 0.4], (4, 4, 4, 3)), atol=1e-12)


def test_toroidal_moment_of_a_rotation():
    shape, spacing = (9, 8, 5), np.array([4.0, 3.0, 5.0])
    r = np.stack(np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * d for n, d in zip(shape, spacing)], indexing="ij"), -1)
    p = np.cross([0, 0, 0.3], r)
    expected = 0.5 * 0.3 * (r[..., 0] ** 2 + r[..., 1] ** 2).mean()
    np.testing.assert_allclose(fe.toroidal_moment(p, spacing), [0, 0, expected], atol=1e-12)
    np.testing.assert_allclose(fe.toroidal_moment(p + [1.0, 2.0, 3.0], spacing), [0, 0, expected], atol=1e-12)
    np.testing.assert_allclose(fe.toroidal_moment(-p, spacing), [0, 0, -expected], atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 35.0, 90.0, -90.0])
def test_helicity_angle(angle):
    n = skyrmion(angle=angle)[:, :, 0]
    assert fe.helicity_angle(n, (23.5, 23.5)) == pytest.approx(angle, abs=1e-9)


@pytest.mark.parametrize("angle", [0.0, 35.0, -90.0, 180.0])
def test_helicity_angle_does_not_depend_on_where_the_core_is(angle):
    n = skyrmion(angle=angle)[:, :, 0]
    for shift in ((24, 24), (11, 0), (-20, 31)):  # the first puts the core on the corner of the box
        centre = tuple((23.5 + s) % 48 for s in shift)
        found = fe.helicity_angle(np.roll(n, shift, (0, 1)), centre)
        assert abs((found - angle + 180) % 360 - 180) < 1e-9
    tilted = np.roll(n, (24, 24), (0, 1)) + [0.1, -0.3, 0.0]  # a uniform part has no angle
    assert fe.helicity_angle(tilted, (47.5, 47.5)) == pytest.approx(angle, abs=1e-9)


def test_half_of_the_box_away_is_on_neither_side():
    swirl = np.full((8, 6, 3), 0.2)
    swirl[1, 0, 1], swirl[-1, 0, 1] = 1.2, -0.8
    assert fe.helicity_angle(swirl, (0.0, 0.0)) == pytest.approx(90.0, abs=1e-9)


def hopfion(size, turns=1, radius=0.42):
    """n = U†σ_z U of U = exp(i f(r) r̂·σ), the azimuth taken ``turns`` times; uniform beyond ``radius`` of the box. H = turns."""
    x, y, z = np.meshgrid(*[(np.arange(size) + 0.5) / size - 0.5] * 3, indexing="ij")
    r, rho = np.sqrt(x**2 + y**2 + z**2), np.hypot(x, y)
    share = np.clip(r / radius, 0, 1)
    f = np.pi * (1 - share**2 * (3 - 2 * share))
    up = np.cos(f) + 1j * np.sin(f) * z / r
    down = 1j * np.sin(f) * rho / r * np.exp(1j * turns * np.arctan2(y, x))
    mixed = 2 * up.conj() * down
    return np.stack([mixed.real, mixed.imag, np.abs(up) ** 2 - np.abs(down) ** 2], -1)


def test_hopf_index_converges_to_the_integer():
    errors = {n: abs(abs(fe.hopf_index(hopfion(n))) - 1) for n in (16, 24, 32)}
    assert errors[32] < 0.02 and errors[32] < errors[24] < errors[16]
    assert errors[16] / errors[32] > 3  # second order: 4
    one, mirrored = fe.hopf_index(hopfion(24)), fe.hopf_index(hopfion(24)[:, :, ::-1])
    assert one == pytest.approx(-mirrored, rel=1e-9)
    assert fe.hopf_index(-hopfion(24)) == pytest.approx(one, rel=1e-9)  # lines of n and -n are linked alike
    assert fe.hopf_index(hopfion(32, 2)) == pytest.approx(2 * np.sign(one), abs=0.08)
    assert fe.hopf_index(np.roll(hopfion(24), (5, 7, -3), (0, 1, 2))) == pytest.approx(one, rel=1e-9)


def test_flux_has_no_divergence_and_its_potential_curls_to_it():
    flux = gauge(hopfion(24))
    k = np.stack(np.meshgrid(*[2 * np.pi * np.fft.fftfreq(24)] * 3, indexing="ij"), -1)
    potential, field = (np.fft.fftn(x, axes=(0, 1, 2)) for x in (flux.potential, flux.field))
    inside = np.abs(k).max(-1) < 2  # of waves that the grid resolves
    curl = 1j * np.cross(k, potential)
    assert np.abs((curl - field)[inside]).max() < 0.02 * np.abs(field).max()
    with pytest.raises(FerrojaxError, match="net flux"):
        fe.hopf_index(skyrmion(16, 4.0, 1.0, layers=16))
