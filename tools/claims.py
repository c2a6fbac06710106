"""The claims register: every number the project states, with the command that reproduces it.

python tools/claims.py check            # fails on a bad entry or a page that is out of date
python tools/claims.py page             # regenerate docs/feature-status.md and the tables in README.md
python tools/claims.py set A-some-id --value 3.2e-9 [--statement ... --unit ... --target "<= 1e-8" --command ...]

A claim that has not been measured has the value null and counts as unmet.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = ROOT / "docs" / "claims.json"
FEATURES = ROOT / "docs" / "features.json"
PAGE = ROOT / "docs" / "feature-status.md"
README = ROOT / "README.md"
TARGET = re.compile(r"^(<=|>=|<|>) *([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)$")
PATHS = re.compile(r"\b(?:tests|benchmarks|experiments|tools)/[\w./-]+")
STATED = "stated"  # a target that any measured value meets: the issue asks for the number, not for a bound
UNMEASURED = "not measured yet"


class Claim(BaseModel):
    """One number: what it is, what was asked of it, and how to get it again."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[A-Z]-[a-z0-9-]+$")
    statement: str = Field(min_length=10)
    value: float | None
    unit: str
    target: str
    met: bool
    command: str = Field(min_length=1)
    device: str | None
    versions: dict[str, str]
    commit: str | None
    note: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Claim:
        if self.value is None:
            if self.met or not self.note.startswith(UNMEASURED):
                raise ValueError(f"a claim without a value is unmet and its note begins with '{UNMEASURED}'")
            return self
        if not (self.device and self.versions.get("jax") and self.commit):
            raise ValueError("a measured claim names device, versions (jax among them) and commit")
        if self.note.startswith(UNMEASURED):
            raise ValueError("the note says it is not measured, but there is a value")
        if is_rule(self.target) and self.met != meets(self.value, self.target):
            raise ValueError(f"met is {self.met}, but the value is {self.value} and the target {self.target}")
        return self


class Feature(BaseModel):
    """A capability, the tests that hold it and the claims made of it."""

    model_config = ConfigDict(extra="forbid")

    feature: str
    where: str
    tests: list[str] = Field(min_length=1)
    claims: list[str] = []
    experimental: bool = False


def meets(value: float, target: str) -> bool:
    """Whether a value satisfies a target such as "<= 27" or "stated"; ValueError if the target is neither."""
    if target == STATED:
        return True
    match = TARGET.match(target)
    if not match:
        raise ValueError(f"target {target!r} is not a comparison with a number")
    bound = float(match[2])
    return {"<=": value <= bound, ">=": value >= bound, "<": value < bound, ">": value > bound}[match[1]]


def is_rule(target: str) -> bool:
    """Whether the target tells by itself if a value meets it; others are judged by whoever measures."""
    return target == STATED or bool(TARGET.match(target))


def load() -> dict[str, Claim]:
    """All claims by id, checked; ValueError names the entry that is wrong."""
    claims: dict[str, Claim] = {}
    for entry in json.loads(CLAIMS.read_text(encoding="utf-8")):
        name = entry.get("id", "(no id)")
        try:
            claim = Claim(**entry)
        except ValidationError as error:
            reasons = "; ".join(f"{'.'.join(map(str, e['loc']))} {e['msg']}".strip() for e in error.errors())
            raise ValueError(f"claims.json, {name}: {reasons}") from None
        if name in claims:
            raise ValueError(f"claims.json, {name}: the id is used twice")
        claims[name] = claim
    return claims


def save(claims: dict[str, Claim]) -> None:
    """Write the register, in one step."""
    write(CLAIMS, json.dumps([c.model_dump() for c in claims.values()], indent=2, ensure_ascii=False) + "\n")


def update(claims: dict[str, Claim], name: str, **changes: Any) -> None:
    """Set fields of a claim, new or old; a new value brings device, versions, commit and met up to date."""
    blank: dict[str, Any] = {"id": name, "value": None, "unit": "", "target": "", "met": False}
    blank |= {"device": None, "versions": {}, "commit": None}
    entry = (claims[name].model_dump() if name in claims else blank) | changes
    if changes.get("value") is not None:
        entry |= {"versions": versions(), "commit": commit(), "device": changes.get("device") or device()}
        entry["note"] = changes.get("note", "" if entry.get("note", "").startswith(UNMEASURED) else entry.get("note", ""))
    elif entry["value"] is None:
        entry["note"] = entry.get("note") or UNMEASURED
    if entry["value"] is not None and is_rule(entry["target"]):
        entry["met"] = meets(entry["value"], entry["target"])
    claims[name] = Claim(**entry)


def versions() -> dict[str, str]:
    """Versions that a number depends on."""
    from ferrojax import __version__

    return {"ferrojax": __version__, "python": platform.python_version(), "jax": version("jax")}


def commit() -> str:
    """Short hash of the checkout."""
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def device() -> str:
    """The accelerator jax runs on, or the processor and its cores."""
    import jax

    if jax.default_backend() != "cpu":
        return str(jax.devices()[0].device_kind)
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    return f"{names[0].strip() if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def pages(claims: dict[str, Claim], features: list[Feature]) -> dict[Path, str]:
    """Every generated file and what it should hold."""
    status = feature_table(claims, features)
    numbers = claim_table(claims)
    page = "\n".join(
        [
            "# Feature status",
            "",
            "Generated by `make docs-pages` from `claims.json` and `features.json`; do not edit.",
            "**validated**: every claim made of it is measured and met. **works**: tested; a claim is unmet, unmeasured, or not made.",
            "**experimental**: may change or be wrong.",
            "",
            status,
            "",
            "## Claims",
            "",
            numbers,
            "",
        ]
    )
    readme = README.read_text(encoding="utf-8")
    return {PAGE: page, README: fill(fill(readme, "features", short_table(claims, features)), "claims", unmet(claims))}


