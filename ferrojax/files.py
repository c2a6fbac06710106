"""Files are written whole or not at all."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ferrojax.errors import FerrojaxError


def write_text(path: Path, text: str) -> None:
    """Write text to a temporary name beside ``path``, then rename it; missing folders are made.

    Raises FerrojaxError, with nothing left behind, if the disk is full or the place cannot be written to.
    """
    write_bytes(path, text.encode("utf-8"))


def write_csv(path: Path, rows: Iterable[Mapping[str, Any] | Sequence[Any]], columns: Sequence[str] | None = None) -> None:
    """As write_text, a table: rows by name, or in the order of ``columns``. What a row by name lacks, or None, stays empty.

    columns: the header; by default, for rows by name, every name in the order they first come.

    Raises ValueError, with nothing written, for a row that does not fit the columns.
    """
    table = list(rows)
    names = list(dict.fromkeys(name for row in table for name in row)) if columns is None else list(columns)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row if isinstance(row, Mapping) else dict(zip(names, row, strict=True)) for row in table)
    write_text(path, text.getvalue())


def write_bytes(path: Path, data: bytes) -> None:
    """As write_text, for bytes; once it returns they are on the disk, not only on their way there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` for a file too large for memory; it becomes ``path`` if the block ends well, and goes if not.

    Raises FerrojaxError if the disk is full or the place cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> FerrojaxError:
    """One sentence for a file that the disk did not take."""
    return FerrojaxError(f"{path}: cannot be written ({error.strerror}); free disk space or choose another place.")
