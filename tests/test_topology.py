"""Neighbour topology against a brute-force sum, and its validity flags inside jit."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from random_model import polar_perovskite, random_model
from toy_model import rattled_triclinic

from ferrojax.electrostatics.boundary import Boundary
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.state import apply_strain, from_ase
from ferrojax.topology import edge_vectors, is_valid, narrow, rebuild, reciprocal_box, with_topology, within_cutoff

SKEWED = Atoms("PbTiO", positions=[[0.1, 0.2, 0.3], [1.9, 2.2, 1.7], [7.0, -3.0, 9.5]],
               cell=[[4.0, 0.0, 0.0], [3.6, 3.7, 0.0], [-3.5, 3.2, 3.9]], pbc=True)  # fmt: skip
CASES = {
    "triclinic, 8 atoms": (rattled_triclinic(), 5.0),
    "skewed, unwrapped": (SKEWED, 6.0),
    "5-atom perovskite at 6 Å": (polar_perovskite(), 6.0),
    "2x2x2 perovskite at 6 Å": (polar_perovskite((2, 2, 2)), 6.0),
    "one atom": (Atoms("Pb", cell=[[2.9, 0.2, 0.0], [0.4, 3.1, 0.3], [0.0, -0.3, 2.7]], pbc=True), 6.0),
    "long and thin": (Atoms("TiO", positions=[[0, 0, 0], [1.0, 1.1, 14.0]], cell=np.diag([2.8, 3.0, 29.0]), pbc=True), 5.0),
}


def brute_force(positions, cell, cutoff):
    """Sorted (i, j, S) with 0 < |R_j + S·cell - R_i| < cutoff, by listing every image that can matter."""
    fractional = positions @ np.linalg.inv(cell)
    spread = np.abs(fractional[:, None] - fractional[None]).max((0, 1))
    reach = np.ceil(cutoff * np.linalg.norm(np.linalg.inv(cell), axis=0) + spread).astype(int)
    images = np.array(list(itertools.product(*[range(-n, n + 1) for n in reach])))
    vectors = positions[None, :, None] + images @ cell - positions[:, None, None]
    length = np.linalg.norm(vectors, axis=-1)
    i, j, s = np.nonzero((length < cutoff) & (length > 1e-9))
    return sorted(zip(i.tolist(), j.tolist(), map(tuple, images[s].tolist())))


def listed(state, cutoff):
    """Sorted (i, j, S) of the topology's pairs closer than a cutoff."""
    topology = state.topology
    close = np.asarray(topology.mask & (jnp.linalg.norm(edge_vectors(state), axis=-1) < cutoff))
    i, slot = np.nonzero(close)
    j, s = np.asarray(topology.neighbors)[i, slot], np.asarray(topology.shifts)[i, slot]
    return sorted(zip(i.tolist(), j.tolist(), map(tuple, s.tolist())))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("skin", [0.0, 0.7])
def test_pairs_match_brute_force(case, skin):
    atoms, cutoff = CASES[case]
    state = with_topology(from_ase(atoms), cutoff, skin)
    assert listed(state, np.inf) == brute_force(atoms.positions, atoms.cell.array, cutoff + skin)
    assert bool(is_valid(state)) and not bool(state.topology.overflow)


def test_padding_atoms_have_no_neighbors():
    atoms, cutoff = CASES["2x2x2 perovskite at 6 Å"]
    state = from_ase(atoms)
    order = np.random.default_rng(0).permutation(45)
    padded = state.replace(positions=jnp.pad(state.positions, ((0, 5), (0, 0)))[order], numbers=jnp.pad(state.numbers, (0, 5))[order])
    padded = with_topology(padded, cutoff)
    name = {place: atom for place, atom in enumerate(order) if atom < 40}
    assert not np.asarray(padded.topology.mask)[order >= 40].any()
    pairs = sorted((name[i], name[j], s) for i, j, s in listed(padded, cutoff))
    assert pairs == brute_force(atoms.positions, atoms.cell.array, cutoff)
    moved_padding = padded.replace(positions=jnp.where((padded.numbers > 0)[:, None], padded.positions, 99.0))
    assert bool(is_valid(moved_padding))


