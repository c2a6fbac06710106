"""One system in slabs over several devices: the numbers of one device, in the user's order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decomposition_worker import CASES, MORE_CASES

from ferrojax.distributed.halo import find_halos, slab_atoms

WORKER = Path(__file__).with_name("decomposition_worker.py")
Results = dict[str, np.ndarray]


def _results(folder: Path, *checks: str) -> Results:
    """What the worker found with eight virtual devices on the CPU."""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    subprocess.run([sys.executable, str(WORKER), str(folder / "results.npz"), *checks], env=environment, check=True)
    with np.load(folder / "results.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return _results(tmp_path_factory.mktemp("quick"), "agreement", "validity", "refusals")


@pytest.fixture(scope="module")
def more_results(tmp_path_factory) -> Results:
    return _results(tmp_path_factory.mktemp("slow"), "more_agreement", "second_derivatives", "trajectory")


def _assert_same(results: Results, group: str, tolerance: float = 1e-11) -> float:
    """The largest difference between one device and many relative to the largest value; every quantity within the tolerance."""
    alone = {key: value for key, value in results.items() if key.startswith(f"{group}/alone/")}
    assert alone and all(np.abs(value).max() > 1e-3 for value in alone.values())
    worst = 0.0
    for key, value in alone.items():
        difference = np.abs(results[key.replace("/alone/", "/many/")] - value).max() / np.abs(value).max()
        assert difference < tolerance, key
        worst = max(worst, difference)
    return worst


def _check_case(results: Results, check: str, case: tuple[str, str, int], claim) -> None:
    group = f"{check}/{case[0]}-{case[1]}-{case[2]}"
    _assert_same(results, group)
    alone, many = (results[f"{group}/{side}/forces"] for side in ("alone", "many"))
    claim("B-decomposition-forces", np.abs(many - alone).max())


@pytest.mark.parametrize("case", CASES)
def test_energy_forces_stress_and_dipole_are_those_of_one_device(results, case, claim):
    _check_case(results, "agreement", case, claim)


@pytest.mark.slow
@pytest.mark.parametrize("case", MORE_CASES)
def test_other_combinations_agree_too(more_results, case, claim):
    _check_case(more_results, "more_agreement", case, claim)


@pytest.mark.slow
def test_born_charges_and_parameter_gradients_of_forces_are_those_of_one_device(more_results):
    for quantity in ("born", "parameters"):
        alone, many = (more_results[f"second_derivatives/{side}/{quantity}"] for side in ("alone", "many"))
        assert np.abs(alone).max() > 1
        np.testing.assert_allclose(many, alone, atol=1e-11 * np.abs(alone).max())


@pytest.mark.slow
def test_a_run_across_rebuilds_follows_the_trajectory_of_one_device(more_results):
    rebuilds = [int(more_results[f"trajectory/{side}/rebuilds"]) for side in ("alone", "many")]
    assert rebuilds[0] == rebuilds[1] > 1
    for quantity in ("positions", "dipole", "total"):
        alone, many = (more_results[f"trajectory/{side}/{quantity}"] for side in ("alone", "many"))
        np.testing.assert_allclose(many, alone, rtol=0, atol=1e-9, err_msg=quantity)


def test_a_stale_or_incomplete_halo_is_flagged_and_a_rebuild_mends_it(results):
    valid = {key.split("/")[-1]: bool(value) for key, value in results.items() if key.startswith("validity/valid/")}
    assert valid == {"fresh": True, "moved": False, "stale": False, "again": True, "cramped": False, "wider": True} | {
        "near": True,
        "crowded": False,
        "less_crowded": True,
    }
    _assert_same(results, "validity/widened")
    _assert_same(results, "validity/narrow")


def test_atoms_that_moved_to_other_slabs_change_owners_but_not_the_order_of_results(results):
    assert results["validity/moved_home"] < 0.2  # a third of the cell along the slabs: few atoms stay
    _assert_same(results, "validity/migrated")
    assert not results["validity/recompiled"]


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        ("thin", "thinner than cutoff + skin = 4.20 Å; use at most 4 devices"),
        ("few", "8 devices for 5 atoms"),
        ("none", "at least one device"),
        ("twice", "model.prepare"),
        ("bare", "model.prepare"),
        ("outside", "the state is decomposed"),
    ],
)
def test_what_cannot_be_decomposed_is_refused_with_a_remedy(results, attempt, words):
    assert words in str(results[f"refusals/{attempt}"])


def _listing(rng: np.random.Generator, atoms: int, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random heights on a ring of length one, and the neighbours of each atom within reach, in padded slots."""
    height = rng.random(atoms)
    apart = np.abs((height[:, None] - height + 0.5) % 1 - 0.5)
    near = (apart < reach) & ~np.eye(atoms, dtype=bool)
    slots = near.sum(1).max() + 2
    order = np.argsort(~near, axis=1, kind="stable")[:, :slots]
    mask = np.take_along_axis(near, order, 1)
    return height, (order * mask).astype(np.int32), mask


