"""Reference energies and splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shared_data import needs_shared

from ferrojax.data import Frame, fit_reference_energies, read_frames, reference_energy, split_frames, validation_indices
from ferrojax.data.reference import energy_residuals
from ferrojax.errors import FerrojaxError


def crystal(symbols: str, energy: float | None, dataset: str = "a", system: str = "s", source: str = "f.xyz, frame 0") -> Frame:
    size = len(Atoms(symbols))
    positions = np.arange(3 * size).reshape(size, 3) / (3 * size)
    return Frame(
        Atoms(symbols, positions=positions, cell=3 * np.eye(3), pbc=True), energy=energy, dataset=dataset, system=system, source=source
    )


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-1e3, 1e3)] * 3))
def test_exact_energies_are_recovered_per_data_set(values):
    table = dict(zip(("Pb", "Ti", "O"), values))
    frames = [
        crystal(f, sum(table[s] for s in Atoms(f).symbols) + shift * len(Atoms(f)), d)
        for f in ("PbO", "TiO2", "PbTiO3", "O2")
        for d, shift in (("a", 0.0), ("b", 7.0))
    ]
    references = fit_reference_energies(frames)
    for element, energy in table.items():
        assert references["a"][element] == pytest.approx(energy, abs=1e-5)
        assert references["b"][element] == pytest.approx(energy + 7.0, abs=1e-5)
    for frame in frames:
        assert reference_energy(frame, references) == pytest.approx(frame.energy, abs=1e-4)


def test_single_composition_gets_the_minimum_norm():
    references = fit_reference_energies([crystal("PbTiO3", -40.0), crystal("PbTiO3", -40.0)])["a"]
    # Minimum norm of (e_Pb + e_Ti + 3 e_O) = -40: proportional to (1, 1, 3).
    assert references == pytest.approx({"Pb": -40 / 11, "Ti": -40 / 11, "O": -120 / 11})


def test_a_few_high_frames_do_not_move_the_zero():
    rng = np.random.default_rng(0)
    low = [crystal("PbTiO3", -40 + 5 * rng.normal(0, 0.01)) for _ in range(100)]
    high = [crystal("PbTiO3", -40 + 5 * 0.77) for _ in range(9)]
    references = fit_reference_energies(low + high)
    assert abs(np.median(energy_residuals(low, references))) < 0.003
    assert energy_residuals(high, references) == pytest.approx(0.77, abs=0.01)


def test_mixed_zeros_are_named():
    frames = [crystal("PbTiO3", -40 + 0.01 * k, source=f"vasp.xyz, frame {k}") for k in range(6)]
    frames += [crystal("PbTiO3", -900 + 0.01 * k, source=f"espresso.xyz, frame {k}") for k in range(5)]
    with pytest.raises(FerrojaxError, match=r"data set 'a' mixes energy zeros.*vasp\.xyz.*espresso\.xyz.*dataset='...'"):
        fit_reference_energies(frames)
    separate = [replace(f, dataset=f.source.split(".")[0]) for f in frames]
    assert set(fit_reference_energies(separate)) == {"vasp", "espresso"}


def test_a_spread_of_energies_is_no_mixture():
    frames = [crystal("PbTiO3", -40 + 5 * x) for x in (0.0, 0.1, 0.2, 0.5, 1.2, 2.0, 3.5)]
    assert set(fit_reference_energies(frames)) == {"a"}


def test_missing_references_are_named():
    references = fit_reference_energies([crystal("PbO", -10.0), crystal("PbO", None)])
    with pytest.raises(FerrojaxError, match="data set 'b' has no reference energies"):
        reference_energy(crystal("PbO", -10.0, "b"), references)
    with pytest.raises(FerrojaxError, match="no reference energy of Ti"):
        reference_energy(crystal("TiO2", -10.0), references)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=12),
    fraction=st.floats(0.05, 0.6),
    seed=st.integers(0, 2**31),
    by=st.sampled_from(["frame", "system"]),
)
def test_splits_are_disjoint_complete_and_reproducible(sizes, fraction, seed, by):
    assume(fraction * sum(sizes) > 1)
    frames = [crystal("PbO", float(k), system=f"s{s}") for s, n in enumerate(sizes) for k in range(n)]
    train, validation = split_frames(frames, fraction, seed, by)
    assert train and validation
    assert {id(f) for f in train} | {id(f) for f in validation} == {id(f) for f in frames}
    assert len(train) + len(validation) == len(frames)
    np.testing.assert_array_equal(validation_indices(frames, fraction, seed, by), validation_indices(frames, fraction, seed, by))
    if by == "frame":
        assert abs(len(validation) - fraction * len(frames)) <= 0.5
        for s, n in enumerate(sizes):
            assert abs(sum(f.system == f"s{s}" for f in validation) - fraction * n) <= 1.0
    else:
        assert not {f.system for f in train} & {f.system for f in validation}


def test_seeds_differ_and_explicit_indices_are_kept():
    frames = read_frames("pbtio3-v1")[:39]
    first, second = (validation_indices(frames, 0.3, seed).tolist() for seed in (0, 1))
    assert first != second
    train, validation = split_frames(frames, by=[3, 1])
    assert [f.source for f in validation] == [frames[1].source, frames[3].source]
    assert len(train) == 37


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fraction": 0.0}, "must lie between 0 and 1"),
        ({"fraction": 0.001}, "validation part of 39 frames would be empty"),
        ({"fraction": 0.999}, "training part of 39 frames would be empty"),
        ({"by": "system"}, "at least two systems"),
        ({"by": "element"}, "by='element' is not known"),
        ({"by": [39]}, "index 39 does not exist"),
        ({"by": [1, 1]}, "listed twice"),
        ({"by": []}, "validation part"),
        ({"by": list(range(39))}, "training part"),
    ],
)
def test_impossible_splits(arguments, message):
    with pytest.raises(FerrojaxError, match=message):
        split_frames(read_frames("pbtio3-v1")[:39], **arguments)


@pytest.mark.shared
def test_unipero_has_one_zero_and_nine_high_frames():
    frames = read_frames(needs_shared("unipero-pbesol"), elements=["Pb", "Sr", "Ti", "O"])
    assert set(fit_reference_energies(frames)) == {"unipero-pbesol"}
