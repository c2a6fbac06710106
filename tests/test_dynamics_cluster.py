"""Two processes of four virtual devices each, through jax.distributed."""

import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from replica_worker import wells

from ferrojax.distributed.cluster import gather, initialize, share
from ferrojax.errors import FerrojaxError


def test_shares_are_even_and_complete():
    for count, processes in [(10, 2), (11, 4), (5, 5)]:
        shares = [share(count, k, processes) for k in range(processes)]
        assert sum(shares, []) == list(range(count))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    with pytest.raises(FerrojaxError, match="2 replicas for 3 processes"):
        share(2, 0, 3)


def test_alone_a_process_has_all():
    assert share(4) == [0, 1, 2, 3]
    np.testing.assert_array_equal(gather({"x": np.arange(6.0).reshape(3, 2)}, 3)["x"], np.arange(6.0).reshape(3, 2))


def test_initialize_too_late_says_so():
    jax.devices()
    with pytest.raises(FerrojaxError, match=r"Call initialize\(\) first of all"):
        initialize("localhost:1", 1, 0)


@pytest.mark.slow
def test_two_processes_of_four_devices(tmp_path):
    """Each runs and writes its own five of ten replicas; together they are those of one process."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    worker = Path(__file__).parent / "replica_worker.py"
    command = [sys.executable, str(worker), "many"]
    started = [subprocess.Popen([*command, str(k), "2", str(port), "4", str(tmp_path)]) for k in range(2)]
    try:
        assert [process.wait(timeout=600) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    whole = wells(range(10))
    assert whole.rebuilds.max() > 0
    parts = [np.load(tmp_path / f"process{k}.npz") for k in range(2)]
    assert np.concatenate([part["index"] for part in parts]).tolist() == list(range(10))
    np.testing.assert_allclose(np.concatenate([part["positions"] for part in parts]), whole.state.positions, atol=1e-10)
    gathered = np.load(tmp_path / "gathered.npz")
    assert gathered["devices"].tolist() == [8, 4]
    np.testing.assert_allclose(gathered["total"], whole.records.total, atol=1e-10)