@pytest.mark.parametrize("case", ["triclinic, 8 atoms", "skewed, unwrapped", "5-atom perovskite at 6 Å"])
def test_no_pair_is_missing_while_valid(case):
    """Random displacements and strains: whenever the flag is True, brute force finds nothing more."""
    atoms, _ = CASES[case]
    cutoff, rng = 4.0, np.random.default_rng(5)
    state = with_topology(from_ase(atoms), cutoff, skin=0.6)
    check, verdicts = jax.jit(is_valid), []
    for _ in range(150):
        strain = rng.normal(0, 0.02 * rng.random(), (3, 3))
        # Displacements of equal length probe the bound where it is tight.
        kick = rng.normal(size=state.positions.shape)
        kick *= 0.4 * rng.random() / np.linalg.norm(kick, axis=1, keepdims=True)
        trial = apply_strain(state.replace(positions=state.positions + kick), jnp.asarray(strain))
        verdicts.append(bool(check(trial)))
        if verdicts[-1]:
            assert listed(trial, cutoff) == brute_force(np.asarray(trial.positions), np.asarray(trial.cell), cutoff)
    assert 20 < sum(verdicts) < 130  # both verdicts were put to the test


def test_two_approaching_atoms_are_flagged_before_they_meet_the_cutoff():
    atoms = Atoms("TiO", positions=[[0, 0, 0], [4.55, 0, 0]], cell=np.eye(3) * 20, pbc=True)
    state = with_topology(from_ase(atoms), cutoff=4.0, skin=0.5)
    assert not np.asarray(state.topology.mask).any()
    moved = lambda u: state.replace(positions=state.positions + jnp.array([[u, 0, 0], [-u, 0, 0]]))  # noqa: E731
    assert bool(is_valid(moved(0.249))) and not bool(is_valid(moved(0.251)))


def test_strain_alone_uses_the_skin():
    state = with_topology(from_ase(polar_perovskite()), cutoff=4.0, skin=0.4)
    shrunk = lambda s: apply_strain(state, -s * jnp.eye(3))  # noqa: E731
    assert bool(is_valid(shrunk(0.090))) and not bool(is_valid(shrunk(0.092)))  # 1 - 4/4.4 = 0.0909
    rotation = jnp.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert bool(is_valid(apply_strain(state, rotation - jnp.eye(3))))


def test_overflow_is_flagged_and_rebuild_makes_room():
    atoms = polar_perovskite()
    state = with_topology(from_ase(atoms), 5.0, slots=8)
    assert bool(state.topology.overflow) and not bool(jax.jit(is_valid)(state))
    mended = rebuild(state)
    assert bool(is_valid(mended)) and listed(mended, 5.0) == brute_force(atoms.positions, atoms.cell.array, 5.0)


@pytest.mark.parametrize("case", CASES)
def test_an_evaluation_of_a_narrow_topology_lists_the_pairs_within_the_cutoff(case):
    atoms, cutoff = CASES[case]
    state = narrow(with_topology(from_ase(atoms), cutoff, skin=1.5))
    rng = np.random.default_rng(3)
    for size in (0.0, 0.05, 0.2):
        kick = rng.normal(size=state.positions.shape)
        moved = state.replace(positions=state.positions + size * kick / np.linalg.norm(kick, axis=1, keepdims=True))
        near = moved.replace(topology=jax.jit(within_cutoff)(moved))
        slots = state.topology.mask.shape[1]
        assert bool(is_valid(moved)) and near.topology.mask.shape[1] == min(state.topology.near, slots)
        assert listed(near, cutoff) == brute_force(np.asarray(moved.positions), atoms.cell.array, cutoff)
        if state.topology.near < slots:
            assert listed(near, np.inf) == listed(near, 1.0002 * cutoff)
    assert state.topology.near < slots or len(atoms) < 3


