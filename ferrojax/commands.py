"""What `ferrojax evaluate` and `ferrojax info` do, apart from reading their arguments."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml
from rich.table import Table

from ferrojax import __version__
from ferrojax.data import read_frames
from ferrojax.files import write_text
from ferrojax.potential import Model, load
from ferrojax.terminal import terminal
from ferrojax.training.evaluate import evaluate
from ferrojax.training.plots import parity_plot

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "e3nn-jax", "jax-md", "numpy", "ase", "vesin")
GIB = 2**30


def run_evaluate(path: Path, data: Sequence[Path], output: Path | None, align_energies: bool, plots: Path | None) -> None:
    """Print the errors of a model on labelled data; write them as JSON and as parity plots if asked.

    The JSON holds ``model``, ``data`` and what ``ferrojax.evaluate`` returns.
    """
    model, params, info = load(path)
    frames = [frame for source in data for frame in read_frames(source)]
    metrics = evaluate(model, params, info, frames, align_energies, predictions=plots is not None)
    pairs = metrics.pop("predictions", None)
    if pairs is not None and plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        parity_plot(pairs, plots / "parity.png")
    if output is not None:
        whole = {"model": str(path), "data": [str(source) for source in data], "align_energies": align_energies, **metrics}
        write_text(output, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    console = terminal()
    console.print(error_table(metrics))
    for note in metrics["notes"]:
        console.print(f"note: {note}")


def error_table(metrics: Mapping[str, Any]) -> Table:
    """One row a quantity: RMSE, MAE, rms of the labels, how many values."""
    counts = metrics["counts"]
    table = Table(
        "", "RMSE", "MAE", "label rms", "unit", "values", title=f"{counts['frames']} frames, {counts['atoms']} atoms", title_justify="left"
    )
    for name, row in metrics.items():
        if isinstance(row, dict) and "rmse" in row:
            percent = f" ({row['relative_rmse_percent']:.2g} %)" if "relative_rmse_percent" in row else ""
            numbers = (f"{row['rmse']:.4g}{percent}", f"{row['mae']:.4g}", f"{row['label_rms']:.4g}")
            table.add_row(name.replace("_", " "), *numbers, row["unit"], f"{row['count']:,}")
    return table


def run_info(path: Path | None) -> None:
    """Print versions, devices and precision, or what a model is."""
    terminal().print(_table("environment", environment()) if path is None else _table(str(path), describe(*load(path))))


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
    return rows | {key: _listed(_given(value)) for key, value in info.items()}


def _given(value: Any) -> Any:
    """Without the settings that were left open."""
    if not isinstance(value, dict):
        return [_given(item) for item in value] if isinstance(value, list) else value
    return {key: kept for key, item in value.items() if (kept := _given(item)) not in (None, {}, [])}


def _listed(value: Any) -> str:
    return value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False, allow_unicode=True).removesuffix("...\n").rstrip()


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
