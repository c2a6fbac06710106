"""The scalar log of a run: one CSV line for each record, and the same as Parquet."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from ferrojax.dynamics.records import Records
from ferrojax.dynamics.undo import UndoFile
from ferrojax.errors import FerrojaxError

# Columns of a record's field, in the order of the file.
COLUMNS: dict[str, tuple[str, ...]] = {
    "step": ("step",),
    "time": ("time_fs",),
    "potential": ("potential_eV",),
    "total": ("total_eV",),
    "conserved": ("conserved_eV",),
    "temperature": ("temperature_K",),
    "dipole": tuple(f"dipole_eA_{a}" for a in "xyz"),
    "field": tuple(f"field_V_per_A_{a}" for a in "xyz"),
    "stress": tuple(f"stress_eV_per_A3_{a}" for a in ("xx", "yy", "zz", "yz", "xz", "xy")),
    "cell": tuple(f"cell_A_{v}{a}" for v in "abc" for a in "xyz"),
}


class Log:
    """log.csv: numbers in full precision, so that reading them back gives the same bits."""

    def __init__(self, file: UndoFile) -> None:
        self.file = file
        if file.size == 0:
            file.append(_lines([[name for names in COLUMNS.values() for name in names]]))

    def append(self, records: Records) -> None:
        """One line for each record."""
        columns = [getattr(records, name).reshape(len(records), -1).tolist() for name in COLUMNS]
        self.file.append(_lines([[x for column in columns for x in column[k]] for k in range(len(records))]))

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Nothing to close but the file."""


def read_log(path: str | Path, dtype: Any = np.float64) -> Records:
    """Records of a log.csv, or of the folder that holds it; a last line cut short is left out.

    Raises FerrojaxError if there is none or its columns are not those of a log.
    """
    path = Path(path) / "log.csv" if Path(path).is_dir() else Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FerrojaxError(f"{path}: cannot be read ({error.strerror}); give the output folder of a run.") from None
    names, *rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))) or [[]]
    if names != [name for group in COLUMNS.values() for name in group]:
        raise FerrojaxError(f"{path}: not the log of a run; its columns should begin with step, time_fs, potential_eV.")
    values, fields, place = np.array(rows, np.float64).reshape(len(rows), len(names)), {}, 0
    for field, columns in COLUMNS.items():
        block = values[:, place : place + len(columns)]
        kind = {"step": np.int32, "time": np.float64}.get(field, dtype)
        fields[field] = (block[:, 0] if len(columns) == 1 else block).astype(kind)
        place += len(columns)
    return Records(**(fields | {"cell": fields["cell"].reshape(-1, 3, 3)}))


def require_parquet() -> None:
    """Raise FerrojaxError unless pandas and pyarrow are there."""
    try:
        import pandas  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise FerrojaxError(
            f"a log in Parquet needs {error.name}, which is not installed; pip install 'ferrojax[parquet]', or keep log: csv."
        ) from None


def write_parquet(source: Path) -> None:
    """log.parquet beside log.csv, in one step."""
    import pandas

    temporary = source.with_name(".log.parquet.tmp")
    with source.open(encoding="utf-8") as stream:
        names, *rows = csv.reader(stream)
    # Parsed here, as the default of pandas before version 3 does not give back the same bits.
    table = pandas.DataFrame(np.array(rows, np.float64).reshape(len(rows), len(names)), columns=names)
    table.astype({"step": np.int64}).to_parquet(temporary)
    temporary.replace(source.with_suffix(".parquet"))


def _lines(rows: list[list]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