def test_too_many_near_neighbours_are_flagged_and_rebuild_makes_room():
    atoms = polar_perovskite((2, 2, 2))
    state = narrow(with_topology(from_ase(atoms), 5.0, skin=2.0))
    dense = apply_strain(state, -0.1 * jnp.eye(3))  # within the skin, but closer together
    roomy = dense.replace(topology=dense.topology.replace(near=None))
    assert bool(is_valid(state)) and bool(is_valid(roomy)) and not bool(jax.jit(is_valid)(dense))
    again = rebuild(dense)
    assert bool(is_valid(again)) and again.topology.near > state.topology.near
    assert rebuild(again.replace(positions=state.positions, cell=state.cell)).topology.near == again.topology.near  # no new shape


@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_narrow_topology_changes_no_derivative(order):
    model, params = random_model("fast")
    enthalpy, state = make_enthalpy(model, Boundary(("E", "E", "D"))), model.prepare(polar_perovskite(), np.float64, skin=1.5)

    def of(positions, strain, field, state):
        return enthalpy(params, state.replace(positions=positions), strain, field)

    def derivatives(state):
        arguments = (state.positions, 0.01 * jnp.arange(9.0).reshape(3, 3), jnp.array([0.01, -0.02, 0.03]), state)
        return jax.value_and_grad(of, (0, 1, 2))(*arguments) if order == 1 else jax.hessian(of, (0, 1))(*arguments)

    wide, near = (jax.tree.leaves(jax.jit(derivatives)(s)) for s in (state, narrow(state)))
    for a, b in zip(wide, near):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-11 * float(jnp.abs(a).max()))


def test_rebuild_keeps_shapes_and_settings():
    state = with_topology(from_ase(rattled_triclinic()), 4.0, skin=0.5, k_cutoff=4.0, slots=64)
    moved = state.replace(positions=state.positions + 0.3 * np.random.default_rng(1).normal(size=state.positions.shape))
    again = rebuild(moved)
    assert not bool(is_valid(moved)) and bool(is_valid(again))
    assert jax.tree.structure(again) == jax.tree.structure(state)
    assert [x.shape for x in jax.tree.leaves(again)] == [x.shape for x in jax.tree.leaves(state)]
    assert listed(again, 4.5) == brute_force(np.asarray(moved.positions), np.asarray(moved.cell), 4.5)


def test_reciprocal_box_holds_every_vector():
    rng, cutoff = np.random.default_rng(2), 5.0
    for _ in range(20):
        cell = np.eye(3) * 4 + rng.normal(0, 1.2, (3, 3))
        box = np.array(reciprocal_box(cell, cutoff, margin=1.0))
        n = np.array(list(itertools.product(*[range(-m - 2, m + 3) for m in box])))
        short = np.linalg.norm(2 * np.pi * n @ np.linalg.inv(cell).T, axis=1) < cutoff
        assert (np.abs(n[short]) <= box).all()


def test_growing_cell_is_flagged_when_it_outgrows_the_reciprocal_box():
    state = with_topology(from_ase(rattled_triclinic()), 4.0, skin=3.0, k_cutoff=5.0)
    flags = [bool(is_valid(apply_strain(state, s * jnp.eye(3)))) for s in (0.0, 0.04, 0.4)]
    assert flags[:2] == [True, True] and not flags[2]
    grown = apply_strain(state, 0.4 * jnp.eye(3))
    again = rebuild(grown)
    assert bool(is_valid(again)) and all(a > b for a, b in zip(again.topology.kgrid, state.topology.kgrid))


def test_atoms_at_one_place_are_refused():
    atoms = Atoms("O2", positions=[[0, 0, 0], [4.0, 0, 0]], cell=np.eye(3) * 4, pbc=True)
    with pytest.raises(FerrojaxError, match="atoms 0 and 1 are at the same place"):
        with_topology(from_ase(atoms), 5.0)


def test_a_state_without_topology_says_so():
    with pytest.raises(FerrojaxError, match="no topology"):
        edge_vectors(from_ase(rattled_triclinic()))
