"""Labels for a loop, from a queue in which others may be at work and calculations may have failed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from labelling_teacher import crystals

from ferrojax.errors import FerrojaxError
from ferrojax.labelling import Queue
from ferrojax.labelling.claims import Worker
from ferrojax.learning import labels
from ferrojax.learning.config import LearnConfig
from ferrojax.learning.sources import unlabelled

FIRST = ["energy", "forces", "stress"]


def made(tmp_path, teacher="lennard_jones", **label):
    """Who labels into a folder."""
    section = {"engine": f"ase:labelling_teacher:{teacher}", "properties": FIRST} | label
    needed = {"data": ["a"], "validation": ["b"], "explore": [{"kind": "file", "path": "c"}], "length": {"steps": 1}}
    select = {"low_eV_per_A": 0.1, "high_eV_per_A": 1.0}
    return labels.Labels(LearnConfig.model_validate(needed | {"select": select, "label": section, "output": str(tmp_path)}))


def frames(count):
    return unlabelled(crystals(count), "test")


def test_labels_are_those_of_the_engine_under_the_name_wanted(tmp_path):
    wanted = frames(3)
    found = made(tmp_path, dataset="mine").calculated(wanted[:2], 0, quiet=True)
    assert [frame.dataset for frame in found] == ["mine"] * 2 and all(frame.stress is not None for frame in found)
    plain = made(tmp_path)
    assert all(frame.dataset == plain.engine.dataset for frame in plain.calculated(wanted, 0, quiet=True))
    assert Queue(plain.path).counts()["done"] == 3  # of two calls, with no structure twice


@pytest.mark.parametrize(("engine", "words"), [("espresso", FIRST), ("gpaw", [*FIRST, "dipole"]), ("abinit", FIRST)])
def test_the_properties_are_those_that_the_engine_gives(tmp_path, engine, words):
    assert sorted(made(tmp_path, engine=engine, properties=None).properties) == sorted(words)


def test_what_the_engine_does_not_give_is_refused(tmp_path):
    with pytest.raises(FerrojaxError, match="abinit gives no .*dipole|dipole"):
        made(tmp_path, engine="abinit", properties=["energy", "forces", "dipole"]).properties  # noqa: B018  looked up for its error


def test_what_has_failed_is_not_chosen_again(tmp_path):
    wanted, moody = frames(3), made(tmp_path, "moody")
    wanted[1].atoms.positions += 2.0
    assert moody.possible(wanted) == wanted  # there is no queue yet
    assert len(moody.calculated(wanted, 0, quiet=True)) == 2
    left = moody.possible(wanted)
    assert [frame is wanted[k] for frame, k in zip(left, (0, 2), strict=True)] == [True, True]


def test_what_is_in_hand_elsewhere_is_waited_for(tmp_path, monkeypatch):
    """The worker on another machine finishes while the loop sleeps."""
    wanted, ours = frames(2), made(tmp_path)
    queue = Queue(ours.path)
    queue.add(wanted, ours.engine, ours.properties)
    claim = queue.take(Worker("elsewhere", "another-host", 1))
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        assert queue.counts() == {"pending": 0, "running": 1, "done": 1, "failed": 0}
        label = ours.engine.label(claim.job, queue.folder(claim.job.key), lambda: False)
        assert queue.finish(claim, label, {"key": claim.job.key})

    monkeypatch.setattr(labels, "time", SimpleNamespace(sleep=sleep))
    assert len(ours.calculated(wanted, 0, quiet=True)) == 2 and slept == [labels.POLL]
