"""Time series, phases and fluctuations against processes whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax import analysis, effective
from ferrojax.dynamics.records import Records
from ferrojax.errors import FerrojaxError
from ferrojax.response.tensors import response_tensors
from ferrojax.units import BOLTZMANN, EPSILON_0, GPA


def autoregressive(coefficient, samples, seed):
    """x_t = φ x_{t-1} + noise, of unit variance; g = (1 + φ)/(1 - φ)."""
    noise = np.random.default_rng(seed).normal(size=samples) * np.sqrt(1 - coefficient**2)
    x = np.empty(samples)
    x[0] = noise[0] / np.sqrt(1 - coefficient**2)
    for t in range(1, samples):
        x[t] = coefficient * x[t - 1] + noise[t]
    return x


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.9, 0.98])
def test_correlation_time_of_an_autoregressive_process(coefficient):
    times = [analysis.correlation_time(autoregressive(coefficient, 50_000, seed)) for seed in range(4)]
    assert np.mean(times) == pytest.approx((1 + coefficient) / (1 - coefficient), rel=0.1)


def test_error_bars_cover_the_truth_as_often_as_they_should():
    means = [analysis.mean(autoregressive(0.9, 4000, seed)) for seed in range(300)]
    pulls = np.array([m.value / m.error for m in means])
    # Standard normal: the spread of 300 pulls is 1 to 4 %, the estimated error makes it slightly larger.
    assert 0.88 < pulls.std() < 1.15 and abs(pulls.mean()) < 4 / np.sqrt(300)


def test_a_transient_is_cut_off():
    x = autoregressive(0.5, 2000, 1)
    x[:400] += np.linspace(20, 0, 400)
    assert 200 <= analysis.equilibrated(x) <= 700
    assert analysis.equilibrated(autoregressive(0.5, 2000, 2)) <= 400


def test_a_constant_series_has_no_error():
    found = analysis.mean(np.full(50, 3.7))
    assert found.value == pytest.approx(3.7) and found.error < 1e-12 and found.correlation == 1.0
    assert str(analysis.mean(np.arange(20.0) % 2)).startswith("0.5 ±")


@pytest.mark.parametrize(
    "bad, match", [(np.zeros(3), "10 samples"), (np.zeros((20, 2)), "shape"), ([1.0] * 15 + [np.nan] * 5, "sample 15")]
)
def test_bad_series_are_refused(bad, match):
    with pytest.raises(FerrojaxError, match=match):
        analysis.mean(bad)


def test_phases_by_components():
    rng = np.random.default_rng(0)
    for count, phase in enumerate(analysis.PHASES):
        target = np.array([0.1] * count + [0.0] * (3 - count))
        vectors = rng.permutation(target) * rng.choice([-1, 1], 3) + 0.01 * rng.normal(size=(500, 3))
        assert analysis.recognise(analysis.order_parameter(vectors, window=20), 0.05) == phase
    found = analysis.transitions([100, 200, 300], ["rhombohedral", "rhombohedral", "cubic"])
    assert found == [("rhombohedral", "cubic", 250.0)]
    with pytest.raises(FerrojaxError, match="2 temperatures but 1 phases"):
        analysis.transitions([1, 2], ["cubic"])
    with pytest.raises(FerrojaxError, match="threshold"):
        analysis.recognise([0, 0, 1], 0.0)


def test_responses_of_a_harmonic_dipole():
    """F = ½ k x² + ½ c s² + g x s per cell, M = q x: χ and d follow from the inverse of the matrix."""
    k, c, g, q, kelvin, volume = 2.0, 5.0, 1.2, 3.0, 300.0, 64.0
    matrix = np.array([[k, g], [g, c]])
    rng = np.random.default_rng(3)
    x, s = rng.multivariate_normal([0, 0], BOLTZMANN * kelvin * np.linalg.inv(matrix), size=200_000).T
    dipole, strain = np.zeros((len(x), 3)), np.zeros((len(x), 3, 3))
    dipole[:, 2], strain[:, 2, 2] = q * x, s
    inverse = np.linalg.inv(matrix)
    chi = analysis.susceptibility(dipole, volume, kelvin)
    assert chi[2, 2] == pytest.approx(q**2 * inverse[0, 0] / (EPSILON_0 * volume), rel=0.02)
    assert np.abs(chi[:2]).max() == 0.0
    piezo = analysis.piezoelectric(dipole, strain, kelvin)
    assert piezo[2, 2] == pytest.approx(100 * q * inverse[0, 1], rel=0.02)  # pC/N
    energy = 0.5 * np.einsum("ni,ij,nj->n", np.stack([x, s], 1), matrix, np.stack([x, s], 1))
    assert analysis.heat_capacity(energy, kelvin) == pytest.approx(BOLTZMANN, rel=0.03)  # two quadratic degrees: k
    with pytest.raises(FerrojaxError, match="temperature above zero"):
        analysis.heat_capacity(energy, 0.0)


def records_of(cells, dipoles):
    """Records of a run that hold these cells and dipoles, and nothing else."""
    empty = np.zeros(len(cells))
    blank = dict.fromkeys(("step", "time", "potential", "total", "conserved", "temperature", "field", "stress"), empty)
    return Records(**blank, dipole=np.asarray(dipoles), cell=np.asarray(cells))


def test_thermal_tensors_of_gaussian_fluctuations():
    """Dipole and strain of a quadratic energy ½ y·K y with a random K, in a skewed cell with a large dipole: cov = kT K⁻¹."""
    rng, kelvin, count = np.random.default_rng(5), 1.0, 200_000
    root = rng.normal(size=(9, 9))
    inverse = np.linalg.inv(root @ root.T + 3 * np.eye(9)) * np.outer([1.0] * 3 + [0.05] * 6, [1.0] * 3 + [0.05] * 6)
    y = rng.multivariate_normal(np.zeros(9), BOLTZMANN * kelvin * inverse, size=count)
    cell = np.array([[4.0, 0.1, 0.0], [0.3, 4.2, 0.0], [0.0, -0.2, 4.5]])
    strain = np.zeros((count, 3, 3))
    for k, (i, j) in enumerate(effective.lattice.VOIGT):
        strain[:, i, j] += y[:, 3 + k] / 2
        strain[:, j, i] += y[:, 3 + k] / 2
    deformation = np.eye(3) + strain
    cells = np.einsum("ab,ncb->nac", cell, deformation)
    dipoles = np.einsum("nab,nb->na", deformation, [3.0, -2.0, 5.0] + y[:, :3])
    found, volume = analysis.thermal_tensors(records_of(cells, dipoles), kelvin), np.linalg.det(cell)

    def close(value, expected):  # 200,000 samples: 0.3 % of a variance
        np.testing.assert_allclose(value, expected, atol=0.015 * np.abs(expected).max())

    close(found.chi_free, inverse[:3, :3] / (EPSILON_0 * volume))
    close(found.d, 100 * inverse[:3, 3:])
    close(found.compliance, volume * inverse[3:, 3:] * GPA * 1e3)
    with pytest.raises(FerrojaxError, match="the cell did not move"):
        analysis.thermal_tensors(records_of(np.array([cell] * 20), dipoles[:20]), kelvin)
    with pytest.raises(FerrojaxError, match="1 records after discarding 19 of 20"):
        analysis.thermal_tensors(records_of(cells[:20], dipoles[:20]), kelvin, discard=19)


@pytest.mark.slow
def test_harmonic_fluctuations_give_the_tensors_of_the_relaxed_crystal():
    """PbTiO3 of the effective Hamiltonian near 0 K: Gaussian modes and strain of its Hessian against response_tensors."""
    params = effective.load_parameters("pbtio3-lda")
    well, enthalpy = effective.well(params, (0, 0, 1)), effective.make_enthalpy((1, 1, 1))
    state = effective.prepare(params, well.state)
    expected = response_tensors(enthalpy, params, state, well.strain)

    def energy(y):
        return enthalpy(params, state.at(y[None, :3]), effective.strain_tensor(y[3:]), jnp.zeros(3))

    rest = jnp.concatenate([state.coordinates[0], effective.voigt_strain(well.strain)])
    covariance = BOLTZMANN * 0.1 * np.linalg.inv(jax.hessian(energy)(rest))
    y = np.random.default_rng(0).multivariate_normal(rest, covariance, size=200_000)
    strain = np.array(jax.vmap(effective.strain_tensor)(jnp.asarray(y[:, 3:])))
    dipole, volume = float(params.charge) * y[:, :3], expected.volume
    chi = analysis.susceptibility(dipole, volume, 0.1)
    np.testing.assert_allclose(chi, expected.chi_free - expected.chi_clamped, atol=0.015 * np.abs(expected.chi_free).max())
    np.testing.assert_allclose(analysis.piezoelectric(dipole, strain, 0.1), expected.d, atol=0.015 * np.abs(expected.d).max())
    np.testing.assert_allclose(
        analysis.compliance(strain, volume, 0.1), expected.compliance, atol=0.015 * np.abs(expected.compliance).max()
    )
