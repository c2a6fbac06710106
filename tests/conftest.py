"""Tests run in float64, because derivatives are checked against finite differences, and with every jaxtyping
annotation of a function checked by beartype.

The fixture ``claim`` ties a measured number to its entry in docs/claims.json. Run pytest with
``--record-claims`` (on one process) to write the numbers there; without it they are checked
against the targets.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests compile much and compute little: unoptimised machine code takes half the time. One thread each, for the
# workers of pytest-xdist share the cores. Must precede JAX.
XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 --xla_cpu_multi_thread_eigen=false"
os.environ.setdefault("XLA_FLAGS", XLA_FLAGS)

import claims
import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
install_import_hook("ferrojax", "typecheck.check_arrays")  # of tests/typecheck.py; must precede ferrojax

# Linux gives a process 65,530 memory mappings and each compiled function takes several: past that XLA crashes.
MAPPINGS, MOST_MAPPINGS = Path("/proc/self/maps"), 20_000

MEASURED: dict[str, tuple[float, str]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-claims", action="store_true", help="write measured numbers to docs/claims.json and the pages made from it")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--record-claims") and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--record-claims needs one process; leave out -n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if jax.default_backend() == "cpu":
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no GPU"))


@pytest.fixture(autouse=True)
def compiled_functions_are_forgotten_in_time() -> Iterator[None]:
    """After a test, drop all compiled functions if they hold too many memory mappings."""
    yield
    if MAPPINGS.exists() and MAPPINGS.read_bytes().count(b"\n") > MOST_MAPPINGS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def claim(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """``claim(id, value)``: this test measured the claim of that id; the worst of several values counts.

    Fails if the value misses the target, unless the register already says that the claim is unmet.
    """
    register = claims.load()
    command = f"python -m pytest {request.node.nodeid.split('[')[0]}"

    def measured(name: str, value: float) -> None:
        entry = register[name]
        worst = min if entry.target.startswith(">") else max
        MEASURED[name] = (worst(float(value), MEASURED.get(name, (float(value),))[0]), command)
        known_unmet = entry.value is not None and not entry.met
        if not (known_unmet or request.config.getoption("--record-claims")):
            assert claims.meets(float(value), entry.target), f"{name}: {value} is not {entry.target} {entry.unit}"

    return measured


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--record-claims") or not MEASURED:
        return
    register = claims.load()
    for name, (value, command) in MEASURED.items():
        claims.update(register, name, value=value, command=command, note="")
    claims.save(register)
    claims.write_pages()
