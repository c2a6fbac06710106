"""What `ferrojax evaluate` and `ferrojax info` do."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from ferrojax import __version__
from ferrojax.data import read_frames
from ferrojax.potential import Model, load_model

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "e3nn-jax", "jax-md", "numpy", "ase", "vesin")
GIB = 2**30


def run_info(path: Path | None) -> None:
    """Print versions, devices and precision, or what a model is."""
    Console().print(_table("environment", environment()) if path is None else _table(str(path), describe(*load_model(path))))


def environment() -> dict[str, str]:
    """Versions of ferrojax and its libraries, devices with their memory, and the default precision."""
    rows = {"ferrojax": __version__, "python": platform.python_version()}
    rows |= {name: _version(name) for name in LIBRARIES}
    rows |= {f"device {device.id}": f"{device.device_kind}, {_memory(device)}" for device in jax.devices()}
    rows["processor"] = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    precise = jax.config.jax_enable_x64  # type: ignore[attr-defined]
    rows["precision"] = "float64 enabled (JAX_ENABLE_X64)" if precise else "float32 (set JAX_ENABLE_X64=1 for response calculations)"
    return rows


def describe(model: Model, params: Any, info: dict[str, Any]) -> dict[str, str]:
    """Elements, preset, size, cutoff, training data and errors of a model."""
    config = model.config
    charges = ", ".join(f"{e} {z:+g}" for e, z in zip(config.elements, config.formal_charges))
    rows = {
        "elements (formal charge, e)": charges,
        "preset": config.preset,
        "parameters": f"{sum(np.size(leaf) for leaf in jax.tree.leaves(params)):,}",
        "cutoff": f"{config.cutoff:g} Å",
        "screening ε∞": f"{config.eps_inf:g}",
    }
    return rows | {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in info.items()}


def _table(title: str, rows: dict[str, str]) -> Table:
    table = Table("", "", title=title, show_header=False, title_justify="left")
    for key, value in rows.items():
        table.add_row(key, value)
    return table


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _memory(device: jax.Device) -> str:
    """Memory of an accelerator, or of the machine for the CPU."""
    limit = (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None
    total = limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{total / GIB:.0f} GiB"
