"""The mesh energy against Ewald, and its own derivatives against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax.electrostatics import long_range
from ferrojax.electrostatics.ewald import ewald_energy, k_cutoff
from ferrojax.electrostatics.long_range import long_range_energy
from ferrojax.electrostatics.mesh import ORDER, mesh_energy, mesh_shape
from ferrojax.errors import FerrojaxError
from ferrojax.topology import reciprocal_box

CELL = np.array([[5.0, 0.3, 0.1], [0.2, 6.0, -0.4], [0.5, -0.2, 7.0]])
POSITIONS = np.array([[0.1, 0.2, 0.3], [2.2, 1.1, 0.5], [3.1, 4.0, 2.2], [1.0, 3.0, 5.5], [4.0, 2.5, 4.4]])
CHARGES = np.array([1.2, -0.9, 0.4, -1.1, 0.4])
KGRID = (3, 4, 4)

mesh = jax.jit(mesh_energy, static_argnums=(3, 4))


def perovskite(n, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    basis = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    sites = (np.array(list(np.ndindex(n, n, n)))[:, None] + basis).reshape(-1, 3)
    charges = np.tile([2.0, 4.0, -2.0, -2.0, -2.0], n**3) + rng.normal(0, noise, 5 * n**3)
    return charges - charges.mean(), 3.95 * sites + rng.normal(0, noise, sites.shape), 3.95 * n * np.eye(3)


def disordered():
    rng = np.random.default_rng(3)
    cell = np.array([[13, 0.5, 1], [2, 11.0, -1], [-1, 0.7, 14.0]])
    charges = rng.normal(size=200)
    return charges - charges.mean(), rng.uniform(size=(200, 3)) @ cell, cell


@pytest.mark.parametrize(
    ("make", "smearing", "dtype"),
    [(lambda: perovskite(3), 1.0, np.float64), (disordered, 1.0, np.float64), (disordered, 1.0, np.float32), (disordered, 1.4, np.float64)],
    ids=["perovskite", "disordered", "single precision", "wide"],
)
def test_energy_forces_potential_and_cell_gradient_agree_with_ewald(make, smearing, dtype):
    """To 1e-4 of the root mean square, against an Ewald sum converged to 1e-10."""
    exact = make()
    kgrid = reciprocal_box(exact[2], k_cutoff(smearing))
    fine = reciprocal_box(exact[2], k_cutoff(smearing, 1e-10))
    gradient = jax.jit(jax.value_and_grad(mesh_energy, (0, 1, 2)), static_argnums=(3, 4))
    reference = jax.jit(jax.value_and_grad(ewald_energy, (0, 1, 2)), static_argnums=(3, 4))
    value, gradients = gradient(*(jnp.asarray(x, dtype) for x in exact), kgrid, smearing)
    target, targets = reference(*(jnp.asarray(x) for x in exact), fine, smearing)
    assert value.dtype == dtype
    assert float(value) == pytest.approx(float(target), rel=1e-4)
    for got, want in zip(gradients, targets):
        assert np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2)) < 1e-4


def test_derivatives_up_to_third_order_match_finite_differences():
    rng = np.random.default_rng(4)
    base = (CHARGES, POSITIONS, CELL)
    a, b, c = (tuple(0.3 * rng.normal(size=x.shape) for x in base) for _ in range(3))

    def along(x, y, z):
        return mesh_energy(*(p + x * i + y * j + z * k for p, i, j, k in zip(base, a, b, c)), KGRID, 1.0)

    first = jax.grad(along, 0)
    second = jax.grad(first, 1)
    functions = jax.jit(lambda *x: jnp.stack([along(*x), first(*x), second(*x), jax.grad(second, 2)(*x)]))
    exact, step = np.asarray(functions(0.0, 0.0, 0.0)), 1e-4
    for order in range(3):
        at = [[s * step if i == order else 0.0 for i in range(3)] for s in (-2, -1, 1, 2)]
        values = [float(functions(*x)[order]) for x in at]
        difference = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
        assert exact[order + 1] == pytest.approx(difference, abs=1e-9 * np.abs(exact[: order + 2]).max())


def test_wrapping_and_translation_by_a_mesh_step_change_nothing():
    reference = float(mesh(CHARGES, POSITIONS, CELL, KGRID, 1.0))
    images = np.array([[1, 0, 0], [0, -2, 0], [0, 0, 0], [3, 1, -1], [0, 0, 5]])
    assert float(mesh(CHARGES, POSITIONS + images @ CELL, CELL, KGRID, 1.0)) == pytest.approx(reference, abs=1e-10)
    step = CELL[1] / mesh_shape(KGRID)[1]
    assert float(mesh(CHARGES, POSITIONS + step, CELL, KGRID, 1.0)) == pytest.approx(reference, abs=1e-10)


def test_an_atom_may_sit_on_any_face_of_the_cell():
    """A float32 coordinate just below zero wraps to exactly one: the energy must stay continuous there."""
    charges, cell = jnp.array([1.0, -1.0], jnp.float32), jnp.eye(3, dtype=jnp.float32) * 6
    values = []
    for x in (-1e-3, -1e-9, 0.0, 1e-9, 1e-3):
        positions = jnp.array([[x, x, x], [2.0, 3.0, 1.0]], jnp.float32)
        values.append(float(mesh(charges, positions, cell, (4, 4, 4), 1.0)))
    assert max(values) - min(values) < 1e-2
    assert values[1] == pytest.approx(values[2], abs=1e-5)
    assert values[3] == pytest.approx(values[2], abs=1e-5)


def test_padding_atoms_and_batches():
    reference = float(mesh(CHARGES, POSITIONS, CELL, KGRID, 1.0))
    charges, positions = (np.concatenate([x, np.zeros_like(x[:2])]) for x in (CHARGES, POSITIONS))
    assert float(mesh(charges, positions, CELL, KGRID, 1.0)) == pytest.approx(reference, abs=1e-12)
    cells = jnp.stack([CELL, 1.1 * CELL])
    both = jax.jit(jax.vmap(lambda cell: mesh(CHARGES, POSITIONS, cell, KGRID, 1.0)))(cells)
    assert float(both[1]) == pytest.approx(float(mesh(CHARGES, POSITIONS, 1.1 * CELL, KGRID, 1.0)), rel=1e-12)


def test_mesh_sizes_suit_the_transform():
    for n in range(60):
        for size in mesh_shape((n, n + 1, 2 * n)):
            assert size >= ORDER
            for prime in (2, 3, 5):
                while size % prime == 0:
                    size //= prime
            assert size == 1
    assert all(size >= 2 * n + 1 for n, size in zip((5, 11, 40), mesh_shape((5, 11, 40))))


def test_long_range_energy_chooses_by_number_of_atoms(monkeypatch):
    def choose(method="auto"):
        return float(jax.jit(lambda *x: long_range_energy(*x, KGRID, 1.0, method))(CHARGES, POSITIONS, CELL))

    ewald = float(jax.jit(ewald_energy, static_argnums=(3, 4))(CHARGES, POSITIONS, CELL, KGRID, 1.0))
    by_mesh = float(mesh(CHARGES, POSITIONS, CELL, KGRID, 1.0))
    assert abs(ewald - by_mesh) > 1e-8  # or the choice could not be seen
    assert choose() == pytest.approx(ewald, abs=1e-12)
    assert choose("mesh") == pytest.approx(by_mesh, abs=1e-12)
    monkeypatch.setattr(long_range, "CROSSOVER", 4)
    assert choose() == pytest.approx(by_mesh, abs=1e-12)
    assert choose("ewald") == pytest.approx(ewald, abs=1e-12)
    with pytest.raises(FerrojaxError, match="'auto', 'ewald' or 'mesh'; got 'pme'"):
        choose("pme")
