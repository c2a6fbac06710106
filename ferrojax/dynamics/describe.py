"""The settings of a run as plain values that can be stored, compared and read."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FunctionType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

LARGEST = 64  # elements of an array that is stored as numbers; larger ones as their checksum


def describe(value: Any, depth: int = 12) -> Any:
    """JSON-like description: equal for equal settings, also in another process.

    Objects become their class and fields, functions their name, constants and closed-over values, large arrays a checksum.
    """
    inner = functools.partial(describe, depth=depth - 1)  # a function may close over itself
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else repr(value)
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _describe_array(value)
    if isinstance(value, dict):
        return {str(key): inner(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [inner(item) for item in value]
    if depth > 0 and dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__} | {field.name: inner(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if depth > 0 and isinstance(value, functools.partial):
        return {"function": inner(value.func), "arguments": inner([value.args, value.keywords])}
    if depth > 0 and isinstance(value, FunctionType):
        return _describe_function(value, inner)
    return f"{type(value).__module__}.{type(value).__qualname__}"


def difference(old: Any, new: Any, name: str = "") -> str | None:
    """The first setting in which two descriptions differ, with both values; None if they agree."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            found = difference(old.get(key), new.get(key), f"{name}.{key}" if name else key)
            if found:
                return found
        return None
    return None if old == new else f"{name} was {_short(old)} and is now {_short(new)}"


def checksum(tree: Any) -> str:
    """First digits of the SHA-256 of all arrays of a tree."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def environment() -> dict[str, Any]:
    """Versions, device and the git revision of ferrojax, if it runs from a checkout."""
    versions = {name: package_version(name) for name in ("ferrojax", "jax", "jaxlib", "jax-md", "numpy", "h5py")}
    device = jax.devices()[0]
    return {"versions": versions, "device": f"{device.platform}: {device.device_kind}", "git": git_revision()}


def git_revision() -> str | None:
    """Commit of the checkout that ferrojax is imported from, with "+" if files were changed; None elsewhere."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # the repository around an installed package is not ours
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def now() -> str:
    """Time of day, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _describe_array(value: Any) -> Any:
    if _is_key(value):
        return np.asarray(jax.random.key_data(value)).tolist()
    array = np.asarray(value)
    return describe(array.tolist()) if array.size <= LARGEST else f"array {array.shape} {checksum(array)}"


def _describe_function(function: FunctionType, inner: Callable[[Any], Any]) -> dict[str, Any]:
    code, cells = function.__code__, function.__closure__ or ()
    constants = [x for x in code.co_consts if x != function.__doc__ and _is_plain(x)]
    result = {"function": f"{function.__module__}.{function.__qualname__}", "constants": inner(constants)}
    return result | {name: inner(cell.cell_contents) for name, cell in zip(code.co_freevars, cells)}


def _is_plain(value: Any) -> bool:
    return all(_is_plain(x) for x in value) if isinstance(value, tuple) else isinstance(value, int | float | str)


def _is_key(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def package_version(name: str) -> str | None:
    """Version of an installed package, None if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
