"""The lattice enthalpy: derivatives, symmetry, boundaries, acoustic modes, alloys, bad input."""

from __future__ import annotations

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax.effective import (
    LatticeBoundary,
    LatticeState,
    load_parameters,
    make_enthalpy,
    minimise,
    prepare,
    relaxed_strain,
    stationary,
    strain_tensor,
    stripes,
    uniform_state,
    voigt_strain,
    wall_lattice,
    well,
)
from ferrojax.effective.acoustic import local_strain, relaxed_acoustic
from ferrojax.effective.enthalpy import check_memory
from ferrojax.effective.terms import elastic_tensor, strain_sources
from ferrojax.errors import FerrojaxError
from ferrojax.units import COULOMB, EPSILON_0, GPA

NO_STRAIN, NO_FIELD = jnp.zeros((3, 3)), jnp.zeros(3)
STRAIN = jnp.array([[0.01, 0.004, -0.002], [0.004, -0.007, 0.003], [-0.002, 0.003, 0.02]])
FIELD = jnp.array([0.01, -0.02, 0.03])
SHAPE = (3, 4, 5)
BULK, CELL, ODD = make_enthalpy(SHAPE), make_enthalpy((1, 1, 1)), make_enthalpy((5, 3, 3))  # compiled once


def parameters():
    """A set in which no number is zero."""
    params = load_parameters("pbtio3-lda").under_pressure(-2 * GPA)
    return params.replace(k2=jnp.array(30.0, float), k3=jnp.array(50.0, float), spring=jnp.array(-0.279, float))


def random_state(shape, acoustic=False, seed=0):
    rng = np.random.default_rng(seed)
    return LatticeState(
        modes=jnp.asarray(0.2 * rng.normal(size=(*shape, 3))),
        acoustic=jnp.asarray(0.05 * rng.normal(size=(*shape, 3))) if acoustic else None,
        occupation=jnp.asarray(rng.choice([-1.0, 1.0], size=shape)),
    )


def sources(params, state):
    return strain_sources(params, jnp.moveaxis(state.modes, -1, 0), state.occupation)


def slope(function, step):
    """f'(0) by a difference of sixth order."""
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return sum(w * (float(function(n * step)) - float(function(-n * step))) for n, w in weights.items()) / step


BOUNDARIES = {
    "bulk": (LatticeBoundary(depolarization=(0.3, 0.0, 1.0)), False),
    "acoustic": (LatticeBoundary(), True),
    "film": (LatticeBoundary(dead_layers=1), False),
}


@pytest.mark.parametrize("kind", BOUNDARIES)
def test_every_first_derivative(kind, claim):
    """By modes, acoustic displacements, strain, field and each parameter, against finite differences along random directions."""
    boundary, acoustic = BOUNDARIES[kind]
    enthalpy, params, state = make_enthalpy(SHAPE, boundary), parameters(), random_state(SHAPE, acoustic)
    arguments = {"params": params, "modes": state.modes, "strain": STRAIN, "field": FIELD}
    if acoustic:
        arguments["acoustic"] = state.acoustic

    def energy(a):
        return enthalpy(a["params"], state.replace(modes=a["modes"], acoustic=a.get("acoustic")), a["strain"], a["field"])

    gradient = jax.jit(jax.grad(energy))(arguments)
    rng, errors = np.random.default_rng(3), []
    for path in [[n] for n in arguments if n != "params"] + [
        ["params", f.name] for f in dataclasses.fields(params) if getattr(params, f.name) is not None
    ]:
        leaf, exact = read(arguments, path), read(gradient, path)
        direction = jnp.asarray(rng.normal(size=leaf.shape))
        expected = float(jnp.vdot(exact, direction))
        size = float(jnp.max(jnp.abs(leaf))) if path[0] == "params" and float(jnp.max(jnp.abs(leaf))) > 0 else 1.0

        def along(s, path=path, leaf=leaf, direction=direction):
            return energy(write(arguments, path, leaf + s * direction))

        found = slope(along, 1e-3 * size)
        if path[-1].endswith("mass"):
            assert expected == found == 0.0
            continue
        # Relative to the length of the gradient: a direction may lie across it.
        errors.append(abs(found - expected) / float(jnp.linalg.norm(exact)))
    claim("C-derivatives", max(errors))


