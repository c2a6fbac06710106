"""Constant-stress integrators on a crystal whose distribution is known: what they conserve, and what they sample."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.spatial.transform import Rotation

from ferrojax.dynamics import npt_langevin, npt_nose_hoover, npt_nose_hoover_invariant
from ferrojax.dynamics.barostat import FREEDOM, external_energy, external_push, project, stress_tensor
from ferrojax.dynamics.npt_langevin import remove_centre_of_mass
from ferrojax.errors import FerrojaxError
from ferrojax.units import BOLTZMANN, FEMTOSECOND

REPEAT = 3
ATOMS = REPEAT**3
HEAT, DT = BOLTZMANN * 400.0, 2.0 * FEMTOSECOND
DEPTH, RANGE, LENGTH = 0.4, 1.5, 2.7  # eV, 1/Å, Å
VOIGT = (jnp.array([0, 1, 2, 1, 0, 0]), jnp.array([0, 1, 2, 2, 2, 1]))
STRESS = jnp.array([0.003, -0.002, 0.001, 0.0015, -0.001, 0.001])


def crystal():
    """Face-centred cubic, primitive cells, turned so that no elastic constant vanishes: cell, fractional sites, bonds and their images."""
    axes = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]) * LENGTH / np.sqrt(2)
    turned = axes @ Rotation.from_euler("xyz", [0.4, -0.3, 0.7]).as_matrix().T
    steps = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, -1, 0], [1, 0, -1], [0, 1, -1]])
    sites = np.array(list(np.ndindex((REPEAT,) * 3)))
    ends = sites[:, None] + steps
    first = np.repeat(np.arange(ATOMS), len(steps))
    second = np.ravel_multi_index((ends % REPEAT).reshape(-1, 3).T, (REPEAT,) * 3)
    return REPEAT * turned, sites / REPEAT, first, second, (ends // REPEAT).reshape(-1, 3)


CELL, SITES, FIRST, SECOND, IMAGES = (jnp.asarray(x) for x in crystal())
MASS = jnp.asarray(np.random.default_rng(1).uniform(20.0, 60.0, size=(ATOMS, 1)))


def strain_of(cell):
    """η of the cell, Voigt with doubled shears."""
    deformation = jnp.linalg.solve(CELL, cell)
    eta = 0.5 * (deformation @ deformation.T - jnp.eye(3))
    return eta[VOIGT] * jnp.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])


def energy(position, cell):
    """Morse bonds between nearest neighbours: anharmonic, so that the chains can heat every mode."""
    bonds = position[SECOND] - position[FIRST] + IMAGES @ cell
    return DEPTH * jnp.sum((1.0 - jnp.exp(-RANGE * (jnp.linalg.norm(bonds, axis=1) - LENGTH))) ** 2)


def compliance():
    """S = (∂²U/∂η²)⁻¹ V₀: every site is a centre of inversion, so no internal strain relaxes it further."""

    def of(eta):
        tensor = (eta * jnp.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.5]))[jnp.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])]
        deformation = jnp.linalg.cholesky(jnp.eye(3) + 2 * tensor)
        return energy(SITES @ CELL @ deformation, CELL @ deformation)

    return float(jnp.linalg.det(CELL)) * np.linalg.inv(jax.hessian(of)(jnp.zeros(6)))


def integrator(kind, cell="triclinic", stress=0.0, dt=DT, heat=HEAT):
    period = 1500 * FEMTOSECOND
    if kind == "nose-hoover":
        return npt_nose_hoover(energy, dt, heat, stress, cell, tau=100 * FEMTOSECOND, tau_cell=period)
    return npt_langevin(energy, dt, heat, stress, cell, gamma=0.01 / FEMTOSECOND, gamma_cell=0.01 / FEMTOSECOND, tau_cell=period)


def begin(init, key, heat=HEAT):
    draw, noise = jax.random.split(key)
    momenta = remove_centre_of_mass(jnp.sqrt(MASS * heat) * jax.random.normal(draw, (ATOMS, 3)), MASS)
    return init(noise, SITES @ CELL, CELL, MASS, momenta)


def trajectory(kind, steps, every=1, replicas=1, seed=0, heat=HEAT, **settings):
    """States at every ``every``-th step, (replicas, steps / every)."""
    init, apply = integrator(kind, heat=heat, **settings)

    def one(key):
        def block(state, _):
            state = jax.lax.fori_loop(0, every, lambda _, s: apply(s), state)
            return state, state

        return jax.lax.scan(block, begin(init, key, heat), length=steps // every)[1]

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(seed), replicas))


@pytest.mark.parametrize("cell", ["triclinic", "film"])
def test_the_invariant_is_conserved_to_second_order(cell):
    """Fluctuation shrinks as dt², without a drift beyond it."""
    cell_stress = STRESS if cell == "triclinic" else -0.003
    spread = {}
    for halvings in (0, 1):
        dt = 0.5 * DT / 2**halvings
        states = trajectory("nose-hoover", 300 * 2**halvings, 2**halvings, cell=cell, stress=cell_stress, dt=dt)
        values = jax.vmap(lambda s: npt_nose_hoover_invariant(s, HEAT, cell_stress))(jax.tree.map(lambda x: x[0], states))
        spread[halvings] = float(values.std())
    assert spread[0] / ATOMS < 1e-4
    assert spread[0] / spread[1] == pytest.approx(4.0, rel=0.15)


def test_the_push_is_the_slope_of_the_external_energy():
    stress = stress_tensor(STRESS, jnp.float64)
    cell = CELL @ (jnp.eye(3) + jnp.array([[0.02, 0.01, 0.0], [-0.01, 0.03, 0.02], [0.0, 0.01, -0.02]]))
    slope = jax.grad(lambda x: external_energy(cell @ x, CELL, stress))(jnp.eye(3))
    push = external_push(cell, CELL, stress)
    np.testing.assert_allclose(slope, -(push + push.T) / 2, atol=1e-12)
    np.testing.assert_allclose(external_push(CELL, CELL, stress), stress * jnp.linalg.det(CELL), atol=1e-12)
    pressure = external_energy(cell, CELL, stress_tensor(-0.01, jnp.float64))
    np.testing.assert_allclose(pressure, 0.01 * jnp.linalg.det(cell))


def test_projections_are_projections():
    tensor = jnp.asarray(np.random.default_rng(2).normal(size=(3, 3)))
    for kind, freedom in FREEDOM.items():
        once = project(kind, tensor)
        np.testing.assert_allclose(project(kind, once), once, atol=1e-15)
        basis = jax.vmap(lambda x, kind=kind: project(kind, x.reshape(3, 3)).ravel())(jnp.eye(9))
        assert np.linalg.matrix_rank(basis) == freedom
        np.testing.assert_allclose(basis, basis.T, atol=1e-15)  # orthogonal, so that noise is isotropic in what is left


def test_cells_change_only_as_allowed():
    kinds = ("isotropic", "orthorhombic", "film")
    flat = {kind: np.asarray(trajectory("langevin", 40, 40, cell=kind, stress=-0.01).cell[0, -1]) for kind in kinds}
    deform = {kind: np.linalg.solve(np.asarray(CELL), cell) for kind, cell in flat.items()}
    np.testing.assert_allclose(deform["isotropic"], deform["isotropic"][0, 0] * np.eye(3), atol=1e-13)
    assert abs(deform["isotropic"][0, 0] - 1) > 1e-5
    np.testing.assert_allclose(deform["orthorhombic"], np.diag(np.diag(deform["orthorhombic"])), atol=1e-13)
    np.testing.assert_allclose(deform["film"][:2], np.eye(3)[:2], atol=1e-13)  # a and b, were they in the plane, do not change
    assert abs(deform["film"][2] - np.eye(3)[2]).min() > 1e-6


def test_an_imposed_deformation_carries_the_atoms_along():
    deform = jnp.eye(3) + 1e-3 * jnp.array([[1.0, 0.2, 0.0], [0.0, -1.0, 0.3], [0.1, 0.0, 0.5]])
    for kind in ("nose-hoover", "langevin"):
        init, apply = integrator(kind)
        state = begin(init, jax.random.key(3))
        plain, strained = apply(state), apply(state, deform=deform)
        # The stochastic form imposes half of it before and half after the noise, which do not quite commute.
        np.testing.assert_allclose(strained.cell, plain.cell @ deform, atol=1e-12 if kind == "nose-hoover" else 1e-6)
        np.testing.assert_allclose(strained.position, plain.position @ deform, atol=1e-5)


def test_unknown_cells_and_tilted_films_are_refused():
    from ferrojax.dynamics.barostat import check_cell_kind

    with pytest.raises(FerrojaxError, match="film.*isotropic"):
        check_cell_kind("hexagonal", np.eye(3))
    with pytest.raises(FerrojaxError, match="xy plane"):
        check_cell_kind("film", np.array([[1, 0, 0.1], [0, 1, 0], [0, 0, 1]]))


@functools.cache
def samples(kind, stressed=False, heat=HEAT):
    """States of 32 replicas, 300 each and 80 fs apart, after 8 ps on the way to equilibrium."""
    states = trajectory(kind, 16000, 40, replicas=32, seed=5, heat=heat, stress=STRESS if stressed else 0.0)
    return jax.tree.map(lambda x: np.asarray(x[:, 100:]) if jnp.issubdtype(x.dtype, jnp.floating) else None, states)


def mean_and_error(values):
    """Mean over replicas and samples, and its standard error from the replicas, which are independent."""
    each = np.asarray(values).mean(1)
    return each.mean(0), each.std(0, ddof=1) / np.sqrt(len(each))


KINDS = ("nose-hoover", "langevin")


@pytest.mark.statistical
@pytest.mark.parametrize("kind", KINDS)
def test_kinetic_energy_is_chi_squared(kind, claim):
    states = samples(kind)
    doubled = (states.momentum**2 / states.mass).sum((-1, -2)) / HEAT
    thinned = doubled[:, ::10].ravel()  # 0.8 ps apart
    p = scipy.stats.kstest(thinned, scipy.stats.chi2(3 * ATOMS - 3).cdf).pvalue
    claim("B-npt-kinetic-distribution", p)


def strain_covariance(states):
    """Mean over the samples of the products of the strain fluctuations, 6 x 6, and its error."""
    eta = np.asarray(jax.jit(jax.vmap(jax.vmap(strain_of)))(jnp.asarray(states.cell)))
    fluctuation = eta - eta.mean((0, 1))
    return mean_and_error(fluctuation[..., :, None] * fluctuation[..., None, :])


@pytest.mark.statistical
def test_cell_fluctuates_as_its_compliance_says(claim):
    """cov(η) = kT/V₀ S, six by six, where the crystal is nearly harmonic; the chains would take too long to heat it there."""
    heat = 0.3 * HEAT
    covariance, error = strain_covariance(samples("langevin", heat=heat))
    expected = heat / float(jnp.linalg.det(CELL)) * compliance()
    scale = np.sqrt(np.diag(expected)[:, None] * np.diag(expected))
    # The crystal is a few percent softer at this temperature than at rest.
    assert (np.abs(covariance - expected) < 4 * error + 0.06 * scale).all()
    assert (error / scale < 0.03).all()
    claim("B-npt-compliance", np.abs((covariance - expected) / scale).max())


@pytest.mark.statistical
def test_the_two_barostats_fluctuate_alike():
    """Where it is anharmonic enough for the chains to reach every mode."""
    (one, error), (other, other_error) = (strain_covariance(samples(kind)) for kind in KINDS)
    scale = np.sqrt(np.diag(one)[:, None] * np.diag(one))
    combined = np.hypot(error, other_error)
    assert (combined / scale < 0.06).all()
    assert (np.abs(one - other) < 4 * combined).all()


@pytest.mark.statistical
@pytest.mark.parametrize("kind", KINDS)
def test_mean_internal_stress_is_the_external(kind, claim):
    """⟨V σ_int⟩ is V₀ Xᵀ T X - pV; both from the same samples."""
    states = samples(kind, stressed=True)
    momentum, cell = jnp.asarray(states.momentum), jnp.asarray(states.cell)
    kinetic = jnp.einsum("rsia,rsib->rsab", momentum, momentum / states.mass)
    outside = jax.vmap(jax.vmap(lambda h: external_push(h, CELL, stress_tensor(STRESS, jnp.float64))))(cell)
    excess = np.asarray(jnp.asarray(states.torsion) - kinetic - outside)
    mean, error = mean_and_error((excess + excess.swapaxes(-1, -2)) / 2)
    # d/dt of the mean rate vanishes, so the excess is the mean of Σ p²/m / N_f: kT on the diagonal.
    deviation = np.abs(mean - HEAT * np.eye(3))
    assert (error < 5 * HEAT).all()
    claim("B-npt-mean-stress", float((deviation / error).max()))


@pytest.mark.statistical
def test_the_two_barostats_agree():
    volumes = [mean_and_error(np.linalg.det(samples(kind).cell)) for kind in KINDS]
    difference, error = volumes[0][0] - volumes[1][0], np.hypot(volumes[0][1], volumes[1][1])
    assert abs(difference) < 4 * error and error / volumes[0][0] < 1e-3
