"""The report of a test as one self-contained HTML page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from ferrojax.pto_test.papers import HEATED, ZERO_KELVIN
from ferrojax.webpage import document, image, table, warning


def page(folder: Path, report: dict[str, Any]) -> str:
    """HTML with the figures of ``folder`` inside."""
    parts = [f"<h1>PTO-test of {escape(report['name'])}</h1>"]
    if report["departures"]:
        parts.append(warning(f"This is not the protocol, and its verdicts are a first look: {'; '.join(report['departures'])}."))
    parts += [
        "<h2>Criteria</h2>",
        table(("criterion", "", "found"), [(v["criterion"], v["verdict"], v["found"]) for v in report["criteria"]]),
    ]
    parts += ["<h2>0 K</h2>", table(("", "a (Å)", "c (Å)", "c/a", "E(C) - E(T) (eV/f.u.)"), zero_kelvin(report)), _notes(report)]
    if report["npt"] or report["nvt"]:
        what = "lattice constants, their ratio and polarization against temperature"
        parts += ["<h2>Heating</h2>", image(folder / "heating.png", what), table(HEAD, heating(report))]
        parts += [table(("published", "on heating"), HEATED)]
    drawn = [phase for phase in ("tetragonal", "cubic") if (folder / "phonons" / f"{phase}.png").exists()]
    if drawn:
        parts += ["<h2>Phonons</h2>", '<div style="display: flex">']
        parts += [image(folder / "phonons" / f"{phase}.png", f"phonon bands of the {phase} phase") for phase in drawn]
        parts += ["</div>", table(("phase", "lowest (1/cm)", "at q"), phonons(report))]
    if (folder / "efficiency.png").exists():
        parts += ["<h2>Efficiency</h2>", f'<div style="max-width: 24rem">{image(folder / "efficiency.png", "time of a step")}</div>']
    return document(f"PTO-test of {report['name']}", [*parts, _foot(report)])


HEAD = ("", "T (K)", "a (Å)", "c (Å)", "c/a", "P_z (C/m²)", "Lindemann", "")


def zero_kelvin(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows: this potential, then the published ones."""
    found = report["statics"]["tetragonal"] or {}
    mine = (report["name"], found.get("a"), found.get("c"), found.get("c/a"), report["energy_cubic_minus_tetragonal_eV"])
    return [(row[0], *map(_number, row[1:], (3, 3, 3, 3))) for row in (mine,)] + [
        (row[0], *map(_number, row[1:], (2, 2, 2, 2))) for row in ZERO_KELVIN
    ]


def heating(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row a run."""
    rows = []
    for kind, name in (("npt", "constant stress"), ("nvt", "experimental cell")):
        for run in report[kind]:
            means = run.get("means", {})
            numbers = (_number(means.get(key), digits) for key, digits in (("a", 3), ("c", 3), ("c/a", 4), ("Pz", 3), ("lindemann", 3)))
            rows.append((name, f"{run['temperature_K']:g}", *numbers, run.get("message", "")))
    return rows


def phonons(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of both phases."""
    found = report["phonons"].items()
    rows = [(phase, x) for phase, x in found if x]
    return [(phase, _number(x.get("lowest_per_cm"), 1), " ".join(f"{q:g}" for q in x.get("wave", ())) or x["message"]) for phase, x in rows]


def _notes(report: dict[str, Any]) -> str:
    lines = []
    for phase, found in report["statics"].items():
        if found and found["status"] != "finished":
            lines.append(f"{phase} phase: {found['message']}")
        elif found and not found["converged"]:
            lines.append(f"{phase} phase: not converged, largest force {found['max_force_eV_per_A']:.2g} eV/Å.")
    cubic = report["statics"]["cubic"]
    if cubic and "a" in cubic:
        lines.append(f"Cubic phase: a = {cubic['a']:.3f} Å.")
    return "".join(f'<p class="small">{escape(line)}</p>' for line in lines)


def _foot(report: dict[str, Any]) -> str:
    charges = ", ".join(f"{name} {value:g}" for name, value in report["settings"]["born_charges"].items())
    text = (
        f"P_z from displacements and the Born charges of the cubic phase (e: {charges}). Lindemann ratio: rms displacement within a "
        "sublattice over the Ti-O distance. Published numbers: perspective on machine-learned potentials for ferroelectrics and its "
        f"PTO-test. ferrojax {report['ferrojax']}. Every number: report.json."
    )
    return f'<p class="small">{escape(text)}</p>'


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
