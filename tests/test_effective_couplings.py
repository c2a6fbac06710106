"""Couplings that the space group of the perovskite allows."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms

from ferrojax import effective
from ferrojax.dynamics import NVE, run
from ferrojax.effective.invariants import _representation, coupling_energy
from ferrojax.errors import FerrojaxError

HOME = (0, 0, 0)
SHAPE = (4, 3, 5)


@pytest.fixture(scope="module")
def group():
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5)]
    return effective.space_group(Atoms("TiBaO3", scaled_positions=places, cell=[4, 4, 4], pbc=True))


def find(group, *factors, **sites):
    return effective.couplings(factors, effective.perovskite_fields(**sites), group)


def characters(group, *parts):
    """How often the identity is in the product of symmetric powers of representations: the average of their characters."""
    total = 0.0
    for rotation in group.cartesian:
        product = 1.0
        for kind, power in parts:
            matrix = _representation(kind, rotation)
            # Character of the symmetric power by Newton's identity.
            powers = [np.trace(np.linalg.matrix_power(matrix, k)) for k in range(1, power + 1)]
            h = [1.0]
            for n in range(1, power + 1):
                h.append(sum(powers[k - 1] * h[n - k] for k in range(1, n + 1)) / n)
            product *= h[power]
        total += product
    return round(total / len(group.cartesian))


@pytest.mark.parametrize(
    "parts",
    [
        [("u", 2)], [("u", 4)], [("u", 6)], [("u", 8)], [("omega", 4)], [("u", 2), ("omega", 2)], [("eta", 1), ("u", 2)],
        [("eta", 1), ("omega", 2)], [("u", 1), ("omega", 2)], [("eta", 1), ("u", 1), ("omega", 1)],
    ],
)  # fmt: skip
def test_onsite_counts_are_those_of_group_theory(group, parts):
    kinds = {"u": "polar", "omega": "axial", "eta": "strain"}
    found = find(group, *[(f, p, HOME) for f, p in parts])
    assert len(found) == characters(group, *[(kinds[f], p) for f, p in parts])


@pytest.mark.parametrize("cell, count", [((1, 0, 0), 2), ((1, 1, 0), 3), ((1, 1, 1), 2)])
def test_shells_have_the_couplings_j1_to_j7(group, cell, count):
    assert len(find(group, ("u", 1, HOME), ("u", 1, cell))) == count


def test_an_occupation_pushes_the_modes_but_not_the_tilts(group):
    assert len(find(group, ("u", 1, HOME), ("sigma", 1, HOME))) == 1  # from the corner of the cell
    assert find(group, ("omega", 1, HOME), ("sigma", 1, HOME)) == []
    assert find(group, ("u", 1, HOME), ("sigma", 1, HOME), mode_site="A") == []  # on its own site


def random_fields(rng):
    return {name: rng.normal(size=(n, *SHAPE)) for name, n in (("u", 3), ("omega", 3), ("sigma", 1))}


@pytest.mark.parametrize(
    "factors",
    [
        [("u", 3, HOME), ("u", 1, (1, 0, 0))], [("u", 1, HOME), ("omega", 2, (1, 0, 0))], [("u", 2, HOME), ("sigma", 1, HOME)],
        [("eta", 1, HOME), ("u", 1, HOME), ("u", 1, (1, 0, 0))], [("omega", 1, HOME), ("omega", 1, (0, 1, 1))],
    ],
)  # fmt: skip
def test_values_do_not_change_under_the_group(group, factors):
    """Cubic lattices turned on the grid, with the occupation on the corners of the cells."""
    rng, size = np.random.default_rng(0), 4
    found = find(group, *factors)
    assert found
    fields = {name: rng.normal(size=(n, size, size, size)) for name, n in (("u", 3), ("omega", 3), ("sigma", 1))}
    strain = rng.normal(size=(3, 3))
    strain = strain + strain.T
    weights = jnp.asarray(rng.normal(size=len(found)))

    def value(fields, strain):
        energy, sources = coupling_energy(found, weights, {k: jnp.asarray(v) for k, v in fields.items()})
        voigt = np.array([strain[0, 0], strain[1, 1], strain[2, 2], 2 * strain[1, 2], 2 * strain[0, 2], 2 * strain[0, 1]])
        return float(energy) + float(voigt @ np.sum(sources, (1, 2, 3)))

    wanted = value(fields, strain)
    assert abs(wanted) > 1e-3
    for rotation in group.cartesian[[3, 10, 17, 29, 40]]:
        turned = {name: np.zeros_like(field) for name, field in fields.items()}
        matrices = {"u": rotation, "omega": rotation * np.linalg.det(rotation), "sigma": np.eye(1)}
        offset = {"u": 0.0, "omega": 0.0, "sigma": 0.5}
        for place in itertools.product(range(size), repeat=3):
            for name in fields:
                target = np.rint(rotation @ (np.array(place) + offset[name]) - offset[name]).astype(int) % size
                turned[name][(slice(None), *target)] = matrices[name] @ fields[name][(slice(None), *place)]
        assert value(turned, rotation @ strain @ rotation.T) == pytest.approx(wanted, rel=1e-10)


def test_strain_representation_is_that_of_a_tensor():
    rng = np.random.default_rng(1)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))  # not of the cubic group
    strain = rng.normal(size=(3, 3))
    strain = strain + strain.T
    voigt = lambda e: np.array([e[0, 0], e[1, 1], e[2, 2], 2 * e[1, 2], 2 * e[0, 2], 2 * e[0, 1]])  # noqa: E731
    # A linear form w·η keeps its value if its coefficients transform by the representation.
    form = rng.normal(size=6)
    turned = _representation("strain", rotation) @ form
    assert turned @ voigt(rotation @ strain @ rotation.T) == pytest.approx(form @ voigt(strain))


def fitted(params, plain, listed, shape, count):
    """Weights with which the general couplings give what named ones add to an enthalpy in which both are linear."""
    usual, general = effective.make_enthalpy(shape), effective.make_enthalpy(shape, couplings=listed)
    rng, field, rows, wanted = np.random.default_rng(2), jnp.zeros(3), [], []
    basis = jax.jit(jax.vmap(lambda w, state, strain: general(plain.replace(weights=w), state, strain, field), (0, None, None)))
    each = jnp.concatenate([jnp.zeros((1, len(listed))), jnp.eye(len(listed))])
    for _ in range(count):
        state, strain = effective.LatticeState(0.1 * jnp.asarray(rng.normal(size=(*shape, 3)))), 0.1 * jnp.asarray(rng.normal(size=(3, 3)))
        values = np.asarray(basis(each, state, strain))
        rows.append(values[1:] - values[0])
        wanted.append(float(usual(params, state, strain, field) - usual(plain, state, strain, field)))
    scale = np.abs(rows).max(0)
    return np.linalg.lstsq(np.array(rows) / scale, np.array(wanted), rcond=None)[0] / scale


def test_general_couplings_repeat_the_usual_ones(group):
    """j1 to j7, the anharmonic terms and the coupling to strain, once by name and once as invariants."""
    full, shape = effective.load_parameters("batio3-wc"), (4, 4, 4)
    strained = {name: jnp.zeros(()) for name in ("b1xx", "b1yy", "b4yz")}
    others = {name: jnp.zeros(()) for name in ("alpha", "gamma", "k1", "k2", "k3", "k4")} | {"j": jnp.zeros(7)}
    local = [c for power in (4, 6, 8) for c in find(group, ("u", power, HOME))]
    local += [c for cell in ((1, 0, 0), (1, 1, 0), (1, 1, 1)) for c in find(group, ("u", 1, HOME), ("u", 1, cell))]
    pulling = find(group, ("eta", 1, HOME), ("u", 2, HOME))
    weights = fitted(full, full.replace(**others), local, shape, 40)
    # In one cell all strain is homogeneous, so its energy is linear in these.
    weights = jnp.asarray(np.append(weights, fitted(full, full.replace(**strained), pulling, (1, 1, 1), 12)))
    usual, general = effective.make_enthalpy(shape), effective.make_enthalpy(shape, couplings=local + pulling)
    rng = np.random.default_rng(3)
    state = effective.LatticeState(0.1 * jnp.asarray(rng.normal(size=(*shape, 3))))
    strain, field = 0.01 * jnp.asarray(rng.normal(size=(3, 3))), jnp.zeros(3)
    bare = full.replace(weights=weights, **others, **strained)
    expected = float(usual(full, state, strain, field))
    assert float(general(bare, state, strain, field)) == pytest.approx(expected, rel=1e-9)
    assert abs(expected - float(usual(bare.replace(weights=None), state, strain, field))) > 0.1


def tilted(group):
    listed = find(group, ("omega", 2, HOME)) + find(group, ("omega", 4, HOME)) + find(group, ("u", 2, HOME), ("omega", 2, HOME))
    listed += find(group, ("eta", 1, HOME), ("omega", 2, HOME)) + find(group, ("omega", 1, HOME), ("omega", 1, (1, 0, 0)))
    rng = np.random.default_rng(4)
    weights = jnp.asarray([2.0, 30.0, 20.0, 8.0, 5.0, -3.0, *(0.5 * rng.normal(size=len(listed) - 6))])
    params = effective.load_parameters("batio3-lda").replace(weights=weights, tilt_inertia=jnp.asarray(30.0))
    modes, tilts = (0.05 * jnp.asarray(rng.normal(size=(*SHAPE, 3))) for _ in range(2))
    return effective.make_enthalpy(SHAPE, clamp="free", couplings=listed), params, effective.LatticeState(modes, tilts=tilts)


def test_derivatives_with_tilts(group):
    enthalpy, params, state = tilted(group)
    zero, field = jnp.zeros((3, 3)), jnp.array([0.0, 0.01, 0.02])

    def energy(tilts, weights):
        return enthalpy(params.replace(weights=weights), state.replace(tilts=tilts), zero, field)

    slopes = jax.grad(energy, (0, 1))(state.tilts, params.weights)
    rng = np.random.default_rng(5)
    for k, value in enumerate((state.tilts, params.weights)):
        direction, step = jnp.asarray(rng.normal(size=value.shape)), 2e-5
        ends = [energy(*(v + s * step * direction if i == k else v for i, v in enumerate((state.tilts, params.weights)))) for s in (1, -1)]
        assert float((ends[0] - ends[1]) / (2 * step)) == pytest.approx(float(jnp.vdot(slopes[k], direction)), rel=1e-7)


def test_tilts_move_and_conserve_energy(group):
    enthalpy, params, state = tilted(group)
    ready = effective.prepare(params, state)
    assert ready.coordinates.shape == (2 * 60, 3) and float(ready.masses[-1, 0]) == 30.0
    found = run(enthalpy, params, ready, NVE(dt=0.5), 100, key=jax.random.key(0), temperature=100.0)
    assert np.ptp(found.records.conserved) < 2e-3 * np.ptp(found.records.potential)
    assert float(jnp.abs(found.state.tilts - state.tilts).max()) > 1e-3


def test_what_does_not_fit_is_refused(group):
    listed = find(group, ("omega", 2, HOME))
    params, state = effective.load_parameters("batio3-lda"), effective.uniform_state(SHAPE)
    enthalpy, zero = effective.make_enthalpy(SHAPE, couplings=listed), (jnp.zeros((3, 3)), jnp.zeros(3))
    with pytest.raises(FerrojaxError, match="0 weights, but this enthalpy has 1 couplings"):
        enthalpy(params, state, *zero)
    weighted = params.replace(weights=jnp.ones(1))
    with pytest.raises(FerrojaxError, match="couplings need tilts"):
        enthalpy(weighted, state, *zero)
    with pytest.raises(FerrojaxError, match="no tilt_inertia"):
        effective.prepare(params, state.replace(tilts=state.modes))
    with pytest.raises(FerrojaxError, match="too far for a lattice of 2 x 4 x 4"):
        effective.make_enthalpy((2, 4, 4), couplings=find(group, ("u", 1, HOME), ("u", 1, (1, 0, 0))))
    with pytest.raises(FerrojaxError, match="second order in the strain"):
        effective.make_enthalpy(SHAPE, couplings=find(group, ("eta", 2, HOME)))
    with pytest.raises(FerrojaxError, match="'v'"):
        find(group, ("v", 1, HOME))
