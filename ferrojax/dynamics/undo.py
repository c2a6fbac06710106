"""A file that can be put back to what it was at a commit, whatever a kill left of it.

HDF5 rewrites its own bookkeeping in place, so a process killed in the middle leaves a file that no
library opens. Here bytes that a commit covers are copied to an undo file before they
are overwritten, as databases do; bytes beyond it are simply cut off.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from ferrojax.errors import FerrojaxError

_HEAD = struct.Struct("<QQI")  # offset, length, CRC of the bytes that follow
KEPT = 2  # commits one can return to: the last, and the one before should its checkpoint be damaged


class UndoFile:
    """A binary file for reading, writing and seeking (h5py takes it in place of a name) with numbered commits.

    Nothing is buffered here: what a write returned from survives a kill of the process.
    """

    def __init__(self, path: Path, commit: int = 0, size: int = 0) -> None:
        """The file as it was at ``commit``, ``size`` bytes long; commit 0 is the empty file.

        Raises FerrojaxError if it has lost bytes since.
        """
        self.path, self.commit_number, self.committed = path, commit, size
        self.failure: OSError | None = None
        self._saved: set[tuple[int, int]] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "r+b" if path.exists() else "w+b", buffering=0)  # noqa: SIM115  closed by close
        self._roll_back()
        self._undo = open(self._undo_path(commit), "wb", buffering=0)  # noqa: SIM115

    def commit(self, number: int) -> None:
        """From now on this is commit ``number``; to be called once a checkpoint says so."""
        self._undo.close()
        self.commit_number, self.committed = number, self.size
        self._saved.clear()
        self._undo = open(self._undo_path(number), "wb", buffering=0)  # noqa: SIM115
        for old, path in self._undo_files():
            if old <= number - KEPT:
                path.unlink()

    def sync(self) -> None:
        """Wait until the disk has everything. Raises OSError if it did not take it."""
        self.check()
        os.fsync(self._file.fileno())

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self._file.fileno()).st_size

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self.seek(0, os.SEEK_END)
        self.write(data)

    def write(self, data: bytes) -> int:
        """Write at the present place; see ``check``."""
        view = memoryview(data).cast("B")
        self._change(self.tell(), len(view), lambda: _write_all(self._file, view))
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend to ``size``; see ``check``."""
        size = self.tell() if size is None else size
        self._change(size, max(0, self.committed - size), lambda: self._file.truncate(size))
        return size

    def check(self) -> None:
        """Raise the first OSError of a write.

        It is not raised by the write itself, as HDF5 may swallow it or fall over it. After it nothing is
        written any more: the next start returns to a commit.
        """
        if self.failure is not None:
            raise self.failure

    def _change(self, begin: int, length: int, action: Callable[[], object]) -> None:
        """Do something to that many bytes, once they can be brought back."""
        if self.failure is None:
            try:
                self._protect(begin, length)
                action()
            except OSError as error:
                self.failure = error

    def read(self, size: int = -1) -> bytes:
        """Bytes from the present place."""
        return self._file.read(size) or b""

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer from the present place."""
        return self._file.readinto(buffer) or 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The present place."""
        return self._file.tell()

    def flush(self) -> None:
        """Nothing to do: nothing is buffered."""

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._undo.close()

    def _protect(self, begin: int, length: int) -> None:
        """Copy bytes about to be overwritten to the undo file, once for each commit."""
        length = min(begin + length, self.committed) - begin
        if length <= 0 or (begin, length) in self._saved:
            return
        place = self.tell()
        self.seek(begin)
        old = self.read(length)
        self.seek(place)
        _write_all(self._undo, memoryview(_HEAD.pack(begin, len(old), zlib.crc32(old)) + old))
        self._saved.add((begin, length))

    def _roll_back(self) -> None:
        for number, path in reversed(self._undo_files()):
            if number >= self.commit_number:
                for offset, old in reversed(_records(path)):
                    self.seek(offset)
                    _write_all(self._file, memoryview(old))
        if self.size < self.committed:
            self._file.close()
            raise FerrojaxError(
                f"{self.path}: has lost its end since it was written; remove the folder to start the run from the beginning."
            )
        self._file.truncate(self.committed)
        # The newest first: a kill in between must not leave a later one without the one it builds upon.
        for number, path in reversed(self._undo_files()):
            if number >= self.commit_number:
                path.unlink()

    def _undo_path(self, number: int) -> Path:
        return self.path.with_name(f".{self.path.name}.undo-{number:08d}")

    def _undo_files(self) -> list[tuple[int, Path]]:
        return sorted((int(path.name[-8:]), path) for path in self.path.parent.glob(f".{self.path.name}.undo-*"))


def _records(path: Path) -> list[tuple[int, bytes]]:
    """Whole records; a last one cut short belongs to a write that never began."""
    data, place, records = path.read_bytes(), 0, []
    while place + _HEAD.size <= len(data):
        offset, length, crc = _HEAD.unpack_from(data, place)
        old = data[place + _HEAD.size : place + _HEAD.size + length]
        if len(old) < length or zlib.crc32(old) != crc:
            break
        records.append((offset, old))
        place += _HEAD.size + length
    return records


def _write_all(stream, data: memoryview) -> None:
    """A raw file may take less than it is given when the disk is nearly full."""
    while len(data):
        data = data[stream.write(data) or 0 :]
