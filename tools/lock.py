"""Print the installed versions of ferrojax's dependencies, test extra included, as pip constraints."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


def normal(name: str) -> str:
    """Name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: list[str]) -> dict[str, str]:
    """Versions of the given requirements and of all that they pull in here."""
    versions: dict[str, str] = {}
    seen: set[str] = set()
    queue = [(Requirement(text), {""}) for text in requirements]
    while queue:
        wanted, extras = queue.pop()
        applies = wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras)
        if not applies or str(wanted) in seen:
            continue
        seen.add(str(wanted))
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:
            raise SystemExit(f"{wanted.name} is not installed here; run `make venv`, then `make lock`.") from None
        versions[normal(wanted.name)] = found.version
        queue += [(Requirement(text), {"", *wanted.extras}) for text in found.requires or []]
    return versions


def main() -> None:
    """Write the constraints to standard output, sorted."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    print("# Versions the tests ran with; pip constraints, used by make venv. Refresh with make lock.")
    for name, version in sorted(closure(project["dependencies"] + project["optional-dependencies"]["test"]).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
