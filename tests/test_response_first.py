"""Every first derivative and mixed second derivative against finite differences, float64."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from random_model import PRESETS, polar_perovskite, random_model
from toy_model import ToyModel, rattled_triclinic

from ferrojax.electrostatics.boundary import Boundary
from ferrojax.enthalpy import dipole, make_enthalpy
from ferrojax.response.first import (
    born_charges,
    chi_inf,
    energy_dipole,
    energy_forces_stress,
    eps_inf,
    minimum_image_dipole,
    polarization,
    polarization_quantum,
    wrap_polarization,
)
from ferrojax.state import apply_strain, from_ase
from ferrojax.topology import edge_vectors, with_topology
from ferrojax.units import EPSILON_0

TOLERANCE = 1e-6
FIELD = jnp.array([0.011, -0.023, 0.017])
BLOCKS = ("positions", "strain", "field")


def difference(f, point, v, step):
    """Derivative of f along v at a point (a tuple), by the central difference of fourth order."""
    plus, minus, plus2, minus2 = (f(tuple(x + s * step * y for x, y in zip(point, v))) for s in (1, -1, 2, -2))
    return jax.tree.map(lambda a, b, c, d: (8 * (a - b) - (c - d)) / (12 * step), plus, minus, plus2, minus2)


def assert_relative(value, reference):
    error = np.linalg.norm(np.asarray(value) - np.asarray(reference)) / np.linalg.norm(np.asarray(reference))
    assert error <= TOLERANCE, error
    return error


@functools.cache
def setup(preset):
    """State, point x = (R, ε, E), and jitted F(x), ∇F(x) and ∇²F(x)·v for a random model."""
    model, params = random_model(preset)
    enthalpy = make_enthalpy(model)
    state = model.prepare(polar_perovskite(), np.float64, skin=0.3)

    def value(x):
        return enthalpy(params, state.replace(positions=x[0]), x[1], x[2])

    point = (state.positions, jnp.array([[0.01, 0.004, 0.0], [0.0, -0.006, 0.003], [0.002, 0.0, 0.008]]), FIELD)
    both = jax.jit(jax.value_and_grad(value))
    curvature = jax.jit(lambda x, v: jax.jvp(jax.grad(value), (x,), (v,))[1])
    return state, point, lambda x: both(x)[0], lambda x: both(x)[1], curvature


@functools.cache
def exposed(preset):
    """Everything the module computes, at FIELD, in one compilation."""
    model, params = random_model(preset)
    functions = (energy_forces_stress, energy_dipole, polarization, born_charges, chi_inf, eps_inf)
    state, enthalpy = setup(preset)[0], make_enthalpy(model)
    return jax.jit(lambda: {f.__name__: f(enthalpy, params, state, FIELD) for f in functions})()


def direction(block, point, seed=3):
    """A random unit direction within one block of x."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=x.shape) * (name == block) for name, x in zip(BLOCKS, point)]
    return tuple(jnp.asarray(p / np.sqrt(sum((q**2).sum() for q in parts))) for p in parts)


def unit(block, index, point):
    """The direction that moves one component of one block of x."""
    return tuple(jnp.zeros_like(x).at[index].set(1.0) if name == block else jnp.zeros_like(x) for name, x in zip(BLOCKS, point))


def at_rest(point):
    """The point without strain, at FIELD: where the module takes its derivatives."""
    return point[0], jnp.zeros((3, 3)), FIELD


FIRST = {"positions": "A-derivative-forces", "strain": "A-derivative-stress", "field": "A-derivative-polarization"}
STEP = {"positions": 2e-3, "strain": 5e-4, "field": 2e-2}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("block", BLOCKS)
def test_gradient_against_differences_of_the_enthalpy(preset, block, claim):
    """Forces, stress (in a strained cell) and polarization, along random directions."""
    _, point, value, slope, _ = setup(preset)
    for seed in range(4):
        v = direction(block, point, seed)
        projected = sum(jnp.vdot(a, b) for a, b in zip(slope(point), v))
        claim(FIRST[block], assert_relative(projected, difference(value, point, v, STEP[block])))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("block", BLOCKS)
def test_second_derivatives_against_differences_of_the_gradient(preset, block, claim):
    """One row of blocks each: d²F/dR dx, d²F/dε dx or d²F/dE dx for x = R, ε and E."""
    _, point, _, slope, curvature = setup(preset)
    v = direction(block, point)
    numerical = difference(slope, point, v, STEP[block])
    for exact, reference in zip(curvature(point, v), numerical):
        claim("A-derivative-mixed", assert_relative(exact, reference))


