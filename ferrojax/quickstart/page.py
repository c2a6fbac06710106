"""The report as one self-contained HTML page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ferrojax.webpage import document, image, table, warning

AXES = ((0, "xx"), (2, "zz"))
QUANTITIES = ("energy", "forces", "stress", "dipole")


def page(folder: Path, report: dict[str, Any], rows: list[tuple[str, str, str]]) -> str:
    """HTML with the figures of ``folder`` inside; ``rows``: structure beside the reference."""
    settings = report["settings"]
    parts = [
        "<h1>ferrojax quick start: PbTiO<sub>3</sub></h1>",
        *map(warning, report["warnings"]),
        _summary(report),
        image(folder / "quickstart.png", "learning curve, force parity, relaxed structure, polarization in a field"),
        "<h2>Errors of the training</h2>",
        _errors(report["training"]),
        "<h2>Relaxed structure</h2>",
        table(("", settings["model"], "GPAW (PBEsol)"), rows),
        '<p class="small">Heights are fractions of c with Pb at 0.0987. The reference was relaxed by GPAW at the settings of the '
        "labels and is no part of the training set. P_s is followed on the straight path from the cubic to the tetragonal phase.</p>",
        "<h2>Born effective charges (e)</h2>",
        _born(report),
        "<h2>Electronic permittivity</h2>",
        "<p>Tetragonal ε<sub>∞</sub>: " + ", ".join(f"{axis} {report['eps_inf'][k][k]:.2f}" for k, axis in AXES) + ".</p>",
        "<h2>Switching barrier and flexoelectric tensor</h2>",
        "".join(f"<p>{escape(line)}</p>" for line in report["derivatives"]),
        '<p class="small">At 0 K, by automatic differentiation through the relaxed structures. All components: report.json.</p>',
        "<h2>Field reversal</h2>",
        _switching(report),
        "<h2>All quantities, held-out frames</h2>",
        image(folder / "training" / "parity.png", "parity plots of the held-out frames"),
        f'<p class="small">ferrojax {report["ferrojax"]}, JAX {report["jax"]}, {escape(report["device"])}, seed {settings["seed"]}. '
        "Every number: report.json.</p>",
    ]
    return document("ferrojax quick start", parts)


def _summary(report: dict[str, Any]) -> str:
    training, settings = report["training"], report["settings"]
    frames = (training["errors_train"]["counts"]["frames"], training["errors_held_out"]["counts"]["frames"])
    return (
        f"<p>The preset <i>{settings['preset']}</i> was trained from scratch for {settings['minutes']:g} minutes "
        f"({training['steps']:,} steps) on {frames[0]} shipped frames of five atoms (GPAW, PBEsol: energy, forces, stress, Berry-phase "
        f"dipole); {frames[1]} frames were held out. So short a training makes a rough potential: a demonstration. "
        f"What follows the errors is of <i>{settings['model']}</i>, the model that comes with the package.</p>"
    )


def _errors(training: dict[str, Any]) -> str:
    rows = []
    for name in QUANTITIES:
        held, seen = training["errors_held_out"][name], training["errors_train"][name]
        rows.append(
            (f"{name} ({held['unit']})", f"{seen['rmse']:.3g}", f"{held['rmse']:.3g}", f"{held['mae']:.3g}", f"{held['label_rms']:.3g}")
        )
    frames = training["errors_held_out"]["counts"]["frames"]
    note = f'<p class="small">{frames} held-out frames: these errors are themselves uncertain by tens of per cent.</p>'
    return table(("", "RMSE, training", "RMSE, held out", "MAE, held out", "rms of the labels"), rows) + note


def _born(report: dict[str, Any]) -> str:
    rows = []
    for name, tensor in report["born_charges_e"].items():
        cubic = np.diag(report["born_charges_cubic_e"][name])
        rows.append((name, *(f"{v:+.2f}" for v in np.diag(tensor)), *(f"{v:+.2f}" for v in cubic)))
    note = '<p class="small">GPAW, for the cubic phase: Pb +3.97, Ti +7.01, O -5.73 along and -2.63 across the Ti-O bond.</p>'
    return table(("", "xx", "yy", "zz", "xx, cubic", "yy, cubic", "zz, cubic"), rows) + note


def _switching(report: dict[str, Any]) -> str:
    switching, settings = report["switching"], report["settings"]
    times = {0: "did not reverse", 1: "reversed once", 2: "reversed with the field, both times"}
    means = ", ".join(f"{name} {value:+.2f}" for name, value in switching["plateaus_C_per_m2"].items())
    return (
        f"<p>Langevin dynamics of {switching['atoms']} atoms at {settings['temperature_K']:g} K (jax-md, compiled with the field "
        f"inside), E<sub>z</sub> = ±{settings['field_V_per_A']:g} V/Å, cell fixed at the relaxed tetragonal one. The polarization "
        f"{times[switching['reversals']]}: mean P<sub>z</sub> late on each plateau (C/m²): {escape(means)}. A field this strong "
        "reverses a perfect crystal at once; in a real one domain walls do it in far weaker fields.</p>"
    )
