"""Electric boundary conditions: slabs against the two-dimensional Ewald sum, fixed D against fixed E."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from scipy.special import erf, erfc, erfcx

from ferrojax.electrostatics.boundary import Boundary, displacement_energy, slab_correction
from ferrojax.electrostatics.ewald import k_cutoff
from ferrojax.electrostatics.point import point_charge_energy, point_smearing
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.topology import with_topology
from ferrojax.units import COULOMB, EPSILON_0

POSITIONS = np.array([[0.0, 0.0, 0.0], [1.9, 2.1, 1.3], [2.0, 0.2, 2.6], [0.3, 1.7, 3.1]])
CHARGES = np.array([1.0, -0.7, 0.5, -0.8])
SIDES = (4.0, 4.2)
TOLERANCE = 1e-13


def two_dimensional_ewald(charges, positions, sides, alpha=0.9):
    """Coulomb energy of charges periodic in x and y only (Parry; formula of PHYSICS 2.2)."""
    (a, b), r, area = sides, positions, sides[0] * sides[1]
    n = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10), indexing="ij"), -1).reshape(-1, 2)
    energy = -alpha / math.sqrt(math.pi) * np.sum(charges**2)
    waves = 2 * np.pi * n[np.any(n != 0, axis=1)] / np.array([a, b])
    k = np.linalg.norm(waves, axis=1)
    for i, q in enumerate(charges):
        for j, p in enumerate(charges):
            d = r[j] - r[i]
            distance = np.sqrt((d[0] + n[:, 0] * a) ** 2 + (d[1] + n[:, 1] * b) ** 2 + d[2] ** 2)
            distance = distance[distance > 0]
            energy += 0.5 * q * p * np.sum(erfc(alpha * distance) / distance)
            z = d[2]
            decay = np.exp(-((alpha * z) ** 2) - (k / (2 * alpha)) ** 2)  # e^{kz} erfc(x) without overflow
            sides_of_z = decay * (erfcx(alpha * z + k / (2 * alpha)) + erfcx(-alpha * z + k / (2 * alpha)))
            energy += q * p * np.pi / (2 * area) * np.sum(np.cos(waves @ d[:2]) / k * sides_of_z)
            plane = math.exp(-((alpha * z) ** 2)) / alpha + math.sqrt(math.pi) * z * erf(alpha * z)
            energy -= q * p * math.sqrt(math.pi) / area * plane
    return COULOMB * energy


def tin_foil(charges, positions, cell, cutoff=8.0):
    sigma = point_smearing(cutoff, TOLERANCE)
    state = State(jnp.asarray(positions), jnp.asarray(cell), jnp.ones(len(positions), jnp.int32))
    state = with_topology(state, cutoff, k_cutoff=k_cutoff(sigma, TOLERANCE))
    return float(jax.jit(point_charge_energy, static_argnums=(2, 3))(jnp.asarray(charges), state, sigma, TOLERANCE))


def slab_energy(charges, positions, cell, axis=2):
    correction = slab_correction(jnp.asarray(charges), jnp.asarray(positions), jnp.asarray(cell), axis)
    return tin_foil(charges, positions, cell) + float(correction)


def test_two_dimensional_sum_does_not_depend_on_its_splitting():
    value = two_dimensional_ewald(CHARGES, POSITIONS, SIDES)
    assert value == pytest.approx(-4.6346209092, abs=1e-9)
    assert two_dimensional_ewald(CHARGES, POSITIONS, SIDES, alpha=1.3) == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize("net", [0.0, 0.3], ids=["neutral", "charged"])
def test_slab_correction_gives_the_two_dimensional_sum(net):
    """The error falls as exp(-2π(L - h)/a): below 1e-10 eV with 20 Å of vacuum."""
    charges = CHARGES + net / len(CHARGES)
    exact = two_dimensional_ewald(charges, POSITIONS, SIDES)
    errors = [slab_energy(charges, POSITIONS, np.diag([*SIDES, length])) - exact for length in (10.0, 16.0, 24.0)]
    assert abs(errors[2]) < 1e-9
    assert 1e-9 < abs(errors[1]) < 1e-6  # the 16 Å of PHYSICS 2.2, 2.1e-8 when neutral
    assert abs(errors[1]) < 1e-3 * abs(errors[0])


def test_slab_along_any_axis_and_in_a_tilted_cell():
    cell = np.diag([*SIDES, 20.0])
    reference = slab_energy(CHARGES + 0.1, POSITIONS, cell)
    turned = np.roll(POSITIONS, 1, axis=1)
    assert slab_energy(CHARGES + 0.1, turned, np.roll(np.roll(cell, 1, 0), 1, 1), axis=0) == pytest.approx(reference, abs=1e-10)
    tilted = cell.copy()
    tilted[2, :2] = 1.0, -0.7
    assert slab_energy(CHARGES + 0.1, POSITIONS, tilted) == pytest.approx(reference, abs=1e-6)


def test_charged_slab_against_jax_pme():
    from jaxpme import Ewald

    cell, charges = np.diag([*SIDES, 16.0]), CHARGES + 0.1
    calculator = Ewald(prefactor=COULOMB)
    atoms = Atoms("H4", positions=POSITIONS, cell=cell, pbc=True)
    arguments = calculator.prepare(atoms, charges, 9.0, lr_wavelength=0.6, smearing=1.1)
    theirs = float(calculator.energy(*arguments[:-1], pbc=np.array([True, True, False])))
    assert slab_energy(charges, POSITIONS, cell) == pytest.approx(theirs, abs=1e-6)


def test_zero_displacement_is_the_slab_correction():
    cell = jnp.diag(jnp.array([*SIDES, 16.0]))
    dipole, volume = jnp.asarray(CHARGES) @ POSITIONS, jnp.linalg.det(cell)
    boundary = Boundary(kinds=("E", "E", "D"))
    energy = displacement_energy(boundary, dipole, volume, jnp.array([9.0, 9.0, 0.0]), 1.0)
    assert float(energy) == pytest.approx(float(slab_correction(jnp.asarray(CHARGES), jnp.asarray(POSITIONS), cell)), rel=1e-8)
    # Each charge feels the depolarising field -4π k_e M_z/V.
    force = -jax.grad(lambda r: displacement_energy(boundary, jnp.asarray(CHARGES) @ r, volume, jnp.zeros(3), 1.0))(POSITIONS)
    np.testing.assert_allclose(force[:, 2], -CHARGES * 4 * np.pi * COULOMB * dipole[2] / volume, rtol=1e-8)
    assert not np.any(force[:, :2])


def test_fixed_field_costs_nothing_and_reference_dipole_shifts_the_branch():
    dipole, volume = jnp.array([1.0, -2.0, 3.0]), jnp.asarray(60.0)
    assert float(displacement_energy(Boundary(), dipole, volume, jnp.ones(3), 5.0)) == 0.0
    branch = Boundary(kinds=("D", "D", "D"), reference_dipole=(1.0, -2.0, 3.0))
    assert float(displacement_energy(branch, dipole, volume, jnp.zeros(3), 5.0)) == 0.0


class ToyFerroelectric:
    """U0(u) = -a u²/2 + b u⁴/4 per component, P = Z u/V, in electrons of permittivity ε∞."""

    a, b, born, volume, eps_inf = 0.4, 1.5, 6.0, 60.0, 5.2

    def polarization(self, u):
        return self.born * u / self.volume

    def internal(self, u):
        return jnp.sum(-self.a / 2 * u**2 + self.b / 4 * u**4)

    def at_field(self, u, field):
        """Energy at fixed E, the field's own energy included."""
        work = self.volume * (self.polarization(u) @ field + 0.5 * EPSILON_0 * self.eps_inf * field @ field)
        return self.internal(u) - work

    def at_displacement(self, u, displacement, kinds=("D", "D", "D")):
        moment = self.volume * self.polarization(u)
        boundary = Boundary(kinds=kinds)
        return self.internal(u) + displacement_energy(boundary, moment, jnp.asarray(self.volume), displacement, self.eps_inf)

    def relax(self, energy, u):
        step = jax.jit(lambda u: u - jnp.linalg.solve(jax.hessian(energy)(u), jax.grad(energy)(u)))
        for _ in range(40):
            u = step(u)
        assert float(jnp.abs(jax.grad(energy)(u)).max()) < 1e-12
        return u