def read(tree, path):
    return tree[path[0]] if len(path) == 1 else getattr(tree[path[0]], path[1])


def write(tree, path, value):
    return tree | {path[0]: value if len(path) == 1 else tree[path[0]].replace(**{path[1]: value})}


def test_forces_are_ready_for_dynamics():
    enthalpy, params, state = BULK, parameters(), random_state(SHAPE)
    forces = -jax.jit(jax.grad(lambda s: enthalpy(params, s, STRAIN, FIELD)))(state).modes
    ready = prepare(params, state)
    assert (forces.reshape(-1, 3) / ready.masses).shape == ready.coordinates.shape
    assert float(ready.masses[0, 0]) == 100.0
    np.testing.assert_allclose(ready.cell, float(params.a0) * np.diag(SHAPE))


def test_hessian_is_symmetric_and_differentiates_the_forces():
    enthalpy, params = make_enthalpy((2, 1, 3)), parameters()
    state = random_state((2, 1, 3))

    def energy(x):
        return enthalpy(params, state.replace(modes=x.reshape(2, 1, 3, 3)), STRAIN, FIELD)

    x = state.modes.reshape(-1)
    hessian = jax.jit(jax.hessian(energy))(x)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-11)
    force, v = jax.jit(jax.grad(energy)), jnp.asarray(np.random.default_rng(5).normal(size=x.shape))
    h = 1e-4
    difference = (8 * (force(x + h * v) - force(x - h * v)) - force(x + 2 * h * v) + force(x - 2 * h * v)) / (12 * h)
    np.testing.assert_allclose(hessian @ v, difference, rtol=1e-8, atol=1e-7)


def rotated(state, matrix):
    """A lattice turned by a signed permutation of the axes: u'(S R) = S u(R)."""
    n = np.array(state.modes.shape[:3])
    place = np.stack(np.meshgrid(*map(np.arange, n), indexing="ij"), -1)
    goal = tuple(np.moveaxis((place @ matrix.T) % n, -1, 0))
    modes, occupation = np.zeros(state.modes.shape), np.zeros(state.occupation.shape)
    modes[goal] = np.asarray(state.modes) @ matrix.T
    occupation[goal] = np.asarray(state.occupation)
    return LatticeState(modes=jnp.asarray(modes), occupation=jnp.asarray(occupation))


def cubic_group():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield np.eye(3, dtype=int)[list(order)] * np.array(signs)[:, None]


@pytest.mark.parametrize("size", [3, 4])
def test_invariance_under_translations_and_the_cubic_group(size, claim):
    """On odd and on even lattices: the latter have wave vectors on the zone boundary."""
    shape = (size, size, size)
    enthalpy, params, state = make_enthalpy(shape), parameters(), random_state(shape)
    reference = float(enthalpy(params, state, STRAIN, FIELD))
    errors = []
    for shift in [(1, 0, 0), (0, 2, 1), (2, 1, 2)]:
        moved = jax.tree.map(lambda x, shift=shift: jnp.roll(x, shift, (0, 1, 2)), state)
        errors.append(float(enthalpy(params, moved, STRAIN, FIELD)) / reference - 1)
    for s in cubic_group():
        turned = enthalpy(params, rotated(state, s), jnp.asarray(s @ STRAIN @ s.T), jnp.asarray(s @ FIELD))
        errors.append(float(turned) / reference - 1)
    assert len(errors) == 3 + 48
    claim("C-invariance", np.abs(errors).max())


@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 3, 2)])
def test_a_supercell_has_the_energy_of_its_copies(repeats, claim):
    """From an odd lattice; an even one has zone-boundary waves, which its supercell sees inside the zone too, at the same k."""
    shape = (3, 2, 1)
    params, state = parameters(), random_state(shape)
    big = jax.tree.map(lambda x: jnp.tile(x, (*repeats, *[1] * (x.ndim - 3))), state)
    small = float(make_enthalpy(shape)(params, state, STRAIN, FIELD))
    large = float(make_enthalpy(big.modes.shape[:3])(params, big, STRAIN, FIELD))
    claim("C-invariance", abs(large / small / np.prod(repeats) - 1))


