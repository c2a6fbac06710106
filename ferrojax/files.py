"""Files are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ferrojax.errors import FerrojaxError


def write_text(path: Path, text: str) -> None:
    """Write text to a temporary name beside ``path``, then rename it; missing folders are made.

    Raises FerrojaxError, with nothing left behind, if the disk is full or the place cannot be written to.
    """
    write_bytes(path, text.encode("utf-8"))


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