@pytest.mark.parametrize("preset", PRESETS)
def test_forces_stress_and_polarization_are_the_signed_derivatives(preset, claim):
    state, point, value, *_ = setup(preset)
    energy, forces, stress = exposed(preset)["energy_forces_stress"]
    rest = at_rest(point)
    assert energy == pytest.approx(float(value(rest)), abs=1e-12)
    for index in [(0, 0), (1, 2), (4, 1)]:
        assert_relative(forces[index], -difference(value, rest, unit("positions", index, rest), STEP["positions"]))
    # All nine components: the stress is symmetric although only the mean of the two is returned.
    numerical = [[difference(value, rest, unit("strain", (a, b), rest), STEP["strain"]) for b in range(3)] for a in range(3)]
    claim("A-derivative-stress", assert_relative(stress, np.array(numerical) / state.volume))
    moment = -np.array([difference(value, rest, unit("field", a, rest), STEP["field"]) for a in range(3)])
    claim("A-derivative-polarization", assert_relative(exposed(preset)["polarization"], moment / state.volume))
    assert_relative(exposed(preset)["energy_dipole"][1], moment)


def test_stress_is_the_derivative_with_respect_to_the_deformed_state():
    """The strain argument does what deforming the state by hand does, at zero field."""
    state, point, _, slope, _ = setup("fast")
    model, params = random_model("fast")
    shape = jnp.array([[0.3, 0.5, -0.2], [0.5, -0.4, 0.1], [-0.2, 0.1, 0.6]])

    @jax.jit
    def energy(amount):
        return make_enthalpy(model)(params, apply_strain(state, amount[0] * shape), jnp.zeros((3, 3)), jnp.zeros(3))

    stress = slope((point[0], jnp.zeros((3, 3)), jnp.zeros(3)))[1]
    assert_relative(jnp.vdot(stress, shape), difference(energy, (0.0,), (1.0,), 5e-4))


@pytest.mark.parametrize("preset", PRESETS)
def test_born_charges_against_differences_of_the_dipole(preset, claim):
    _, point, _, slope, _ = setup(preset)
    rest = at_rest(point)
    numerical = np.zeros((5, 3, 3))
    for i, b in np.ndindex(5, 3):
        numerical[i, :, b] = -difference(slope, rest, unit("positions", (i, b), rest), STEP["positions"])[2]
    for exact, reference in zip(exposed(preset)["born_charges"], numerical):
        claim("A-derivative-born", assert_relative(exact, reference))
    total = np.abs(exposed(preset)["born_charges"].sum(0)).max()
    assert total < 1e-10
    claim("A-born-sum-rule", total)


@pytest.mark.parametrize("preset", PRESETS)
def test_susceptibility_against_differences_of_the_polarization(preset, claim):
    state, point, _, slope, _ = setup(preset)
    rest = at_rest(point)
    numerical = -np.stack([difference(slope, rest, unit("field", b, rest), STEP["field"])[2] for b in range(3)], 1)
    chi = exposed(preset)["chi_inf"]
    claim("A-derivative-chi", assert_relative(chi, numerical / (state.volume * EPSILON_0)))
    np.testing.assert_allclose(exposed(preset)["eps_inf"], np.eye(3) + chi, atol=1e-12)
    model, params = random_model(preset)
    polarizability = jax.jit(model.terms)(params, state).polarizability
    np.testing.assert_allclose(chi, polarizability / (state.volume * EPSILON_0), rtol=1e-12, atol=1e-12)