def test_fixed_field_and_fixed_displacement_are_legendre_transforms():
    toy, field = ToyFerroelectric(), jnp.array([0.02, -0.01, 0.03])
    u = toy.relax(lambda u: toy.at_field(u, field), jnp.array([0.6, -0.6, 0.7]))
    displacement = field * toy.eps_inf + toy.polarization(u) / EPSILON_0  # D/ε0, V/Å

    def energy(d):
        return toy.at_displacement(u, d)

    # The same structure is stationary at that D, and its energy is the transform in V E·D.
    assert float(jnp.abs(jax.grad(toy.at_displacement)(u, displacement)).max()) < 1e-12
    transform = toy.at_field(u, field) + toy.volume * EPSILON_0 * field @ displacement
    assert float(energy(displacement)) == pytest.approx(float(transform), abs=1e-12)
    # dU/dD = V E, and E = (D - P)/(ε0 ε∞).
    conjugate = jax.grad(energy)(displacement) / (toy.volume * EPSILON_0)
    np.testing.assert_allclose(conjugate, field, atol=1e-12)
    np.testing.assert_allclose(field, (displacement - toy.polarization(u) / EPSILON_0) / toy.eps_inf, atol=1e-12)


def test_fixed_displacement_holds_a_polar_crystal_in_its_unstable_region():
    """Near u = 0 the crystal is unstable at fixed E but stable at fixed D; axes mix freely."""
    toy = ToyFerroelectric()
    closed = jax.hessian(lambda u: toy.at_field(u, jnp.zeros(3)))(jnp.zeros(3))
    mixed = jax.hessian(lambda u: toy.at_displacement(u, jnp.zeros(3), ("E", "E", "D")))(jnp.zeros(3))
    np.testing.assert_allclose(closed, -toy.a * np.eye(3), atol=1e-12)
    depolarising = toy.born**2 / (toy.volume * EPSILON_0 * toy.eps_inf)
    np.testing.assert_allclose(mixed, np.diag([-toy.a, -toy.a, depolarising - toy.a]), rtol=1e-10, atol=1e-12)


def test_unknown_kinds_are_refused():
    with pytest.raises(FerrojaxError, match="three of 'E' and 'D'"):
        Boundary(kinds=("E", "E", "open"))
    with pytest.raises(FerrojaxError, match="three of 'E' and 'D'"):
        Boundary(kinds=("E", "E"))
