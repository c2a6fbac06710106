"""The potential: symmetry of every readout, locality, padding, repulsion, configuration."""

from __future__ import annotations

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.data import atomic_numbers
from scipy.spatial.transform import Rotation

from ferrojax.errors import FerrojaxError
from ferrojax.potential import Model, ModelConfig, interaction, preset
from ferrojax.potential.basis import (
    IRREPS,
    SLICES,
    angular_basis,
    clebsch_gordan,
    couplings,
    envelope,
    radial_basis,
    symmetric_product_table,
)
from ferrojax.potential.interaction import Bonds, Message, Product
from ferrojax.potential.repulsion import repulsion_energy
from ferrojax.units import COULOMB

ELEMENTS = ("Pb", "Ti", "O")


def perovskite(seed: int = 0, rattle: float = 0.15) -> Atoms:
    atoms = Atoms(
        "PbTiO3", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.54), (0.5, 0.5, 0.05), (0.5, 0, 0.55), (0, 0.5, 0.55)], cell=np.eye(3), pbc=True
    )
    atoms.set_cell([(3.9, 0.1, 0), (-0.2, 4.0, 0.15), (0.1, 0, 4.15)], scale_atoms=True)
    atoms.rattle(rattle, seed=seed)
    return atoms


def random_model(name: str, seed: int = 0) -> tuple[Model, dict]:
    model = Model(preset(name, ELEMENTS, eps_inf=5.0))
    params = model.init(jax.random.key(seed))
    keys = iter(jax.random.split(jax.random.key(seed + 1), 200))
    # Zero-initialised biases would hide mistakes in how species are treated.
    return model, jax.tree.map(lambda x: x + 0.2 * jax.random.normal(next(keys), x.shape), params)


def test_recurrence_gives_the_sines():
    r = jnp.linspace(0.5, 5.4, 40)
    expected = np.sqrt(2 / 5.5) * np.sin(np.arange(1, 9)[:, None] * np.pi * np.asarray(r) / 5.5) / np.asarray(r)
    np.testing.assert_allclose(radial_basis(r, 5.5, 8), expected, atol=1e-12)


def test_envelope_has_two_continuous_derivatives_at_the_cutoff():
    for order, f in enumerate([envelope, jax.grad(envelope), jax.grad(jax.grad(envelope))]):
        assert abs(float(f(jnp.array(5.0 - 1e-6), 5.0)) - float(f(jnp.array(5.0 + 1e-6), 5.0))) < 1e-4, order