def test_a_rotation_is_no_strain():
    turn = jnp.array([[0.0, 0.02, 0.0], [-0.02, 0.0, 0.01], [0.0, -0.01, 0.0]])
    enthalpy, params, state = BULK, parameters(), random_state(SHAPE)
    assert float(enthalpy(params, state, STRAIN + turn, FIELD)) == pytest.approx(float(enthalpy(params, state, STRAIN, FIELD)), rel=1e-14)
    np.testing.assert_allclose(strain_tensor(voigt_strain(STRAIN)), STRAIN, atol=1e-17)


def test_explicit_acoustic_modes_relax_to_the_adiabatic_energy():
    shape = ODD.shape  # odd: no zone boundary
    enthalpy, params, state = ODD, parameters(), random_state(shape)
    explicit = state.replace(acoustic=jax.jit(relaxed_acoustic)(params, sources(params, state)))
    adiabatic = float(enthalpy(params, state, STRAIN, FIELD))
    assert float(enthalpy(params, explicit, STRAIN, FIELD)) == pytest.approx(adiabatic, rel=1e-13)
    residual = jax.jit(jax.grad(lambda s: enthalpy(params, s, STRAIN, FIELD)))(explicit).acoustic
    assert float(jnp.abs(residual).max()) < 1e-12
    away = state.replace(acoustic=random_state(shape, acoustic=True).acoustic)
    assert float(enthalpy(params, away, STRAIN, FIELD)) > adiabatic


def test_acoustic_energy_is_that_of_the_local_strain():
    """Σ ½ η·B η + η·y with η from w by differentiation: the elastic part integrated by parts."""
    shape = ODD.shape
    enthalpy, params, state = ODD, parameters(), random_state(shape, acoustic=True)
    eta = local_strain(state.acoustic, params.a0)
    expected = 0.5 * jnp.einsum("ixyz,ij,jxyz->", eta, elastic_tensor(params), eta) + jnp.vdot(eta, sources(params, state))
    rigid = state.replace(acoustic=jnp.ones_like(state.acoustic))
    found = enthalpy(params, state, STRAIN, FIELD) - enthalpy(params, rigid, STRAIN, FIELD)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


def test_strain_relaxed_in_closed_form_has_no_stress_left():
    enthalpy, params, state = BULK, parameters(), random_state(SHAPE)
    params = params.replace(stress=jnp.asarray(STRAIN))  # any symmetric tensor
    strain = relaxed_strain(params, state)
    total = jax.grad(enthalpy, 2)(params, state, strain, FIELD) / (60 * params.a0**3)
    np.testing.assert_allclose(total, np.zeros((3, 3)), atol=1e-14)
    inner = jax.grad(enthalpy, 2)(params.replace(stress=jnp.zeros((3, 3))), state, strain, FIELD) / (60 * params.a0**3)
    np.testing.assert_allclose(inner, STRAIN, atol=1e-14)


def test_minimum_and_newton_agree_and_epitaxy_holds_the_film_plane():
    params, enthalpy = load_parameters("batio3-wc"), CELL
    misfit = strain_tensor(jnp.array([-0.01, -0.01, 0.3, 0.1, 0.1, 0.0]))
    start = uniform_state((1, 1, 1), (0.01, 0.02, 0.12))
    down = minimise(enthalpy, params, start, misfit, FIELD, clamp="epitaxial", tolerance=1e-9)
    newton = stationary(enthalpy, params, down.state, misfit, FIELD, clamp="epitaxial", tolerance=1e-11)
    assert newton.energy == pytest.approx(down.energy, abs=1e-13)
    np.testing.assert_allclose(voigt_strain(down.strain)[jnp.array([0, 1, 5])], [-0.01, -0.01, 0.0], atol=1e-15)
    stress = jax.grad(enthalpy, 2)(params, down.state, down.strain, FIELD) / (params.a0**3)
    np.testing.assert_allclose(voigt_strain(stress)[jnp.array([2, 3, 4])], np.zeros(3), atol=1e-14)
    assert down.max_force <= 1e-9


