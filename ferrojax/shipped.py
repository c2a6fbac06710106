"""The models and the data sets that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).resolve().parent / "models"  # NAME/, a folder as save_model writes it, with its model card
DATA = Path(__file__).resolve().parent / "data"  # NAME/NAME.extxyz, with its card README.md


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in MODELS.glob("*/config.json"))


def shipped_datasets() -> list[str]:
    """Names of the data sets that come with the package."""
    return sorted(path.stem for path in DATA.glob("*/*.extxyz") if path.stem == path.parent.name)


def model_folder(model: str | Path, base: str | Path = "") -> Path:
    """The folder of a model: by its path from ``base``, or a shipped one by its name. A model at that path goes before a name."""
    path = Path(base) / model
    return path if str(model) not in shipped_models() or (path / "config.json").exists() else MODELS / str(model)


def data_path(data: str | Path, base: str | Path = "") -> Path:
    """The file or folder of a data set: by its path from ``base``, or a shipped one by its name. Data at that path go before a name."""
    path = Path(base) / data
    there = path.is_file() or any(path.rglob("type.raw")) or any(path.rglob("*xyz"))
    return path if there or str(data) not in shipped_datasets() else DATA / str(data) / f"{data}.extxyz"
