"""Where the optional first-principles data lie: $FERROJAX_SHARED, else ../shared beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("FERROJAX_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def shared_path(name: str) -> Path:
    """Path of a file or folder below the shared data, which may not exist."""
    return SHARED / "data" / name


def needs_shared(name: str) -> Path:
    """The path; skips the test with a reason where it is absent."""
    path = shared_path(name)
    if not path.exists():
        pytest.skip(f"needs {name}: set FERROJAX_SHARED to the folder that holds data/{name}")
    return path
