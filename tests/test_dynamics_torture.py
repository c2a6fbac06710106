"""Killed at any moment, a run ends with the files and the state of one that was left alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

WORKER = Path(__file__).with_name("md_worker.py")


class Runs:
    """Starts workers that share compiled code."""

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder, self.steps = folder, steps
        # The cache of JAX complains of each file it reads; the level hides that and nothing else of interest.
        cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        self.environment = os.environ | cache | {"JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}

    def start(self, name: str, *limits: int) -> subprocess.Popen:
        command = [sys.executable, str(WORKER), str(self.folder / name), str(self.steps), *map(str, limits)]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, name: str, *limits: int) -> tuple[int, str]:
        process = self.start(name, *limits)
        return_code, errors = process.wait(300), process.stderr.read()
        return return_code, errors

    def kill(self, name: str, dice: random.Random, most: int) -> bool:
        """kill -9 some checkpoints after the start; False if the run was faster."""
        process, begin = self.start(name), newest(self.folder / name)
        wanted = begin + dice.randint(1, most)
        while newest(self.folder / name) < wanted and process.poll() is None:
            time.sleep(0.001)
        time.sleep(dice.uniform(0.0, 0.02))
        process.kill()
        return process.wait() == -9


def newest(folder: Path) -> int:
    return max((int(path.stem) for path in folder.glob("checkpoints/[0-9]*.npz")), default=0)


def differences(one: Path, other: Path) -> int:
    """Bytes of the log, numbers of the trajectory and of the final state that are not the same."""
    logs = [(folder / "log.csv").read_bytes() for folder in (one, other)]
    count = abs(len(logs[0]) - len(logs[1])) + sum(a != b for a, b in zip(*logs))
    with np.load(one / "final.npz") as a, np.load(other / "final.npz") as b:
        count += sum(int((a[name] != b[name]).sum()) for name in a.files)
    with h5py.File(one / "trajectory.h5") as a, h5py.File(other / "trajectory.h5") as b:
        names: list[str] = []
        a.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert len(names) >= 14 and len(a["particles/all/position/value"]) >= 40
        for name in names:
            x, y = a[name][...], b[name][...]
            count += max(x.size, y.size) if x.shape != y.shape else int((~((x == y) | ((x != x) & (y != y)))).sum())
    return count


def torture(tmp_path: Path, steps: int, kills: int, most: int, seed: int) -> int:
    """Differences after kills, a file-size limit that is hit, and a checkpoint and trajectory cut short."""
    runs, dice, folder = Runs(tmp_path, steps), random.Random(seed), tmp_path / "killed"
    assert runs.finish("alone") == (0, "")
    early = runs.start("killed")
    early.stdout.readline()
    time.sleep(dice.uniform(0.0, 2.0))
    early.kill()
    done = sum(runs.kill("killed", dice, most) for _ in range(kills - 1))
    assert done == kills - 1, "the run ended before it was killed often enough; make it longer"
    # The kernel refuses what goes beyond the limit, as it does on a full disk.
    status, errors = runs.finish("killed", (folder / "log.csv").stat().st_size + 3000)
    assert status == 1 and "cannot be written (File too large); free disk space and start again" in errors and "Traceback" not in errors
    last = folder / "checkpoints" / f"{newest(folder):08d}.npz"
    last.write_bytes(last.read_bytes()[:-100])
    with open(folder / "log.csv", "ab") as log, open(folder / "trajectory.h5", "ab") as trajectory:
        log.write(b"12345,6789.0,-3.2")
        trajectory.write(b"\0" * 777)
    status, errors = runs.finish("killed")
    assert status == 0 and "is damaged: going on from the one before it, step " in errors
    return differences(tmp_path / "alone", folder)


@pytest.mark.slow
def test_two_kills_a_full_disk_and_a_truncated_checkpoint_change_nothing(tmp_path):
    assert torture(tmp_path, steps=1500, kills=2, most=15, seed=1) == 0


@pytest.mark.slow
def test_twenty_kills_a_full_disk_and_a_truncated_checkpoint_change_nothing(tmp_path, claim):
    claim("B-torture", torture(tmp_path, steps=6000, kills=20, most=8, seed=2))
