"""Checkpoints: exact, atomic, and never silently wrong."""

from __future__ import annotations

import gc
import resource
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax.errors import FerrojaxError
from ferrojax.training.checkpoint import Checkpoints

# Where a file cannot be read or written, threads inside Orbax outlive their event loop and complain to it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STATE = {"a": jnp.arange(3000, dtype=jnp.float32) / 7, "b": (jnp.float32(1 / 3), jnp.arange(5, dtype=jnp.int32))}
POSITION = {"epoch": 3, "loss_sum": 0.1 + 0.2, "best": None}


@pytest.fixture
def checkpoints(tmp_path):
    """Three checkpoints written, two kept: steps 2 and 3."""
    made = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in (1, 2, 3):
        made.save(step, {"a": STATE["a"] + step, "b": STATE["b"]}, POSITION | {"step": step})
    yield made
    made.close()
    gc.collect()


def test_arrays_and_position_return_bit_for_bit_and_old_ones_go(checkpoints):
    assert checkpoints.steps == [2, 3]
    state, position = checkpoints.restore(STATE)
    assert position == POSITION | {"step": 3}
    np.testing.assert_array_equal(state["a"], np.asarray(STATE["a"]) + np.float32(3))
    assert state["b"][0].tobytes() == np.float32(1 / 3).tobytes()
    assert state["b"][1].dtype == np.int32
    assert checkpoints.restore(STATE, step=2)[1]["step"] == 2


def _files(folder):
    return [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "removed"])
def test_damage_is_found_and_the_good_one_before_is_named(checkpoints, damage):
    folder = checkpoints.folder / "3"
    backup = shutil.copytree(folder, checkpoints.folder.parent / "backup")
    found = 0
    for file in _files(folder):
        content = (backup / file).read_bytes()
        middle = len(content) // 2
        changed = content[:middle] if damage == "truncated" else content[:middle] + bytes([content[middle] ^ 8]) + content[middle + 1 :]
        (folder / file).unlink() if damage == "removed" else (folder / file).write_bytes(changed)
        try:
            state, position = checkpoints.restore(STATE)
        except FerrojaxError as error:
            found += 1
            assert str(folder) in str(error)
            assert "the checkpoint is damaged" in str(error)
            assert "step 2" in str(error)
        else:  # a file that holds only descriptions: what is read is still right
            assert position == POSITION | {"step": 3}
            np.testing.assert_array_equal(state["a"], np.asarray(STATE["a"]) + np.float32(3))
        (folder / file).write_bytes(content)
    assert found >= 2  # arrays and position at least
    assert checkpoints.restore(STATE)[1]["step"] == 3


def test_checkpoint_of_another_model_is_refused(checkpoints):
    with pytest.raises(FerrojaxError, match="3: the checkpoint is of another model"):
        checkpoints.restore({"a": STATE["a"][:10], "b": STATE["b"]})


def test_full_disk_leaves_the_earlier_checkpoints(checkpoints):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))  # no file may grow beyond this: as good as a full disk
    try:
        with pytest.raises(FerrojaxError, match=r"checkpoint 4 could not be written .*free disk space"):
            checkpoints.save(4, STATE, POSITION)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["2", "3"]
    assert checkpoints.restore(STATE)[1]["step"] == 3
    checkpoints.save(4, STATE, POSITION)
    assert checkpoints.steps == [3, 4]