def _in_slabs(x: np.ndarray, owned: np.ndarray) -> np.ndarray:
    """Rows in the order of the slabs, zero where a slab is padded."""
    return np.concatenate([x, np.zeros_like(x[:1])])[owned.ravel()]


def _extended(owned: np.ndarray, halos) -> np.ndarray:
    """Atoms behind the extended rows of each slab, by the exchange that ``Slabs.extend`` makes."""
    left, right = np.roll(owned, 1, axis=0), np.roll(owned, -1, axis=0)
    from_left = np.take_along_axis(left, np.roll(halos.to_right, 1, axis=0), 1)
    from_right = np.take_along_axis(right, np.roll(halos.to_left, -1, axis=0), 1)
    return np.concatenate([owned, from_left, from_right], 1)


@pytest.mark.parametrize("devices", [1, 2, 3, 4, 8])
def test_halo_indices_lead_to_the_atoms_of_the_neighbour_lists(devices):
    rng = np.random.default_rng(devices)
    height, neighbors, mask = _listing(rng, 90, 0.08)
    numbers = np.where(np.arange(90) % 9 == 4, 0, 8)  # a ninth of the atoms is padding
    neighbors, mask = neighbors * (numbers[:, None] > 0), mask & (numbers[:, None] > 0) & (numbers[neighbors] > 0)
    owned = slab_atoms(numbers, height, devices)
    assert sorted(owned[owned < 90]) == list(np.flatnonzero(numbers))
    padded = [_in_slabs(x, owned) for x in (neighbors, mask)]
    halos = find_halos(owned, *padded)
    assert not halos.overflow
    np.testing.assert_array_equal(halos.mask, padded[1])
    slab = np.repeat(np.arange(devices), owned.shape[1])[:, None]
    found = _extended(owned, halos)[slab, halos.neighbors]
    np.testing.assert_array_equal(found[halos.mask], padded[0][halos.mask])


def test_a_halo_without_room_drops_pairs_and_says_so():
    height, neighbors, mask = _listing(np.random.default_rng(0), 60, 0.08)
    owned = slab_atoms(np.ones(60, int), height, 4)
    listing = _in_slabs(neighbors, owned), _in_slabs(mask, owned)
    full, tight = find_halos(owned, *listing), find_halos(owned, *listing, places=1)
    assert tight.overflow and not full.overflow
    assert 0 < (full.mask & ~tight.mask).sum() and not (tight.mask & ~full.mask).any()


def test_slabs_thinner_than_the_reach_have_no_halo():
    height, neighbors, mask = _listing(np.random.default_rng(0), 60, 0.3)
    owned = slab_atoms(np.ones(60, int), height, 8)
    assert find_halos(owned, _in_slabs(neighbors, owned), _in_slabs(mask, owned)) is None
