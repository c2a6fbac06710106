"""Write labelled frames to extended XYZ, losing no digit."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ferrojax.data.frame import Frame, require_valid
from ferrojax.errors import FerrojaxError


def write_frames(path: str | Path, frames: Iterable[Frame]) -> None:
    """Write frames with all labels, data set and system; `read_frames` gets them back bit for bit.

    The file appears under its name only when complete. Raises FerrojaxError if a frame is invalid, there is none, or the
    disk refuses.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w") as file:
            count = 0
            for frame in frames:
                file.write(_text(require_valid(frame)))
                count += 1
        if count == 0:
            raise FerrojaxError(f"{path}: zero frames to write; give at least one.")
        temporary.replace(path)
    except OSError as error:
        raise FerrojaxError(f"{path}: cannot be written ({error.strerror or error}); check the folder and the free space.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _text(frame: Frame) -> str:
    columns = [frame.atoms.positions]
    properties = "species:S:1:pos:R:3"
    for label in ("forces", "born_charges"):
        value = getattr(frame, label)
        if value is not None:
            columns.append(np.reshape(value, (len(frame.atoms), -1)))
            properties += f":{label}:R:{columns[-1].shape[1]}"
    fields = [f"Lattice={_numbers(frame.atoms.cell.array)}", f"Properties={properties}", 'pbc="T T T"']
    fields += [f"{key}={_quoted(getattr(frame, key))}" for key in ("dataset", "system") if getattr(frame, key)]
    if frame.energy is not None:
        fields.append(f"energy={float(frame.energy)!r}")
    fields += [f"{label}={_numbers(v)}" for label in ("stress", "dipole", "polarizability") if (v := getattr(frame, label)) is not None]
    rows = np.hstack(columns).tolist()
    lines = [f"{symbol} {' '.join(map(repr, row))}" for symbol, row in zip(frame.atoms.symbols, rows)]
    return "\n".join([str(len(frame.atoms)), " ".join(fields), *lines]) + "\n"


def _numbers(values: np.ndarray) -> str:
    """Row-major; repr of a float64 reads back to the same bits."""
    return '"' + " ".join(map(repr, np.ravel(values).astype(float).tolist())) + '"'


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
