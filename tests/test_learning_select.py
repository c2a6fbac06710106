"""Optimal design against exhaustive search, descriptors under symmetry, farthest points, trust levels."""

from itertools import combinations

import jax
import numpy as np
import pytest
from ase import Atoms
from random_model import polar_perovskite
from scipy.spatial.transform import Rotation
from small_model import INFO, frames, small_model

from ferrojax.errors import FerrojaxError
from ferrojax.learning.committee import Committee
from ferrojax.learning.deviation import Deviation, evaluate, max_forces
from ferrojax.learning.diversity import descriptors, farthest_points
from ferrojax.learning.doptimal import d_optimal, extrapolation_grades
from ferrojax.learning.last_layer import fit_last_layer
from ferrojax.learning.select import SelectConfig, classify, select, trust_levels
from ferrojax.sections import read_section


def information(rows, precision, chosen):
    return np.linalg.slogdet(precision + sum(rows[k].T @ rows[k] for k in chosen))[1]


@pytest.mark.parametrize("seed", range(4))
def test_greedy_design_against_all_subsets(seed):
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=(n, 4)) * rng.uniform(0.2, 2.0) for n in (2, 3, 6, 2, 5, 3, 2)]
    root = rng.normal(size=(6, 4))
    precision = root.T @ root + 0.1 * np.eye(4)
    chosen, gains = d_optimal(rows, precision, 3)
    start = np.linalg.slogdet(precision)[1]
    best = max(information(rows, precision, subset) for subset in combinations(range(7), 3)) - start
    found = information(rows, precision, chosen) - start
    assert gains.sum() == pytest.approx(found, rel=1e-10)
    assert (1 - 1 / np.e) * best <= found <= best + 1e-10
    # Each step takes the best one left: the bounds of the lazy search changed nothing.
    for step, k in enumerate(chosen):
        before = list(chosen[:step])
        left = [information(rows, precision, [*before, m]) if m not in before else -np.inf for m in range(7)]
        assert np.argmax(left) == k
    assert len(d_optimal(rows, precision, 99)[0]) == 7


def test_greedy_design_is_optimal_where_structures_do_not_overlap():
    rows = [size * np.eye(5)[k : k + 1] for k, size in enumerate((0.5, 3.0, 1.0, 2.0, 0.1))]
    chosen, gains = d_optimal(rows, np.eye(5), 3)
    np.testing.assert_array_equal(chosen, [1, 3, 2])
    np.testing.assert_allclose(gains, np.log1p([9.0, 4.0, 1.0]), rtol=1e-12)
    np.testing.assert_allclose(extrapolation_grades(rows, 4 * np.eye(5)), [0.25, 1.5, 0.5, 1.0, 0.05], rtol=1e-12)
    with pytest.raises(FerrojaxError, match="not positive definite"):
        d_optimal(rows, -np.eye(5), 1)
    with pytest.raises(FerrojaxError, match="not finite"):
        d_optimal([np.full((1, 5), np.nan)], np.eye(5), 1)


def test_descriptor_is_blind_to_rotation_order_cell_and_wrapping():
    model, params = small_model()
    atoms = polar_perovskite()
    turn = Rotation.random(random_state=0).as_matrix()
    turned = Atoms(atoms.numbers, positions=atoms.positions @ turn.T, cell=atoms.cell.array @ turn.T, pbc=True)
    shuffled = atoms[np.random.default_rng(0).permutation(5)]
    moved = atoms.copy()
    moved.positions += [1.0, -2.0, 9.0]
    moved.wrap()
    pool = [atoms, turned, shuffled, moved, atoms.repeat((1, 1, 2)), polar_perovskite(seed=1)]
    found = descriptors(model, params, pool, dtype=np.float64)
    for other in found[1:5]:
        np.testing.assert_allclose(other, found[0], rtol=1e-7, atol=1e-9)
    assert np.abs(found[5] - found[0]).max() > 1e4 * np.abs(found[1:5] - found[0]).max()


def test_farthest_points_against_a_plain_loop():
    rng = np.random.default_rng(0)
    pool, taken = rng.normal(size=(30, 3)) * [1.0, 5.0, 0.1], rng.normal(size=(4, 3)) * [1.0, 5.0, 0.1]
    chosen, gaps = farthest_points(pool, 6, taken)
    scale = np.concatenate([pool, taken]).std(0)
    have = list(taken / scale)
    for k, gap in zip(chosen, gaps):
        nearest = [min(np.sqrt(np.mean((p - h) ** 2)) for h in have) for p in pool / scale]
        assert nearest[k] == pytest.approx(max(nearest)) and gap == pytest.approx(max(nearest))
        have.append(pool[k] / scale)
    assert (np.diff(gaps) <= 1e-12).all()
    limit = float(gaps[3])
    assert len(farthest_points(pool, 30, taken, minimum=limit)[0]) == 3
    # Copies of what is labelled or chosen are never taken; without labels the first is the one in the middle.
    doubled = np.concatenate([pool, pool, taken])
    places, distances = farthest_points(doubled, 99, taken)
    assert len(places) == 30 and distances.min() > 0
    middle = np.linalg.norm((pool - pool.mean(0)) / pool.std(0), axis=1).argmin()
    assert farthest_points(pool, 2)[0][0] == middle
    with pytest.raises(FerrojaxError, match="not finite"):
        farthest_points(np.full((2, 2), np.nan), 1)


