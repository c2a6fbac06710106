"""Point charges: Madelung constants, independent lattice sums, derivatives and invariances."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms

from ferrojax.electrostatics.ewald import k_cutoff
from ferrojax.electrostatics.point import point_charge_energy, point_smearing
from ferrojax.errors import FerrojaxError
from ferrojax.state import State, apply_strain
from ferrojax.topology import with_topology
from ferrojax.units import COULOMB

CELL = np.array([[5.0, 0.3, 0.1], [0.2, 6.0, -0.4], [0.5, -0.2, 7.0]])
POSITIONS = np.array([[0.1, 0.2, 0.3], [2.2, 1.1, 0.5], [3.1, 4.0, 2.2], [1.0, 3.0, 5.5], [4.0, 2.5, 4.4]])
CHARGES = np.array([1.2, -0.9, 0.4, -1.1, 0.4])
TOLERANCE = 1e-13

point_charges = jax.jit(point_charge_energy, static_argnums=(2, 3))


def prepare(positions, cell, cutoff, tolerance=TOLERANCE, numbers=None):
    numbers = np.ones(len(positions)) if numbers is None else numbers
    state = State(jnp.asarray(positions), jnp.asarray(cell), jnp.asarray(numbers, jnp.int32))
    return with_topology(state, cutoff, k_cutoff=k_cutoff(point_smearing(cutoff, tolerance), tolerance))


def energy(charges=CHARGES, positions=POSITIONS, cell=CELL, cutoff=9.0):
    state = prepare(np.asarray(positions, float), np.asarray(cell, float), cutoff)
    return float(point_charges(jnp.asarray(charges, float), state, point_smearing(cutoff, TOLERANCE), TOLERANCE))


def lattice_sum(charges, positions, cell, levels=6):
    """Brute force: direct sum of q q exp(-εr²)/r over all images, extrapolated to ε = 0.

    For a neutral cell the sum at finite ε differs from the tin-foil energy by a power
    series in ε, removed term by term (Richardson); no Ewald splitting is involved.
    """
    values = []
    for level in range(levels):
        epsilon = 0.02 / 2**level
        reach = math.sqrt(32 / epsilon)
        n = np.ceil(reach * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int) + 1
        images = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in n), indexing="ij"), -1).reshape(-1, 3) @ cell
        images = images[np.linalg.norm(images, axis=1) < reach + 15]
        total = 0.0
        for i, q in enumerate(charges):
            for j, p in enumerate(charges[: i + 1]):
                r = np.linalg.norm(images + positions[j] - positions[i], axis=1)
                r = r[r > 0]
                total += (0.5 if i == j else 1.0) * q * p * np.sum(np.exp(-epsilon * r**2) / r)
        values.append(total)
    for order in range(1, levels):
        values = [(2**order * b - a) / (2**order - 1) for a, b in zip(values, values[1:])]
    return COULOMB * values[0]


def jax_pme_energy(charges, positions, cell, cutoff):
    from jaxpme import Ewald

    calculator = Ewald(prefactor=COULOMB)
    atoms = Atoms("H" * len(charges), positions=positions, cell=cell, pbc=True)
    smearing = cutoff / 8
    arguments = calculator.prepare(atoms, charges, cutoff, lr_wavelength=smearing / 1.8, smearing=smearing)
    return float(jax.jit(calculator.energy, static_argnums=8)(*arguments[:-1]))


@pytest.mark.parametrize("cutoff", [3.5, 5.0])
def test_madelung_constants(cutoff, claim):
    """NaCl and CsCl per nearest-neighbour distance; ideal ABO3 (2, 4, -2) per formula unit and lattice constant."""
    rock = np.array(list(np.ndindex(2, 2, 2)), float)
    charges = np.prod(1 - 2 * rock, axis=1)
    sodium_chloride = -energy(charges, rock, 2 * np.eye(3), cutoff) / (4 * COULOMB)
    assert sodium_chloride == pytest.approx(1.747564594633, abs=1e-10)
    cesium = [[0, 0, 0], [0.5, 0.5, 0.5]]
    madelung = -energy([1, -1], cesium, np.eye(3), cutoff) / COULOMB * math.sqrt(3) / 2
    assert madelung == pytest.approx(1.762674773071, abs=1e-10)
    claim("A-ewald-madelung", max(abs(sodium_chloride / 1.747564594633 - 1), abs(madelung / 1.762674773071 - 1)))
    perovskite = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    assert energy([2, 4, -2, -2, -2], perovskite, np.eye(3), cutoff) / COULOMB == pytest.approx(-49.509872113359, abs=1e-10)


def test_triclinic_cell_against_brute_force_and_jax_pme(claim):
    value = energy()
    brute_force, jax_pme = lattice_sum(CHARGES, POSITIONS, CELL), jax_pme_energy(CHARGES, POSITIONS, CELL, 12.0)
    assert value == pytest.approx(brute_force, rel=1e-8)
    assert value == pytest.approx(jax_pme, rel=1e-8)
    claim("A-ewald-brute-force", abs(value / brute_force - 1))
    claim("A-ewald-jax-pme", abs(value / jax_pme - 1))


def test_net_charge_against_jax_pme():
    charged = CHARGES + 0.2
    assert energy(charged) == pytest.approx(jax_pme_energy(charged, POSITIONS, CELL, 12.0), rel=1e-8)


def test_energy_does_not_depend_on_the_splitting():
    reference = energy(cutoff=9.0)
    for cutoff in (4.0, 6.0, 13.0):
        assert energy(cutoff=cutoff) == pytest.approx(reference, abs=1e-10)


def strained_energy(state, smearing, tolerance):
    def f(charges, positions, strain):
        return point_charge_energy(charges, apply_strain(state.replace(positions=positions), strain), smearing, tolerance)

    return f


def test_forces_stress_and_higher_derivatives_match_finite_differences():
    # Loose enough for pairs crossing the cutoff to matter less than the finite differences.
    smearing = point_smearing(8.0, 1e-16)
    state = prepare(POSITIONS, CELL, 8.0, 1e-16)
    f = strained_energy(state, smearing, 1e-16)
    rng = np.random.default_rng(5)
    dq, dr, de = rng.normal(size=5), rng.normal(size=(5, 3)), 0.1 * rng.normal(size=(3, 3))

    def along(x, y, z):
        return f(CHARGES + z * dq, POSITIONS + x * dr, y * de)

    first = jax.grad(along, 0)
    second = jax.grad(first, 1)
    functions = jax.jit(lambda *x: jnp.stack([along(*x), first(*x), second(*x), jax.grad(second, 2)(*x)]))
    exact, step = np.asarray(functions(0.0, 0.0, 0.0)), 1e-4
    assert np.isfinite(exact).all()
    for order in range(3):
        at = [[s * step if i == order else 0.0 for i in range(3)] for s in (-2, -1, 1, 2)]
        values = [float(functions(*x)[order]) for x in at]
        difference = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
        assert exact[order + 1] == pytest.approx(difference, abs=1e-9 * np.abs(exact[: order + 2]).max())


def test_trace_of_the_virial_is_the_energy():
    state = prepare(POSITIONS, CELL, 9.0)
    f = strained_energy(state, point_smearing(9.0, TOLERANCE), TOLERANCE)
    value, gradient = jax.jit(jax.value_and_grad(f, 2))(jnp.asarray(CHARGES), state.positions, jnp.zeros((3, 3)))
    assert -float(jnp.trace(gradient)) == pytest.approx(float(value), rel=1e-10)
    np.testing.assert_allclose(gradient, gradient.T, atol=1e-10)  # no torque


def test_cubic_site_has_the_tin_foil_force_constant():
    """Rigid CsCl sublattices: K = -(4π/3) k_e q²/V, the -2π/3 of the dipole sum; its k = 0 term is dropped."""
    state = prepare(np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), np.eye(3), 5.0)
    smearing = point_smearing(5.0, TOLERANCE)

    def f(u):
        moved = state.replace(positions=state.positions.at[1].add(u))
        return point_charge_energy(jnp.array([1.0, -1.0]), moved, smearing, TOLERANCE)

    hessian = jax.jit(jax.hessian(f))(jnp.zeros(3))
    np.testing.assert_allclose(hessian, -4 * math.pi / 3 * COULOMB * np.eye(3), atol=1e-9)


def test_padding_leaves_every_derivative_finite_and_unchanged():
    smearing = point_smearing(9.0, TOLERANCE)
    state = prepare(POSITIONS, CELL, 9.0)
    padded = prepare(np.concatenate([POSITIONS, np.zeros((2, 3))]), CELL, 9.0, numbers=[1] * 5 + [0] * 2)
    charges = jnp.concatenate([jnp.asarray(CHARGES), jnp.zeros(2)])

    def force_and_hessian(f, q, x):
        return jax.jit(lambda q, x: (jax.grad(f, 1)(q, x, jnp.zeros((3, 3))), jax.hessian(f, 1)(q, x, jnp.zeros((3, 3)))))(q, x)

    g, h = force_and_hessian(strained_energy(state, smearing, TOLERANCE), jnp.asarray(CHARGES), state.positions)
    gp, hp = force_and_hessian(strained_energy(padded, smearing, TOLERANCE), charges, padded.positions)
    np.testing.assert_allclose(gp[:5], g, atol=1e-10)
    np.testing.assert_allclose(hp[:5, :, :5], h, atol=1e-9)
    assert np.isfinite(hp).all() and not np.any(gp[5:]) and not np.any(hp[5:])


def test_translation_wrapping_supercell_and_sheared_cell_change_nothing():
    reference = energy()
    images = np.array([[1, 0, 0], [0, -2, 0], [0, 0, 0], [3, 1, -1], [0, 0, 5]])
    assert energy(positions=POSITIONS + images @ CELL) == pytest.approx(reference, abs=1e-10)
    assert energy(positions=POSITIONS + [0.3, -1.1, 0.7]) == pytest.approx(reference, abs=1e-10)
    shear = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]])
    assert energy(cell=shear @ CELL) == pytest.approx(reference, abs=1e-10)
    double = energy(np.tile(CHARGES, 2), np.concatenate([POSITIONS, POSITIONS + CELL[1]]), np.diag([1, 2, 1]) @ CELL)
    assert double == pytest.approx(2 * reference, abs=1e-10)


def test_unconverged_sums_are_refused():
    state = with_topology(State(jnp.asarray(POSITIONS), jnp.asarray(CELL), jnp.ones(5, jnp.int32)), 5.0, k_cutoff=3.0)
    with pytest.raises(FerrojaxError, match="real-space Coulomb sum ends at 5 Å"):
        point_charge_energy(jnp.asarray(CHARGES), state, 1.5)
    with pytest.raises(FerrojaxError, match="reciprocal Coulomb sum ends at 3 1/Å"):
        point_charge_energy(jnp.asarray(CHARGES), state, 0.5)
    with pytest.raises(FerrojaxError, match="no topology"):
        point_charge_energy(jnp.asarray(CHARGES), state.replace(topology=None), 0.5)