def test_harmonics_are_those_of_e3nn():
    directions = np.random.default_rng(1).normal(size=(7, 5, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    theirs = e3nn.spherical_harmonics(e3nn.Irreps(IRREPS), jnp.asarray(directions), normalize=False, normalization="component").array
    np.testing.assert_allclose(angular_basis(components(directions)), np.swapaxes(theirs, 1, 2), atol=1e-12)


def components(vectors: np.ndarray) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(vectors[..., k]) for k in range(3))


def test_product_table_equals_the_plain_coupling():
    feature = np.random.default_rng(0).normal(size=9)
    left, right, table, degrees = symmetric_product_table()
    got = (feature[left] * feature[right]) @ table
    expected = [
        np.einsum("a,b,abc->c", feature[SLICES[a]], feature[SLICES[b]], clebsch_gordan(a, b, c)) for a, b, c in couplings(2, 2) if a <= b
    ]
    np.testing.assert_allclose(got, np.concatenate(expected), atol=1e-12)
    assert [len(e) for e in expected] == [2 * d + 1 for d in degrees]


def _wigner(rotation: np.ndarray) -> np.ndarray:
    return np.asarray(e3nn.Irreps(IRREPS).D_from_matrix(jnp.asarray(rotation)))


@pytest.mark.parametrize("sign", [1, -1])
def test_layers_are_equivariant(sign):
    """f(D x) = D f(x) for a rotation and, with sign -1, a rotation with inversion."""
    rng = np.random.default_rng(3)
    matrix = sign * Rotation.random(random_state=1).as_matrix()
    wigner = _wigner(matrix)
    atoms, slots, channels = 6, 5, 4
    directions = rng.normal(size=(atoms, slots, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    features = jnp.asarray(rng.normal(size=(atoms, 9, channels)))
    radial, neighbors = jnp.asarray(rng.normal(size=(atoms, 3, slots))), jnp.asarray(rng.integers(0, atoms, (atoms, slots)))
    species = jnp.asarray(rng.integers(0, 2, atoms))
    turned = jnp.einsum("ab,ibk->iak", wigner, features)
    angular, turned_angular = (angular_basis(components(d)) for d in (directions, directions @ matrix.T))
    np.testing.assert_allclose(turned_angular, np.einsum("ab,ibm->iam", wigner, angular), atol=1e-10)
    product, message = Product(channels, 2), Message(channels, 2)
    params = product.init(jax.random.key(0), features, species)
    before, after = product.apply(params, features, species), product.apply(params, turned, species)
    np.testing.assert_allclose(after, np.einsum("ab,ibk->iak", wigner, before), atol=1e-8)
    embedded = jnp.asarray(rng.normal(size=(atoms, 2)))
    bonds, turned_bonds = (Bonds(radial, harmonics, neighbors, embedded) for harmonics in (angular, turned_angular))
    params = message.init(jax.random.key(1), features, bonds, species)
    before, after = message.apply(params, features, bonds, species), message.apply(params, turned, turned_bonds, species)
    np.testing.assert_allclose(after, np.einsum("ab,ibk->iak", wigner, before), atol=1e-8)


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_charges_polarizability_and_energy_turn_with_the_structure(name):
    model, params = random_model(name)
    atoms = perovskite()
    rotation = Rotation.random(random_state=7).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation.T, scale_atoms=True)
    a = model.terms(params, model.prepare(atoms, dtype=np.float64))
    b = model.terms(params, model.prepare(turned, dtype=np.float64))
    assert abs(float(a.short_range - b.short_range)) < 1e-8
    np.testing.assert_allclose(a.charges, b.charges, atol=1e-9)
    np.testing.assert_allclose(b.polarizability, rotation @ a.polarizability @ rotation.T, atol=1e-9)
    anisotropic = a.polarizability - np.trace(a.polarizability) / 3 * np.eye(3)
    assert np.abs(anisotropic).max() > 1e-4, "the l = 2 part is empty: the test shows nothing"
    np.testing.assert_allclose(a.polarizability, a.polarizability.T, atol=1e-12)


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_charges_are_learned_and_neutral(name):
    model, params = random_model(name)
    state = model.prepare(perovskite(), dtype=np.float64)
    charges = model.terms(params, state).charges
    assert abs(float(jnp.sum(charges))) < 1e-12
    assert float(jnp.max(jnp.abs(charges - model.formal_charges(state)))) > 1e-3


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_padding_atoms_change_nothing(name):
    model, params = random_model(name)
    state = model.prepare(perovskite(), dtype=np.float64)
    padded = state.replace(
        positions=jnp.concatenate([state.positions, jnp.zeros((3, 3))]),
        numbers=jnp.concatenate([state.numbers, jnp.zeros(3, jnp.int32)]),
        topology=None,
    )
    padded = model.prepare(padded)
    a, b = model.terms(params, state), model.terms(params, padded)
    np.testing.assert_allclose(a.short_range, b.short_range, atol=1e-10)
    np.testing.assert_allclose(a.polarizability, b.polarizability, atol=1e-10)
    np.testing.assert_allclose(b.charges, np.concatenate([a.charges, np.zeros(3)]), atol=1e-12)


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_the_skin_changes_nothing(name):
    model, params = random_model(name)
    energies = [model.terms(params, model.prepare(perovskite(), dtype=np.float64, skin=s)).short_range for s in (0.0, 0.7)]
    assert abs(float(energies[0] - energies[1])) < 1e-10


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_single_precision_agrees_with_double(name):
    model, params = random_model(name)
    single = model.terms(params, model.prepare(perovskite(), dtype=np.float32))
    double = model.terms(params, model.prepare(perovskite(), dtype=np.float64))
    assert single.short_range.dtype == jnp.float32 and double.short_range.dtype == jnp.float64
    assert abs(float(single.short_range) - float(double.short_range)) < 2e-4 * abs(float(double.short_range))
    np.testing.assert_allclose(single.charges, double.charges, atol=1e-4)


@pytest.mark.parametrize(
    "pair", [("Ti", "O"), pytest.param(("O", "O"), marks=pytest.mark.slow), pytest.param(("Pb", "O"), marks=pytest.mark.slow)]
)
def test_close_contact_is_always_repulsive(pair):
    """Below 0.8 Å the force pushes apart by more than 50 eV/Å, whatever the parameters of the network."""
    model = Model(preset("accurate", ELEMENTS, eps_inf=5.0))
    initial = model.init(jax.random.key(0))
    atoms = Atoms(pair, positions=[(0, 0, 0), (0, 0, 0.7)], cell=[14, 14, 14], pbc=True)
    state = model.prepare(atoms, dtype=np.float64)

    @jax.jit
    @jax.grad
    def slope(r, params):
        return model.terms(params, state.replace(positions=jnp.array([[0, 0, 0], [0, 0, 1]]) * r)).short_range

    for seed in range(3):
        keys = iter(jax.random.split(jax.random.key(seed), 200))
        params = jax.tree.map(lambda x, keys=keys: x + 0.2 * jax.random.normal(next(keys), x.shape), initial)
        for r in (0.3, 0.5, 0.7):
            assert float(slope(r, params)) < -50.0


def test_repulsion_is_the_published_function():
    """Ziegler-Biersack-Littmark for one Ti-O pair, written out independently; zero beyond the covalent contact."""
    numbers = jnp.array([atomic_numbers["Ti"], atomic_numbers["O"]])
    neighbors, mask = jnp.array([[1], [0]]), jnp.ones((2, 1), bool)

    def pair(r):
        return float(repulsion_energy(jnp.full((2, 1), r), mask, numbers, neighbors))

    r, reach = 0.9, 1.60 + 0.66
    a = 0.46850 / (22**0.23 + 8**0.23)
    phi = (
        0.18175 * np.exp(-3.19980 * r / a)
        + 0.50986 * np.exp(-0.94229 * r / a)
        + 0.28022 * np.exp(-0.40290 * r / a)
        + 0.02817 * np.exp(-0.20162 * r / a)
    )
    x = r / reach
    expected = COULOMB * 22 * 8 / r * phi * (1 - 10 * x**3 + 15 * x**4 - 6 * x**5)
    assert pair(r) == pytest.approx(expected, rel=1e-3)
    assert pair(reach) == pytest.approx(0.0, abs=1e-12)


def test_unknown_element_names_it_and_the_known_ones():
    model = Model(preset("fast", ELEMENTS))
    with pytest.raises(FerrojaxError, match=r"frame 3.*\['Ba'\].*\['Pb', 'Ti', 'O'\]"):
        model.prepare(Atoms("BaTiO3", positions=np.arange(15).reshape(5, 3), cell=[16, 16, 16], pbc=True), name="frame 3")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elements": ("Pb", "Pb")}, "distinct"),
        ({"elements": ("Pb", "Xx")}, "distinct chemical symbols"),
        ({"formal_charges": (2.0,)}, "3 elements but 1"),
        ({"formal_charges": (2.0, 4.0, -1.9)}, "integers"),
        ({"cutoff": -1.0}, "cutoff > 0"),
        ({"eps_inf": 0.5}, "eps_inf >= 1"),
        ({"layers": 3}, "layers 1 or 2"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(FerrojaxError, match=message):
        ModelConfig(**{"elements": ELEMENTS, "formal_charges": (2.0, 4.0, -2.0)} | changes)


def test_preset_needs_oxidation_states():
    with pytest.raises(FerrojaxError, match="Au"):
        preset("fast", ("Au", "O"))
    with pytest.raises(FerrojaxError, match="unknown preset"):
        preset("huge", ELEMENTS)
    assert preset("fast", ELEMENTS).formal_charges == (2.0, 4.0, -2.0)


@pytest.mark.slow
def test_a_model_in_blocks_is_the_model(monkeypatch):
    model, params = random_model("accurate")
    state = model.prepare(perovskite().repeat((2, 1, 1)), np.float64)

    def energy(positions):
        return model.terms(params, state.replace(positions=positions)).short_range

    def derivatives():
        direction = jnp.asarray(np.random.default_rng(0).normal(size=state.positions.shape))
        forces, second = jax.jvp(jax.grad(energy), (state.positions,), (direction,))
        return energy(state.positions), forces, second

    whole = derivatives()
    monkeypatch.setattr(interaction, "BLOCK", 4)  # 10 atoms: two blocks and a partly filled third
    monkeypatch.setattr(interaction, "BLOCK_ON_ACCELERATOR", 4)
    for a, b in zip(whole, derivatives(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)