def test_open_circuit_is_the_limit_of_a_long_longitudinal_wave():
    """LO-TO splitting of a point-dipole lattice: 2π k_e Z*²/(ε∞ a0³) in half curvatures, as 1/n²."""
    params = load_parameters("batio3-wc")
    lorentz = float(2 * jnp.pi * COULOMB * params.charge**2 / (params.eps_inf * params.a0**3))
    uniform = uniform_state((1, 1, 1), (1e-3, 0.0, 0.0))
    shorted = float(CELL(params, uniform, NO_STRAIN, NO_FIELD))
    opened = float(make_enthalpy((1, 1, 1), LatticeBoundary((1.0, 0.0, 0.0)))(params, uniform, NO_STRAIN, NO_FIELD))
    assert opened - shorted == pytest.approx(lorentz * 1e-6, rel=1e-10)
    gaps = []
    for cells in (48, 96):
        wave = np.cos(2 * np.pi * np.arange(cells) / cells)[:, None, None, None] * np.array([1e-3, 0.0, 0.0])
        energy = float(make_enthalpy((cells, 1, 1))(params, LatticeState(jnp.asarray(wave)), NO_STRAIN, NO_FIELD))
        gaps.append(2 * energy / cells / opened - 1)
    assert abs(gaps[1]) < 0.01
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.02)


def test_film_between_perfect_electrodes():
    """No gap: a film along z is a bulk, and a film in its plane is the bulk with stripes that alternate along z."""
    params, shape = parameters(), (2, 2, 3)
    film, bulk = make_enthalpy(shape, LatticeBoundary(dead_layers=0)), make_enthalpy(shape)
    up = uniform_state(shape, (0.0, 0.0, 0.2))
    assert float(film(params, up, STRAIN, FIELD)) == pytest.approx(float(bulk(params, up, STRAIN, FIELD)), rel=1e-13)
    along = uniform_state(shape, (0.2, 0.0, 0.0))
    image = stripes((6, 2, 2), (0.0, 0.2, 0.0), 6)
    image = LatticeState(jnp.moveaxis(image.modes, 0, 2)[..., jnp.array([1, 2, 0])])
    doubled = make_enthalpy((2, 2, 6))
    assert 2 * float(film(params, along, STRAIN, NO_FIELD)) == pytest.approx(float(doubled(params, image, STRAIN, NO_FIELD)), rel=1e-13)


