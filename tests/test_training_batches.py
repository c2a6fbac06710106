"""Packing of frames into padded batches: nothing lost, nothing added."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from training_toy import random_frame, random_frames, toy

from ferrojax.errors import FerrojaxError
from ferrojax.training.batches import epoch_order, pack
from ferrojax.training.buckets import Shape, plan_buckets
from ferrojax.training.loss import predict, predict_batch

REFERENCES = {"toy": {"Ba": -1000.0, "Ti": -1000.5, "O": -999.5}}
ALL = ("energy", "forces", "stress", "dipole", "born_charges", "polarizability")


@pytest.fixture(scope="module")
def unequal():
    """Frames of 5 and 10 atoms, some without some labels."""
    rng = np.random.default_rng(1)
    kinds = [
        ((1, 1, 1), ("energy", "forces")),
        ((2, 1, 1), ("forces", "dipole")),
        ((1, 1, 1), ALL),
        ((1, 1, 2), ALL),
        ((1, 1, 1), ("stress",)),
    ]
    return [random_frame(repeats, rng, labels, i) for i, (repeats, labels) in enumerate(kinds)]


def test_padded_batch_predicts_as_each_structure_alone(unequal):
    model = toy()
    params = model.init(jax.random.key(0))
    dataset = pack(unequal[2:4], model, REFERENCES, dtype=np.float64, max_buckets=1)
    bucket = dataset.buckets[0]
    together = jax.jit(lambda batch: predict_batch(model, params, batch))(bucket)
    for row, frame in enumerate(unequal[2:4]):
        state = model.prepare(frame.atoms, dtype=np.float64, kgrid=bucket.kgrid)
        alone = jax.jit(lambda state: predict(model, params, state, born=True))(state)
        for name, value in alone.items():
            padded, n = np.asarray(together[name][row]), len(frame.atoms) if name in ("forces", "born_charges") else None
            np.testing.assert_allclose(padded[:n] if n else padded, value, rtol=1e-10, atol=1e-10)
            assert n is None or not padded[n:].any()


def test_buckets_with_and_without_born_charges(unequal):
    dataset = pack(unequal, toy(), REFERENCES, max_buckets=1)
    assert [sorted(own) for own in dataset.members] == [[0, 1, 4], [2, 3]]
    assert ["born_charges" in bucket.labels for bucket in dataset.buckets] == [False, True]


def test_labels_come_back_and_absent_ones_weigh_nothing(unequal):
    dataset = pack(unequal, toy(), REFERENCES, weights=[1, 2, 3, 4, 5], dtype=np.float64)
    assert sorted(np.concatenate(dataset.members)) == list(range(5))
    for bucket, members in zip(dataset.buckets, dataset.members):
        for row, member in enumerate(members):
            frame = unequal[member]
            for name, weight in bucket.weights.items():
                value = getattr(frame, name)
                assert weight[row] == (0 if value is None else member + 1)
                if value is not None and name != "energy":
                    kept = bucket.labels[name][row]
                    np.testing.assert_array_equal(kept[: len(value)], value)
                    assert not kept[len(value) :].any()  # padding atoms
            assert set(frame.labels()) <= set(bucket.labels)


def test_reference_energy_is_subtracted_in_float64():
    frames = random_frames(3)
    bucket = pack(frames, toy(), REFERENCES, max_buckets=1).buckets[0]
    expected = [f.energy - (-1000.0 - 1000.5 - 3 * 999.5) for f in frames]
    # A float32 difference of numbers near 5000 would be wrong by 2e-4.
    np.testing.assert_allclose(bucket.labels["energy"], expected, rtol=1e-6)
    assert "energy" not in pack(frames, toy(), {"other": {}}).buckets[0].labels


def test_epoch_is_a_function_of_seed_and_epoch_and_covers_all():
    dataset = pack(random_frames(11), toy(), REFERENCES, max_buckets=1)
    first, again, next_epoch, other_seed = (epoch_order(dataset, 4, *key) for key in ((7, 0), (7, 0), (7, 1), (8, 0)))
    flat = [np.concatenate([places for _, places in order]).tolist() for order in (first, again, next_epoch, other_seed)]
    assert flat[0] == flat[1]
    assert flat[0] != flat[2]
    assert flat[0] != flat[3]
    assert set(flat[0]) == set(range(11))
    assert [len(places) for _, places in first] == [4, 4, 4]


def test_topology_is_compact():
    bucket = pack(random_frames(4), toy(), REFERENCES).buckets[0]
    assert bucket.neighbors.dtype.itemsize + 3 * bucket.shifts.dtype.itemsize == 4  # bytes for each slot


def test_few_buckets_hold_every_shape():
    rng = np.random.default_rng(0)
    shapes = [Shape(int(a), int(s), tuple(map(int, k)), bool(b)) for a, s, k, b in zip(
        rng.integers(1, 60, 60), 8 * rng.integers(1, 9, 60), rng.integers(2, 6, (60, 3)), rng.integers(0, 2, 60))]  # fmt: skip
    plan = plan_buckets(shapes, 3)
    assert sum(not shape.born for shape, _ in plan) <= 3
    assert sum(shape.born for shape, _ in plan) <= 3
    assert sorted(np.concatenate([own for _, own in plan])) == list(range(60))
    for shape, own in plan:
        for i in own:
            assert shape.join(shapes[i]) == shape
            assert shape.born == shapes[i].born
    waste = sum(shape.cost * len(own) for shape, own in plan) / sum(shape.cost for shape in shapes)
    one = [max(shapes[i].atoms for i in range(60)), max(s.slots for s in shapes)]
    assert waste < 0.75 * np.prod(one) * 60 / sum(s.atoms * s.slots for s in shapes)


def test_similar_shapes_share_a_bucket():
    shapes = [Shape(40, 64, (4, 4, 4), False)] * 90 + [Shape(40, 72, (4, 4, 5), False)] * 10
    assert len(plan_buckets(shapes, 3)) == 1
    assert len(plan_buckets([Shape(5, 56, (2, 2, 2), False)] * 50 + [Shape(40, 56, (4, 4, 4), False)] * 50, 3)) == 2


def test_bad_frames_are_named():
    with pytest.raises(FerrojaxError, match="no frames"):
        pack([], toy())
    frames = random_frames(2)
    frames[1].forces[3, 0] = np.nan
    with pytest.raises(FerrojaxError, match="toy.xyz, frame 1"):
        pack(frames, toy())
    frames = random_frames(2)
    frames[0].atoms.numbers[0] = 82
    with pytest.raises(FerrojaxError, match="frame 0: the model does not know \\['Pb'\\]"):
        pack(frames, toy())
