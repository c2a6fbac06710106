"""The lattice enthalpy: derivatives, symmetry, supercells, precision, batches."""

from __future__ import annotations

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_lattice import BULK, FIELD, SHAPE, STRAIN, parameters, random_state

from ferrojax.effective import LatticeBoundary, LatticeState, make_enthalpy, prepare, strain_tensor, voigt_strain


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
