"""Sections of YAML configurations, checked field by field, with one sentence for the first fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ferrojax.errors import FerrojaxError


class Section(BaseModel):
    """A part of a configuration; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Section)


def read_section(kind: type[S], source: str | Path | dict[str, Any]) -> tuple[S, Path]:
    """A configuration from a YAML file or a dictionary, and the folder its relative paths start from.

    Raises FerrojaxError, one sentence that names the field and the remedy.
    """
    if isinstance(source, dict):
        return _validated(kind, source, "configuration"), Path()
    path = Path(source)
    return _validated(kind, read_mapping(path, list(kind.model_fields)), str(path)), path.parent


def read_mapping(path: Path, keys: Sequence[str] = ()) -> dict[str, Any]:
    """What a YAML file says, unchecked. ``keys``: those it should have, for the error.

    Raises FerrojaxError, one sentence, if it cannot be read, or is no mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FerrojaxError(f"{path}: cannot be read ({error.strerror}); give the path of a YAML file.") from None
    except yaml.YAMLError as error:
        raise FerrojaxError(f"{path}: not valid YAML ({' '.join(str(error).split())}); mend it there.") from None
    if not isinstance(values, dict):
        raise FerrojaxError(
            f"{path}: not a YAML mapping; " + (f"it needs the keys {', '.join(keys)}." if keys else "write `key: value` lines.")
        )
    return values


def _validated(kind: type[S], values: dict[str, Any], name: str) -> S:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise FerrojaxError(f"{name}: {_sentence(kind, error)}") from None


def _sentence(kind: type[Section], error: ValidationError) -> str:
    # Of a field with several forms (a number or a list of pieces) the fault deepest inside is the one meant.
    first = max(error.errors(), key=lambda e: (e["type"] == "extra_forbidden", len(e["loc"])))
    path = [part for part in first["loc"] if isinstance(part, int) or part.isidentifier() and not part[:1].isupper() and part != "float"]
    field = ".".join(map(str, path)) or "configuration"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{field}'; known keys there: {', '.join(_known(kind, path[:-1]))}."
    if first["type"] == "missing":
        return f"the field '{field}' is missing; add it."
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = "" if isinstance(first["input"], (dict, BaseModel)) else f" (got {first['input']!r})"
    return f"the field '{field}' {reason}{given}; correct it."


def _known(kind: type[Section], path: list[int | str]) -> list[str]:
    for part in path:
        if isinstance(part, str) and part in kind.model_fields:
            kind = next(_sections(kind.model_fields[part].annotation), kind)
    return list(kind.model_fields)


def _sections(annotation: Any):
    """Sections named in a type such as ``float | list[Piece]``."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