def test_dead_layers_leave_a_depolarizing_field():
    """E_z = -P d/((l + d) ε0 ε∞) inside, the field of a capacitor with d dead layers."""
    params, layers, gap, u = load_parameters("batio3-wc"), 12, 4, 0.1
    state = uniform_state((1, 1, layers), (0.0, 0.0, u))

    def force(enthalpy, charge):
        """On a cell in the middle of the film, eV/Å."""
        changed = params.replace(charge=jnp.asarray(charge))
        return -float(jax.grad(enthalpy, 1)(changed, state, NO_STRAIN, NO_FIELD).modes[0, 0, layers // 2, 2])

    film, bulk = (make_enthalpy((1, 1, layers), LatticeBoundary(dead_layers=d)) for d in (gap, 0))
    charge = float(params.charge)
    # The gap also bears no stress from the modes; what it does without charges is elastic.
    electric = (force(film, charge) - force(bulk, charge)) - (force(film, 0.0) - force(bulk, 0.0))
    polarization = charge * u / float(params.a0) ** 3
    field = -polarization * gap / (layers + gap) / (EPSILON_0 * float(params.eps_inf))
    assert electric / charge == pytest.approx(field, rel=1e-6)


def test_alloy_term_strains_the_lattice():
    """b Σ a Tr η: a composition wave relaxes by ½ b² <a²>/B11, a mean composition pulls on the volume."""
    params, cells = load_parameters("basrtio3-x50"), 5
    wave = np.cos(2 * np.pi * np.arange(cells) / cells)
    state = uniform_state((cells, 1, 1)).replace(occupation=jnp.asarray(wave).reshape(cells, 1, 1))
    enthalpy = make_enthalpy((cells, 1, 1))
    found = float(enthalpy(params, state, NO_STRAIN, NO_FIELD))
    assert found == pytest.approx(-0.5 * 0.279**2 * np.sum(wave**2) / float(params.b11), rel=1e-12)
    filled = uniform_state((cells, 1, 1)).replace(occupation=jnp.ones((cells, 1, 1)))
    empty = uniform_state((cells, 1, 1))
    change = float(enthalpy(params, filled, STRAIN, NO_FIELD) - enthalpy(params, empty, STRAIN, NO_FIELD))
    assert change == pytest.approx(-0.279 * cells * float(jnp.trace(STRAIN)), rel=1e-12)


def test_single_precision_vmap_and_jit():
    enthalpy, params = BULK, parameters()
    states = [random_state(SHAPE, seed=s) for s in range(3)]
    exact = [float(enthalpy(params, s, STRAIN, FIELD)) for s in states]
    batch = jax.tree.map(lambda *x: jnp.stack(x).astype(jnp.float32), *states)
    single = jax.jit(jax.vmap(enthalpy, (None, 0, None, None)))(params, batch, STRAIN, FIELD)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, exact, rtol=2e-5)
    many = jax.tree.map(lambda *x: jnp.stack(x), params, params.replace(alpha=2 * params.alpha))
    both = jax.vmap(enthalpy, (0, None, None, None))(many, states[0], STRAIN, FIELD)
    assert float(both[0]) == pytest.approx(exact[0], rel=1e-12)
    assert float(both[1]) > exact[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_enthalpy((0, 2, 2)), "at least 1"),
        (lambda: make_enthalpy((2, 2)), "three whole numbers"),
        (lambda: make_enthalpy((2.5, 2, 2)), "three whole numbers"),
        (lambda: make_enthalpy((2, 2, 2), LatticeBoundary((0.0, 0.0, 1.5))), "from 0"),
        (lambda: make_enthalpy((2, 2, 2), LatticeBoundary((float("nan"), 0.0, 0.0))), "from 0"),
        (lambda: make_enthalpy((2, 2, 2), LatticeBoundary(dead_layers=-1)), "0 or more"),
        (lambda: make_enthalpy((2, 2, 2), LatticeBoundary((0.0, 0.0, 0.5), dead_layers=1)), "set depolarization"),
        (lambda: make_enthalpy((2, 2, 2))(parameters(), uniform_state((2, 2, 3)), NO_STRAIN, NO_FIELD), "modes has shape"),
        (lambda: check_memory((100_000, 100_000, 10)), "GiB"),
        (lambda: stripes((6, 1, 1), (0, 0, 0.1), 4), "period"),
        (lambda: wall_lattice(jnp.ones(3), 9, "cell"), "even number"),
        (lambda: wall_lattice(jnp.ones(3), 8, "corner"), "'cell' boundary"),
        (lambda: well(load_parameters("batio3-wc"), (0, 0, 0)), "direction"),
        (lambda: well(load_parameters("batio3-wc").under_pressure(60 * GPA), (0, 0, 1)), "cubic cell is stable"),
        (lambda: well(load_parameters("batio3-wc").under_pressure(-5 * GPA), (0, 0, 1)), "takes over at a pressure of -4.5"),
        (lambda: minimise(CELL, parameters(), uniform_state((1, 1, 1)), clamp="loose"), "clamp"),
        (lambda: stationary(make_enthalpy((12, 12, 12)), parameters(), uniform_state((12, 12, 12))), "unknowns"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(FerrojaxError, match=message):
        make()


def test_a_mode_that_runs_away_is_reported():
    unbound = load_parameters("batio3-lda").replace(alpha=jnp.array(-10.0))
    with pytest.raises(FerrojaxError, match="ran away"):
        minimise(CELL, unbound, uniform_state((1, 1, 1), (0.0, 0.0, 0.3)), max_steps=50)


def test_too_few_steps_are_reported():
    with pytest.raises(FerrojaxError, match="not converged after 2 steps"):
        minimise(CELL, parameters(), uniform_state((1, 1, 1), (0.0, 0.0, 0.1)), max_steps=2)
