"""Reciprocal Ewald energy of Gaussian charges and dipoles against direct sums and finite differences."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax.electrostatics.ewald import ewald_energy, inverse_cell, k_cutoff
from ferrojax.topology import reciprocal_box
from ferrojax.units import COULOMB

CELL = np.array([[5.0, 0.3, 0.1], [0.2, 6.0, -0.4], [0.5, -0.2, 7.0]])
POSITIONS = np.array([[0.1, 0.2, 0.3], [2.2, 1.1, 0.5], [3.1, 4.0, 2.2], [1.0, 3.0, 5.5], [4.0, 2.5, 4.4]])
CHARGES = np.array([1.2, -0.9, 0.4, -1.1, 0.4])
DIPOLES = np.random.default_rng(0).normal(0, 0.3, (5, 3))
SIGMA = 0.9

ewald = jax.jit(ewald_energy, static_argnames=("kgrid", "smearing"))


def kgrid_for(cell, sigma=SIGMA, tolerance=1e-14):
    return reciprocal_box(np.asarray(cell), k_cutoff(sigma, tolerance))


def energy(charges=CHARGES, positions=POSITIONS, cell=CELL, dipoles=None, kgrid=None):
    arrays = (jnp.asarray(x) for x in (charges, positions, cell))
    dipoles = None if dipoles is None else jnp.asarray(dipoles)
    return float(ewald(*arrays, kgrid or kgrid_for(cell), SIGMA, dipoles))


def direct_sum(kgrid, dipoles):
    """S(k) and the sum of PHYSICS 2.1 over the full box, one k at a time; also the virial in closed form."""
    box = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in kgrid), indexing="ij"), -1).reshape(-1, 3)
    total, virial = 0.0, np.zeros((3, 3))
    for n in box[np.any(box != 0, axis=1)]:
        k = 2 * np.pi * np.linalg.solve(CELL, n)
        structure = np.sum((CHARGES + 1j * dipoles @ k) * np.exp(1j * POSITIONS @ k))
        term = np.exp(-(SIGMA**2) * k @ k) / (k @ k) * abs(structure) ** 2
        total += term
        virial += term * (np.eye(3) - 2 * np.outer(k, k) * (1 / (k @ k) + SIGMA**2))
    factor = 2 * np.pi * COULOMB / np.linalg.det(CELL)
    return factor * total, factor * virial


@pytest.mark.parametrize("dipoles", [np.zeros((5, 3)), DIPOLES])
def test_matches_a_direct_sum_over_wave_vectors(dipoles):
    kgrid = (4, 3, 5)  # unequal and unconverged: the box itself must agree
    assert energy(dipoles=dipoles, kgrid=kgrid) == pytest.approx(direct_sum(kgrid, dipoles)[0], rel=1e-12)
    if not dipoles.any():
        assert energy(kgrid=kgrid) == pytest.approx(direct_sum(kgrid, dipoles)[0], rel=1e-12)


def test_virial_matches_its_closed_form():
    def strained(strain):
        deform = jnp.eye(3) + strain.T
        return ewald_energy(jnp.asarray(CHARGES), POSITIONS @ deform, CELL @ deform, (4, 3, 5), SIGMA)

    virial = -jax.jit(jax.grad(strained))(jnp.zeros((3, 3)))
    np.testing.assert_allclose(virial, direct_sum((4, 3, 5), np.zeros((5, 3)))[1], atol=1e-11)


def test_isolated_gaussians_interact_as_erf_of_r_over_two_sigma():
    corners = np.array(list(np.ndindex(2, 2, 2)))
    charges = np.prod(1 - 2 * corners, axis=1).astype(float)  # an octupole: images interact as 1/L^7
    positions = 1.7 * corners
    r = np.linalg.norm(positions[:, None] - positions, axis=-1) + np.eye(8)
    pairs = np.vectorize(math.erf)(r / (2 * SIGMA)) / r
    np.fill_diagonal(pairs, 1 / (math.sqrt(math.pi) * SIGMA))  # its limit at r = 0: the self-interaction
    isolated = 0.5 * COULOMB * charges @ pairs @ charges
    errors = [energy(charges, positions, side * np.eye(3), kgrid=(side, side, side)) - isolated for side in (16, 24)]
    assert abs(errors[1]) < 3e-5
    assert errors[0] / errors[1] == pytest.approx(1.5**7, rel=0.1)


def test_dipoles_are_the_limit_of_charge_pairs():
    errors = []
    for distance in (0.02, 0.01):
        unit = DIPOLES / np.linalg.norm(DIPOLES, axis=1)[:, None]
        charge = np.linalg.norm(DIPOLES, axis=1) / distance
        positions = np.concatenate([POSITIONS, POSITIONS + distance / 2 * unit, POSITIONS - distance / 2 * unit])
        pairs = energy(np.concatenate([CHARGES, charge, -charge]), positions)
        errors.append(pairs - energy(dipoles=DIPOLES))
    assert errors[0] / errors[1] == pytest.approx(4, rel=1e-3)  # second order in the distance
    assert abs(errors[1]) < 1e-4


def directions(seed):
    rng = np.random.default_rng(seed)
    return tuple(jnp.asarray(0.3 * rng.normal(size=np.shape(x))) for x in (CHARGES, POSITIONS, CELL, DIPOLES))


@pytest.mark.parametrize(
    "only", [None, *(pytest.param(i, marks=pytest.mark.slow) for i in range(4))], ids=["mixed", "charges", "positions", "cell", "dipoles"]
)
def test_derivatives_up_to_third_order_match_finite_differences(only):
    """Along three different directions a, b, c in (q, R, cell, p): E_a, E_ab and E_abc."""
    a, b, c = (tuple(d * (only in (None, i)) for i, d in enumerate(directions(seed))) for seed in (1, 2, 3))

    def first(x, y, z):
        point = (p + x * i + y * j + z * k for p, i, j, k in zip((CHARGES, POSITIONS, CELL, DIPOLES), a, b, c))
        charges, positions, cell, dipoles = point
        return ewald_energy(charges, positions, cell, (5, 6, 7), SIGMA, dipoles)

    first_a = jax.grad(first, 0)
    second_ab = jax.grad(first_a, 1)
    functions = jax.jit(lambda *x: jnp.stack([first(*x), first_a(*x), second_ab(*x), jax.grad(second_ab, 2)(*x)]))
    exact, step = np.asarray(functions(0.0, 0.0, 0.0)), 1e-4
    for order in range(3):
        at = [[s * step if i == order else 0.0 for i in range(3)] for s in (-2, -1, 1, 2)]
        values = [float(functions(*x)[order]) for x in at]
        difference = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
        assert exact[order + 1] == pytest.approx(difference, abs=1e-9 * np.abs(exact[: order + 2]).max())


def test_forward_and_reverse_hessians_agree():
    def f(x):
        return ewald_energy(jnp.asarray(CHARGES), x, jnp.asarray(CELL), (4, 5, 6), SIGMA)

    forward, reverse = jax.jit(lambda x: (jax.jacfwd(jax.jacfwd(f))(x), jax.jacrev(jax.jacrev(f))(x)))(jnp.asarray(POSITIONS))
    np.testing.assert_allclose(reverse, forward, atol=1e-10)
    np.testing.assert_allclose(forward.sum(2), 0, atol=1e-10)  # acoustic sum rule


def test_translation_wrapping_and_permutation_change_nothing():
    reference = energy(dipoles=DIPOLES)
    images = np.array([[1, 0, 0], [0, -2, 0], [0, 0, 0], [3, 1, -1], [0, 0, 5]])
    assert energy(positions=POSITIONS + images @ CELL, dipoles=DIPOLES) == pytest.approx(reference, abs=1e-10)
    assert energy(positions=POSITIONS + [0.3, -1.1, 0.7], dipoles=DIPOLES) == pytest.approx(reference, abs=1e-10)
    order = [3, 1, 4, 0, 2]
    permuted = energy(CHARGES[order], POSITIONS[order], dipoles=DIPOLES[order])
    assert permuted == pytest.approx(reference, abs=1e-10)


def test_rotation_supercell_and_sheared_cell_change_nothing():
    reference = energy(dipoles=DIPOLES)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    rotated = energy(CHARGES, POSITIONS @ rotation, CELL @ rotation, DIPOLES @ rotation)
    assert rotated == pytest.approx(reference, abs=1e-10)
    twice = np.concatenate([POSITIONS, POSITIONS + CELL[0]])
    double = energy(np.tile(CHARGES, 2), twice, np.diag([2, 1, 1]) @ CELL, np.tile(DIPOLES, (2, 1)))
    assert double == pytest.approx(2 * reference, abs=1e-10)
    shear = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]])
    assert energy(cell=shear @ CELL, dipoles=DIPOLES) == pytest.approx(reference, abs=1e-10)


@pytest.mark.parametrize(
    ("kind", "wave", "polarization", "half_eigenvalue"),
    [
        ("Γ TO", (0, 0, 0), (0, 0, 1), -2 * math.pi / 3),
        ("X TO", (1, 0, 0), (0, 0, 1), -2.421861),
        ("X LO", (1, 0, 0), (1, 0, 0), 4.843722),
        ("M TO", (1, 1, 0), (0, 0, 1), -2.676789),
        ("M LO", (1, 1, 0), (1, 0, 0), 1.338394),
        ("R", (1, 1, 1), (1, 0, 0), 0.0),
    ],
)
def test_dipole_lattice_has_the_known_eigenvalues(kind, wave, polarization, half_eigenvalue, claim):
    """Half eigenvalues of point dipoles on a simple cubic lattice: Zhong, Vanderbilt and Rabe, PRB 52, 6301 (1995).

    Gaussians of width a/12 on different sites interact as points; each one's
    interaction with itself, k_e p²/(12 √π σ³), is taken off.
    """
    sites = np.array(list(np.ndindex(2, 2, 2)), float)
    sigma, cell = 1 / 12, 2 * np.eye(3)
    signs = np.cos(np.pi * sites @ np.array(wave))
    dipoles = jnp.asarray(signs[:, None] * np.array(polarization, float))
    kgrid = kgrid_for(cell, sigma, 1e-12)
    total = ewald(jnp.zeros(8), jnp.asarray(sites), jnp.asarray(cell), kgrid, sigma, dipoles) / (8 * COULOMB)
    found = float(total) - 1 / (12 * math.sqrt(math.pi) * sigma**3)
    assert found == pytest.approx(half_eigenvalue, abs=1e-6)
    claim("A-ewald-dipole-sums", abs(found - half_eigenvalue))  # the references have six decimals


def test_single_precision_keeps_its_digits_far_from_the_origin():
    far = POSITIONS + np.array([40, -30, 20]) @ CELL
    single = [jnp.asarray(x, jnp.float32) for x in (CHARGES, far, CELL)]
    value = ewald(*single, kgrid_for(CELL), SIGMA)
    assert value.dtype == jnp.float32
    # Positions of 200 Å resolve 1e-5 Å in float32, and forces are of the order of 1 eV/Å.
    assert float(value) == pytest.approx(energy(), abs=2e-4)


def test_padding_atoms_and_batches():
    reference = energy(dipoles=DIPOLES)
    padded = [np.concatenate([x, np.zeros_like(x[:2])]) for x in (CHARGES, POSITIONS, DIPOLES)]
    assert energy(padded[0], padded[1], dipoles=padded[2]) == pytest.approx(reference, abs=1e-12)
    charges = jnp.stack([CHARGES, -2 * CHARGES])
    both = jax.vmap(lambda q: ewald_energy(q, jnp.asarray(POSITIONS), jnp.asarray(CELL), (4, 4, 4), SIGMA))(charges)
    assert float(both[1]) == pytest.approx(4 * float(both[0]), rel=1e-12)


def test_inverse_cell_and_cutoff():
    inverse, volume = inverse_cell(jnp.asarray(CELL))
    np.testing.assert_allclose(inverse, np.linalg.inv(CELL), atol=1e-14)
    assert float(volume) == pytest.approx(np.linalg.det(CELL), rel=1e-14)
    assert math.exp(-((1.3 * k_cutoff(1.3, 1e-7)) ** 2)) == pytest.approx(1e-7)
