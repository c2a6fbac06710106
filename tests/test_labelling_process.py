"""Calculations as processes: what they say when they fail, how they are stopped, and that none outlives its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from processes import gone

from ferrojax.labelling import CalculationFailed, leash
from ferrojax.labelling.process import Interrupted, run_command


def test_a_program_that_fails_or_says_nothing(tmp_path):
    with pytest.raises(CalculationFailed, match="python.* ended with status 3; its last words: out of memory"):
        run_command([sys.executable, "-c", "import sys; print('out of memory'); sys.exit(3)"], tmp_path, "log", {}, lambda: False)
    with pytest.raises(CalculationFailed, match="no-such-program ended with status 127"):
        run_command(["no-such-program"], tmp_path, "log", {}, lambda: False)
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        run_command(["sleep", "1000"], tmp_path, "log", {}, lambda: time.monotonic() - begun > 0.3)
    assert time.monotonic() - begun < 8
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['MORE'])"
    run_command([sys.executable, "-c", code], tmp_path, "log", {"MORE": "x"}, lambda: False)
    assert (tmp_path / "log").read_text().split() == [os.environ.get("OMP_NUM_THREADS", "1"), "x"]


def test_a_calculation_ends_with_its_worker(tmp_path):
    """The worker is killed with SIGKILL, so nothing it does can end the calculation."""
    code = f"""
import subprocess, sys, time
command = [sys.executable, {leash.__file__!r}, "sh", "-c", "echo $$ > pid; exec sleep 1000"]
process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(1000)
"""
    worker = subprocess.Popen([sys.executable, "-S", "-c", code], cwd=tmp_path)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.02)
    calculation = int((tmp_path / "pid").read_text())
    os.kill(calculation, 0)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert gone(calculation)
