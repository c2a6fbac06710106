"""A potential on disk: a folder with ``config.json`` and one checksummed parameter file."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from ferrojax.errors import FerrojaxError
from ferrojax.potential.config import ModelConfig
from ferrojax.potential.model import Model
from ferrojax.shipped import model_folder, shipped_models

FORMAT = 1


def save_model(path: str | Path, model: Model, params: Any, info: Mapping[str, Any]) -> None:
    """Write a model folder; an older model there stays readable until the new one is complete.

    ``info`` is a JSON-like dictionary: ``reference_energies`` {dataset: {element: eV}},
    provenance, errors. Raises FerrojaxError if the disk is full or the folder cannot be made.
    """
    folder = Path(path)
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"/".join(k): np.asarray(v) for k, v in flatten_dict(jax.device_get(params)).items()}
    np.savez(buffer, **arrays)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    name = f"params-{digest[:12]}.npz"
    header = {"format": FORMAT, "config": model.config.to_dict(), "params": {"file": name, "sha256": digest}, "info": dict(info)}
    text = json.dumps(header, indent=1) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / name, data)
        _write(folder / "config.json", text.encode())
        for old in folder.glob("params-*.npz"):
            if old.name != name:
                old.unlink()
    except OSError as error:
        raise FerrojaxError(
            f"{folder}: the model cannot be written ({error.strerror}); free disk space or choose another folder."
        ) from None


def load(path: str | Path) -> tuple[Model, Any, dict[str, Any]]:
    """Model, parameters and info: of a folder written by save_model, or of a model that comes with the package, by name.

        model, params, info = ferrojax.load("pbtio3-v1")

    Raises FerrojaxError if a file is missing, truncated or altered, or was written by a newer version.
    """
    folder = model_folder(path)
    header = _header(folder)
    if header["format"] > FORMAT:
        raise FerrojaxError(f"{folder}: model format {header['format']} is newer than this ferrojax reads ({FORMAT}); update ferrojax.")
    file = folder / header["params"]["file"]
    try:
        data = file.read_bytes()
    except OSError as error:
        raise FerrojaxError(f"{file}: the parameters cannot be read ({error.strerror}); copy the whole model folder again.") from None
    if hashlib.sha256(data).hexdigest() != header["params"]["sha256"]:
        raise FerrojaxError(f"{file}: the parameters are damaged (checksum differs from config.json); copy the model folder again.")
    with np.load(io.BytesIO(data)) as arrays:
        params = unflatten_dict({tuple(key.split("/")): arrays[key] for key in arrays.files})
    model = Model(ModelConfig.from_dict(header["config"]))
    _check_shapes(folder, model, params)
    return model, params, header["info"]


def _header(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        header = json.loads(file.read_text())
        header["format"], header["config"], header["params"]["file"], header["params"]["sha256"], header["info"]
    except OSError as error:
        shipped = "".join(f" or {name}" for name in shipped_models())
        raise FerrojaxError(f"{file}: cannot be read ({error.strerror}); give the folder of a trained model{shipped}.") from None
    except (ValueError, KeyError, TypeError):
        raise FerrojaxError(f"{file}: truncated or not a model's config.json; copy the model folder again.") from None
    return header


def _check_shapes(folder: Path, model: Model, params: Any) -> None:
    """The parameters must be those of the configuration: same names, same shapes."""
    expected = jax.eval_shape(model.init, jax.random.key(0))
    want = {k: v.shape for k, v in flatten_dict(expected).items()}
    have = {k: v.shape for k, v in flatten_dict(params).items()}
    if want != have:
        different = sorted("/".join(k) for k in set(want) ^ set(have) or {k for k in want if want[k] != have[k]})
        raise FerrojaxError(
            f"{folder}: the parameters do not fit the configuration ({different[:3]}); it was made by another version: retrain."
        )


def _write(file: Path, data: bytes) -> None:
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        with open(temporary, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
