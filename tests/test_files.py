"""Files whole or not at all: tables."""

from __future__ import annotations

import errno
import os

import pytest

from ferrojax.errors import FerrojaxError
from ferrojax.files import write_csv


def test_a_table_of_rows_by_name_has_all_their_columns(tmp_path):
    file = tmp_path / "new" / "table.csv"
    write_csv(file, [{"wall": "180° A", "atoms": 50}, {"wall": "90°, B", "energy": 0.1 + 0.2, "atoms": None}])
    assert file.read_bytes() == 'wall,atoms,energy\n180° A,50,\n"90°, B",,0.30000000000000004\n'.encode()
    write_csv(file, [{"b": 1, "a": 2}], ("a", "b"))
    assert file.read_bytes() == b"a,b\n2,1\n"


def test_a_table_of_rows_in_order_has_the_columns_given(tmp_path):
    file = tmp_path / "table.csv"
    write_csv(file, zip((1, 2), ("0.50", None)), ("seed", "field"))
    assert file.read_bytes() == b"seed,field\n1,0.50\n2,\n"
    write_csv(file, [], ("seed", "field"))
    assert file.read_bytes() == b"seed,field\n"


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    file = tmp_path / "table.csv"
    write_csv(file, [(1,)], ("seed",))
    for misfit in ((1, 2), {"sead": 1}):
        with pytest.raises(ValueError):
            write_csv(file, [(3,), misfit], ("seed",))

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FerrojaxError, match=r"table.csv: cannot be written \(No space left on device\)"):
        write_csv(file, [(3,)], ("seed",))
    assert file.read_bytes() == b"seed\n1\n" and list(tmp_path.iterdir()) == [file]
