"""Large work space is kept between calls, not fetched from the system again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, ferrojax, jax, jax.numpy as jnp
work = jax.jit(lambda x: x * 2)
x = jnp.ones(20_000_000)  # 80 MB
faults = []
for _ in range(31):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work(x).block_until_ready()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(faults)[15])  # a block may be asked for before the last one is given back, hence the median
"""


def _faults(keep: str) -> int:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "FERROJAX_KEEP_MEMORY": keep}
    return int(subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes the GNU C library")
def test_repeated_calls_fetch_no_new_pages():
    assert _faults("0") > 5000  # 80 MB in pages of 4 kB
    assert _faults("1") < 500
