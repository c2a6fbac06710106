"""The models that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"  # one folder each, as save_model writes it, with its model card


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(folder.name for folder in MODELS.glob("*/") if (folder / "config.json").exists())


def model_folder(model: str | Path, base: str | Path = "") -> Path:
    """The folder of a model: by its path from ``base``, or a shipped one by its name. A folder that exists goes before a name."""
    path = Path(base) / model
    shipped = str(model) in shipped_models() and not path.exists()
    return MODELS / str(model) if shipped else path
