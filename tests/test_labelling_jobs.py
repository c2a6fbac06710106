"""Single jobs of a queue: tried again, or removed."""

from __future__ import annotations

import subprocess

import pytest
from ase.db import connect
from labelling_teacher import crystals

from ferrojax import cli
from ferrojax.errors import FerrojaxError
from ferrojax.labelling import Queue, make_engine
from ferrojax.labelling.claims import Worker

FIRST = ("energy", "forces", "stress")


def mixed(path):
    """Jobs 1 and 4 are done, 2 and 3 failed, 5 is pending."""
    queue, structures = Queue(path), crystals(5)
    for k in (1, 2):
        structures[k].positions += 2.0
    queue.add(structures, make_engine("ase:labelling_teacher:moody"), FIRST)
    assert queue.run(limit=4) == {"done": 2, "failed": 2}
    return queue


def numbers(queue):
    return [row.id for row in connect(queue.path).select(sort="id")]


def test_one_job_is_tried_again(tmp_path):
    queue = mixed(tmp_path / "labels.db")
    assert queue.retry([3]) == 1 and [failure["id"] for failure in queue.failures()] == [2]
    for id, words in ((1, "job 1 is done, not failed"), (5, "job 5 is pending, not failed"), (9, "there is no job 9")):
        with pytest.raises(FerrojaxError, match=words):
            queue.retry([2, id])
    assert queue.counts() == {"pending": 2, "running": 0, "done": 2, "failed": 1}
    assert queue.retry() == 1


def test_what_is_pending_or_failed_is_removed_and_may_be_added_again(tmp_path):
    queue = mixed(tmp_path / "labels.db")
    (failure, _), before = queue.failures(), [frame.energy for frame in queue.frames()]
    folder = queue.folder(failure["key"])
    folder.mkdir(parents=True)
    assert queue.remove([2, 5]) == 2 and numbers(queue) == [1, 3, 4] and not folder.exists()
    with pytest.raises(FerrojaxError, match="job 1 is done, not pending or failed; leave it out"):
        queue.remove([3, 1])
    assert numbers(queue) == [1, 3, 4] and [frame.energy for frame in queue.frames()] == before
    assert queue.add(crystals(5)[4:], make_engine("ase:labelling_teacher:moody"), FIRST) == 1
    assert numbers(queue) == [1, 3, 4, 6] and queue.run() == {"done": 1, "failed": 0}
    assert queue.remove(None, ("failed",)) == 1 and queue.remove([1], ("done",)) == 1
    assert queue.counts() == {"pending": 0, "running": 0, "done": 2, "failed": 0} and len(queue.frames()) == 2


def test_a_job_at_which_a_worker_is_stays(tmp_path):
    queue = Queue(tmp_path / "labels.db")
    queue.add(crystals(2), make_engine("ase:labelling_teacher:lennard_jones"), FIRST)
    ended = subprocess.Popen(["true"])
    ended.wait()
    queue.take(Worker("dead", Worker.here().host, ended.pid))
    assert queue.remove([1]) == 1  # nobody is at it any more
    claim = queue.take(Worker.here())
    with pytest.raises(FerrojaxError, match="job 2 is running, not pending or failed"):
        queue.remove([claim.id])
    assert queue.remove(None) == 0 and queue.counts()["running"] == 1


def test_the_command_line(tmp_path, capsys):
    queue = mixed(tmp_path / "labels.db")
    to = ["--queue", str(queue.path)]
    assert cli.main(["label", "retry", "3", *to]) == 0 and "1 failed jobs are pending again" in capsys.readouterr().out
    for arguments in ([], ["2", "--state", "failed"]):
        assert cli.main(["label", "remove", *arguments, *to]) == 2
        message = capsys.readouterr().err
        assert "either the numbers of jobs or --state" in message and message.count("\n") == 1
    assert cli.main(["label", "remove", "1", *to]) == 2 and "job 1 is done" in capsys.readouterr().err
    assert cli.main(["label", "remove", "1", "3", "--finished", *to]) == 0 and numbers(queue) == [2, 4, 5]
    assert cli.main(["label", "remove", "--state", "pending", *to]) == 0 and numbers(queue) == [2, 4]
    assert "1 jobs removed" in capsys.readouterr().out