def test_toy_chain_has_the_exact_born_charge(claim):
    """Two atoms, charges ±1, transfer t(r): q and Z* differ in sign (King-Smith and Vanderbilt's P needs the flow)."""

    class Chain:
        config = SimpleNamespace(eps_inf=1.0, smearing=1.0)

        def formal_charges(self, state):
            return jnp.array([1.0, -1.0])

        def flow(self, state):
            """Atom A gives -t to each B within 3.6 Å, so A carries +1 + Σ t."""
            r = jnp.where(state.topology.mask, jnp.linalg.norm(edge_vectors(state), axis=-1), 1.0)
            t = 0.35 * jnp.exp(-(r - 1.9) / 0.4) * 0.5 * (1 + jnp.cos(jnp.pi * r / 3.6))
            on = state.topology.mask & (r < 3.6) & (jnp.arange(2) == 0)[:, None]
            return -jnp.where(on, t, 0.0)

    atoms = Atoms("NaCl", positions=[[0, 0, 0], [1.7, 0, 0]], cell=np.diag([4.0, 20.0, 20.0]), pbc=True)
    chain, state = Chain(), with_topology(from_ase(atoms), 3.6)
    charge = 1.0 - float(jnp.sum(chain.flow(state)))
    assert charge == pytest.approx(1.350844, abs=1e-6)
    moment = lambda r: dipole(chain, chain.flow(state), state.replace(positions=r))  # noqa: E731
    frozen = jax.jacfwd(moment)(state.positions)
    assert frozen[0, 0, 0] == pytest.approx(charge, abs=1e-6)
    full = lambda r: dipole(chain, chain.flow(state.replace(positions=r)), state.replace(positions=r))  # noqa: E731
    born = jax.jacfwd(full)(state.positions)
    claim("A-born-toy-chain", abs(float(born[0, 0, 0]) + 0.739519))
    assert born[0, 0, 0] == pytest.approx(-0.739519, abs=1e-6)
    np.testing.assert_allclose(born.sum(1), 0.0, atol=1e-12)


def test_open_circuit_axis_is_differentiated_too():
    """Forces and stress with D_z fixed; the derivative in D_z/ε0 is ε0 V times the internal field."""
    model = ToyModel()
    enthalpy = make_enthalpy(model, Boundary(kinds=("E", "E", "D")))
    state = model.prepare(rattled_triclinic(), skin=0.3)
    value = jax.jit(lambda x: enthalpy(model.params, state.replace(positions=x[0]), x[1], x[2]))
    _, forces, stress = energy_forces_stress(enthalpy, model.params, state, FIELD)
    rest = at_rest((state.positions,))
    for index in [(0, 2), (3, 1)]:
        assert_relative(-forces[index], difference(value, rest, unit("positions", index, rest), 1e-3))
    for index in np.ndindex(3, 3):
        if (2 in index) == (index == (2, 2)):  # D along z does not turn with the cell: xz and yz exert a torque
            assert_relative(stress[index] * state.volume, difference(value, rest, unit("strain", index, rest), 5e-4))
    short_circuit = polarization(make_enthalpy(model), model.params, state, jnp.zeros(3))
    inner = (FIELD[2] - short_circuit[2] / EPSILON_0) / model.config.eps_inf
    assert_relative(difference(value, rest, unit("field", 2, rest), 1e-2), EPSILON_0 * state.volume * inner)


def test_vmap_over_fields_equals_a_loop():
    model = ToyModel()
    state = model.prepare(rattled_triclinic())
    fields = jnp.asarray(np.random.default_rng(1).normal(0, 0.02, (3, 3)))
    of_field = functools.partial(energy_forces_stress, make_enthalpy(model), model.params, state)
    for together, one_by_one in zip(jax.vmap(of_field)(fields), zip(*map(of_field, fields))):
        np.testing.assert_allclose(together, jnp.stack(one_by_one), rtol=1e-10, atol=1e-12)


def test_polarization_lattice():
    cell = jnp.array([[3.9, 0.1, 0.0], [0.2, 4.0, 0.3], [0.0, -0.1, 4.2]])
    quantum, p = polarization_quantum(cell), jnp.array([0.01, -0.02, 0.03])
    np.testing.assert_allclose(quantum[2] * jnp.linalg.det(cell), cell[2], rtol=1e-14)
    far = p + jnp.array([2.0, -3.0, 1.0]) @ quantum
    np.testing.assert_allclose(wrap_polarization(far, cell), p, atol=1e-14)
    np.testing.assert_allclose(wrap_polarization(p, cell, reference=far + 0.001), far, atol=1e-14)


def test_minimum_image_in_a_skewed_cell_is_the_shortest():
    square = np.diag([4.0, 4.0, 4.0])
    skewed = jnp.asarray(np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]]) @ square)  # the same lattice
    for m in np.random.default_rng(0).uniform(-9, 9, (50, 3)):
        folded = minimum_image_dipole(jnp.asarray(m), skewed)
        np.testing.assert_allclose(folded, m - 4 * np.round(m / 4), atol=1e-12)
    jacobian = jax.jacobian(minimum_image_dipole)(jnp.array([5.0, 1.0, -7.0]), skewed)
    np.testing.assert_allclose(jacobian, np.eye(3), atol=1e-15)
