"""The engines by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ferrojax.errors import FerrojaxError
from ferrojax.labelling.engines.abinit import Abinit
from ferrojax.labelling.engines.base import Engine
from ferrojax.labelling.engines.espresso import Espresso
from ferrojax.labelling.engines.gpaw import Gpaw
from ferrojax.labelling.engines.teacher import AseTeacher, ModelTeacher
from ferrojax.labelling.engines.vasp import Vasp

PROGRAMS: dict[str, type[Engine]] = {engine.family: engine for engine in (Gpaw, Espresso, Vasp, Abinit)}
TEACHERS: dict[str, type[Engine]] = {"model": ModelTeacher, "ase": AseTeacher}


def make_engine(name: str, settings: Mapping[str, Any] | str | Path | None = None, launcher: str = "") -> Engine:
    """The engine ``gpaw``, ``espresso``, ``vasp``, ``abinit``, ``model:PATH`` or ``ase:module:factory``.

    settings: dictionary or YAML file; the defaults otherwise. launcher: as for ``Engine``.
    Raises FerrojaxError for an unknown name or unknown settings.
    """
    kind, _, rest = name.partition(":")
    if kind in PROGRAMS and not rest:
        return PROGRAMS[kind](name, settings, launcher)
    if kind in TEACHERS and rest:
        return TEACHERS[kind](name, settings, launcher)
    raise FerrojaxError(f"engine: {name!r} is not known; choose {', '.join(PROGRAMS)}, model:PATH or ase:module:factory.")