def status_of(claims: dict[str, Claim], feature: Feature) -> str:
    """validated, works or experimental."""
    met = [claim.met for name, claim in claims.items() if matches(name, feature.claims)]
    return "experimental" if feature.experimental else "validated" if met and all(met) else "works"


def short_table(claims: dict[str, Claim], features: list[Feature]) -> str:
    """Markdown table for the README: feature, status, module."""
    rows = [f"| {f.feature} | {status_of(claims, f)} | `{f.where}` |" for f in features]
    return "\n".join(["| feature | status | where |", "|---|---|---|", *rows])


def unmet(claims: dict[str, Claim]) -> str:
    """How many claims are met, and a table of those that are not."""
    left = {name: claim for name, claim in claims.items() if not claim.met}
    return f"{len(claims) - len(left)} of {len(claims)} claims are met. Not met, or not measured:\n\n{claim_table(left)}"


def feature_table(claims: dict[str, Claim], features: list[Feature]) -> str:
    """Markdown table: feature, status, module, tests, claims met."""
    lines = ["| feature | status | where | tests | claims met |", "|---|---|---|---|---|"]
    for f in features:
        met = [claim.met for name, claim in claims.items() if matches(name, f.claims)]
        tests = ", ".join(f"[{Path(test).stem}](../{test})" for test in f.tests)
        lines.append(f"| {f.feature} | {status_of(claims, f)} | `{f.where}` | {tests} | {f'{sum(met)} of {len(met)}' if met else '–'} |")
    return "\n".join(lines)


def claim_table(claims: dict[str, Claim]) -> str:
    """Markdown table: claim, value, target, met, device, command."""
    lines = ["| claim | measured | target | met | device | command |", "|---|---|---|---|---|---|"]
    for c in sorted(claims.values(), key=lambda c: c.id[0]):
        value = UNMEASURED if c.value is None else f"{c.value:.4g} {c.unit}".strip()
        note = f" ({c.note})" if c.note and c.value is not None else ""
        target = f"{c.target} {c.unit}".strip()
        lines.append(f"| {c.statement}{note} | {value} | {target} | {'yes' if c.met else 'no'} | {c.device or '–'} | `{c.command}` |")
    return "\n".join(lines)


def fill(text: str, name: str, content: str) -> str:
    """Text with the block between <!-- name:begin --> and <!-- name:end --> replaced."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"README.md must hold {begin} and {end} once each")
    return text[: text.index(begin) + len(begin)] + "\n" + content + "\n" + text[text.index(end) :]


def matches(name: str, patterns: list[str]) -> bool:
    """Whether an id is one of the patterns, such as A-ewald-*."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def load_features(claims: dict[str, Claim]) -> list[Feature]:
    """The features; ValueError if one names a test or a claim that does not exist."""
    features = [Feature(**entry) for entry in json.loads(FEATURES.read_text(encoding="utf-8"))]
    for f in features:
        missing = [t for t in f.tests if not (ROOT / t).exists()] + [c for c in f.claims if not fnmatch.filter(claims, c)]
        if missing:
            raise ValueError(f"features.json, {f.feature}: {', '.join(missing)} does not exist")
    orphans = [name for name in claims if not any(matches(name, f.claims) for f in features)]
    if orphans:
        raise ValueError(f"features.json: no feature names the claims {', '.join(sorted(orphans))}")
    return features


def check() -> None:
    """ValueError if an entry is wrong or a generated page is out of date."""
    claims = load()
    for claim in claims.values():
        lost = [p for p in PATHS.findall(claim.command) if not (ROOT / p).exists()]
        if claim.value is not None and lost:
            raise ValueError(f"claims.json, {claim.id}: the command names {', '.join(lost)}, which does not exist")
    stale = [
        str(path.relative_to(ROOT))
        for path, content in pages(claims, load_features(claims)).items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]
    if stale:
        raise ValueError(f"{', '.join(stale)} out of date; run make docs-pages and commit the result")


def write(path: Path, content: str) -> None:
    """Replace a file in one step."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(path)


def write_pages() -> None:
    """Regenerate every page."""
    claims = load()
    for path, content in pages(claims, load_features(claims)).items():
        write(path, content)


def set_claim(arguments: argparse.Namespace) -> None:
    """The `set` command."""
    claims = load() if CLAIMS.exists() else {}
    fields = ("value", "statement", "unit", "target", "command", "device", "note", "met")
    update(claims, arguments.id, **{f: getattr(arguments, f) for f in fields if getattr(arguments, f) is not None})
    save(claims)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="action", required=True)
    commands.add_parser("check", help="fail on a bad entry or a stale page").set_defaults(run=lambda _: check())
    commands.add_parser("page", help="regenerate the pages").set_defaults(run=lambda _: write_pages())
    setter = commands.add_parser("set", help="add a claim or change it; a value stamps device, versions and commit")
    setter.add_argument("id")
    setter.add_argument("--value", type=float)
    for field in ("statement", "unit", "target", "command", "device", "note"):
        setter.add_argument(f"--{field}")
    setter.add_argument("--met", action=argparse.BooleanOptionalAction, help="only for targets that are not comparisons")
    setter.set_defaults(run=set_claim)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except (ValueError, ValidationError) as error:
        print(f"claims: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
