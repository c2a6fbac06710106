"""The data sets that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).resolve().parent  # a folder NAME with NAME.extxyz and its card README.md for each


def shipped_datasets() -> list[str]:
    """Names of the data sets that come with the package."""
    return sorted(folder.name for folder in DATA.glob("*/") if (folder / f"{folder.name}.extxyz").exists())


def data_path(data: str | Path, base: str | Path = "") -> Path:
    """The file or folder of a data set: by its path from ``base``, or a shipped one by its name. What exists goes before a name."""
    path = Path(base) / data
    shipped = str(data) in shipped_datasets() and not path.exists()
    return DATA / str(data) / f"{data}.extxyz" if shipped else path