def test_trust_levels_and_their_counts():
    eps = np.array([0.01, 0.05, 0.2, 0.35, 0.9, np.nan, 0.2])
    levels = trust_levels(eps, SelectConfig(low_eV_per_A=0.05, high_eV_per_A=0.35))
    accurate, candidate, failed = classify(eps, levels)
    np.testing.assert_array_equal(accurate, [0])
    np.testing.assert_array_equal(candidate, [1, 2, 3, 6])
    np.testing.assert_array_equal(failed, [4, 5])
    low, high = trust_levels(eps, SelectConfig(quantiles=(0.0, 0.8)))
    assert (low, high) == (0.01, pytest.approx(0.35))
    with pytest.raises(FerrojaxError, match="no uncertainty is finite"):
        trust_levels(np.array([np.nan]), SelectConfig(quantiles=(0.1, 0.9)))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "needs either"),
        ({"low_eV_per_A": 0.1}, "needs either"),
        ({"low_eV_per_A": 0.3, "high_eV_per_A": 0.1}, "low level below"),
        ({"quantiles": [0.5, 1.2]}, "between 0 and 1"),
        ({"quantiles": [0.1, 0.9], "by": "luck"}, "'by'"),
        ({"quantiles": [0.1, 0.9], "low": 1}, "unknown key 'low'"),
    ],
)
def test_settings_are_refused_with_the_reason(values, complaint):
    with pytest.raises(FerrojaxError, match=complaint):
        read_section(SelectConfig, values)


def deviation(size):
    return Deviation(np.array(0.0), np.full((5, 3), size), np.zeros((3, 3)))


def test_selection_by_size_and_by_chance_without_a_model():
    eps = np.array([0.3, 0.1, 0.9, 0.2, 0.5, 0.4])
    options = {"low_eV_per_A": 0.15, "high_eV_per_A": 0.6, "per_round": 2}
    given = {"measure": None, "model": None, "params": None, "pool": [None] * 6, "deviations": [deviation(x / 3**0.5) for x in eps]}
    highest = select(SelectConfig(by="highest", **options), **given)
    np.testing.assert_allclose(highest.uncertainty, eps)
    assert [list(getattr(highest, name)) for name in ("accurate", "candidate", "failed", "chosen")] == [[1], [0, 3, 4, 5], [2], [4, 5]]
    assert str(highest) == "1 accurate, 4 candidate, 1 failed (levels 150 and 600 meV/Å); 2 chosen"
    chance = [tuple(select(SelectConfig(by="random", **options), seed=seed, **given).chosen) for seed in range(30)]
    assert len(set(chance)) > 5 and {k for pair in chance for k in pair} == {0, 3, 4, 5}
    assert chance[0] == tuple(select(SelectConfig(by="random", **options), seed=0, **given).chosen)
    none = select(SelectConfig(low_eV_per_A=2.0, high_eV_per_A=3.0), **given)
    assert len(none.accurate) == 6 and len(none.chosen) == 0
    with pytest.raises(FerrojaxError, match="needs a last layer"):
        select(SelectConfig(by="d-optimal", **options), **given)


@pytest.mark.slow  # compiles a posterior, a committee and descriptors
def test_selection_from_a_pool():
    model, params = small_model()
    committee = Committee.of(model, [params, jax.tree.map(lambda x: 1.05 * x, params)])
    pool = [polar_perovskite(seed=k, rattle=0.02 * (k % 4 + 1)) for k in range(10)]
    deviations = evaluate(committee, pool, dtype=np.float64)
    eps = max_forces(deviations)
    options = {"quantiles": (0.2, 0.9), "per_round": 3}
    found = {
        by: select(SelectConfig(by=by, **options), committee, model, params, pool, deviations=deviations) for by in ("highest", "farthest")
    }
    for chosen in found.values():
        assert len(chosen.accurate) + len(chosen.candidate) + len(chosen.failed) == 10 and len(chosen.chosen) == 3
        assert set(chosen.chosen) <= set(chosen.candidate)
    assert list(found["highest"].chosen) == sorted(found["highest"].candidate, key=lambda k: -eps[k])[:3]
    # What is labelled is not chosen again, and nothing near it.
    near = select(
        SelectConfig(by="farthest", **options),
        committee,
        model,
        params,
        pool,
        labelled=[pool[found["farthest"].chosen[0]]],
        deviations=deviations,
    )
    assert found["farthest"].chosen[0] not in near.chosen
    assert "candidate" in str(near)
    layer = fit_last_layer(model, params, INFO, frames(7))
    best = select(SelectConfig(by="d-optimal", **options), layer, model, params, pool, deviations=deviations)
    rows = layer.rows([pool[k] for k in best.candidate])
    places = [int(np.flatnonzero(best.candidate == k)[0]) for k in best.chosen]
    top = max(combinations(range(len(rows)), 3), key=lambda subset: information(rows, layer.precision, subset))
    gain = information(rows, layer.precision, places) - information(rows, layer.precision, top)
    assert gain == pytest.approx(0.0, abs=0.05 * abs(information(rows, layer.precision, top) - np.linalg.slogdet(layer.precision)[1]))
