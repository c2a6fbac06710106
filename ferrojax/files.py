"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from ferrojax.errors import FerrojaxError


def write_text(path: Path, text: str) -> None:
    """Write text to a temporary name beside ``path``, then rename it; missing folders are made.

    Raises FerrojaxError, with nothing left behind, if the disk is full or the place cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise FerrojaxError(f"{path}: cannot be written ({error.strerror}); free disk space or choose another place.") from None
    finally:
        temporary.unlink(missing_ok=True)
