"""Are forces and stress the derivatives of the energy? Work against energy difference over pairs of similar frames.

Between frames i and j of one system, to third order in their difference (trapezoidal rule),

    E_j - E_i = a · [-½(F_i + F_j)·dr] + b · [½(V_i σ_i + V_j σ_j):dε],    a = b = 1.

A fitted a or b other than 1 names a sign or a unit: b = -1 is a swapped virial, b = 1/160.2 a stress in GPa.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ferrojax.data.checks.pairs import Pairs, cells_of, groups, near_pairs
from ferrojax.data.frame import Frame
from ferrojax.data.report import Finding
from ferrojax.units import COULOMB, GPA

HARTREE = 27.211386
BOHR = COULOMB / HARTREE
TOLERANCE = 0.25  # relative; the trapezoidal rule over the distances found in MD data is this good
FLOOR = 0.02  # least error claimed for a slope
CURVATURE = 2.0  # 1/Å²; with the square of a pair's distance, the error of the trapezoidal rule: 4 to 40 % at 0.1 to 0.45 Å in PbTiO3
MIN_PAIRS = 6
STIFFNESS = (0.5, 60.0)  # eV/Å²; median of 122 perovskite systems 6, extremes 1.7 and 15; Hartree and kJ/mol fall outside

# slope -> what is wrong. Slopes that no unit or sign explains are reported as they are.
ENERGY_UNITS = {
    1 / HARTREE: "the energy is in Hartree; multiply it by 27.2114",
    2 / HARTREE: "the energy is in Rydberg; multiply it by 13.6057",
    96.485: "the energy is in kJ/mol; divide it by 96.485",
    23.06: "the energy is in kcal/mol; divide it by 23.06",
    1e3: "the energy is in meV; divide it by 1000",
    -1.0: "the sign of the energy is swapped; change it",
}
FORCE_UNITS = {
    -1.0: "the forces are gradients (+dE/dR); change their sign",
    HARTREE / BOHR: "the forces are in Hartree/Bohr; multiply them by 51.422",
    0.5 * HARTREE / BOHR: "the forces are in Rydberg/Bohr; multiply them by 25.711",
    BOHR: "the positions are in Bohr; multiply positions and cell by 0.529177",
    1 / BOHR: "the forces are per Bohr; multiply them by 1.8897",
    10.0: "the positions are in nm; multiply positions and cell by 10",
    1e-3: "the forces are in meV/Å; divide them by 1000",
    1 / 96.485: "the forces are in kJ/mol/Å; divide them by 96.485",
    1 / 23.06: "the forces are in kcal/mol/Å; divide them by 23.06",
}
STRESS_UNITS = {
    -1.0: "the sign of the virial is swapped; the stress must be positive in tension (stress = -virial/V)",
    GPA: "the stress is in GPa; multiply it by 0.00624151",
    -GPA: "the stress is a pressure in GPa; multiply it by -0.00624151",
    0.1 * GPA: "the stress is in kbar; multiply it by 0.000624151",
    -0.1 * GPA: "the stress is a pressure in kbar (VASP's sign); multiply it by -0.000624151",
    HARTREE / BOHR**3: "the stress is in Hartree/Bohr³; multiply it by 183.631",
    0.5 * HARTREE / BOHR**3: "the stress is in Rydberg/Bohr³; multiply it by 91.816",
    -HARTREE / BOHR**3: "the stress is a pressure in Hartree/Bohr³; multiply it by -183.631",
    -0.5 * HARTREE / BOHR**3: "the stress is a pressure in Rydberg/Bohr³; multiply it by -91.816",
}


class Slopes(NamedTuple):
    """Fitted a (forces) and b (stress) with standard errors; NaN where there is no evidence.

    bias: the share of the error, relative, that the trapezoidal rule makes in all pairs alike.
    """

    value: np.ndarray
    error: np.ndarray
    pairs: int
    bias: float
    atoms: float = 0.0
    volume: float = 0.0
    stiffness: float = np.nan  # eV/Å²


def check_work(frames: Sequence[Frame]) -> list[Finding]:
    """One verdict on energy and forces and one on the stress a data set, and one for each file that departs from it."""
    findings: list[Finding] = []
    usable = [f for f in frames if f.energy is not None and f.forces is not None]
    for dataset in dict.fromkeys(frame.dataset for frame in frames):
        fitted = [(g[0], s) for g in groups([f for f in usable if f.dataset == dataset]) if (s := fit_slopes(g)) is not None]
        if not fitted:
            findings.append(
                Finding("info", "work", dataset, "energies, forces and stresses cannot be compared: no pairs of similar frames")
            )
            continue
        total = combine([slopes for _, slopes in fitted])
        findings += _verdict(dataset, total, stress=any(f.stress is not None for f in usable if f.dataset == dataset))
        findings += _departures(fitted, total)
        findings += _stiffness_findings(dataset, float(np.median([slopes.stiffness for _, slopes in fitted])))
    return findings


def fit_slopes(frames: Sequence[Frame]) -> Slopes | None:
    """Weighted least squares of a and b over the near pairs of one group; None without evidence."""
    with_stress = [frame for frame in frames if frame.stress is not None]
    pairs = near_pairs(with_stress if len(with_stress) > 1 else frames)
    if pairs is None or len(pairs.i) < MIN_PAIRS:
        return None
    energies = np.array([frame.energy for frame in pairs.frames], float)
    change = energies[pairs.j] - energies[pairs.i]
    columns = np.stack([_force_work(pairs), _stress_work(pairs) if len(with_stress) > 1 else np.zeros(len(change))], axis=1)
    weight = 1.0 / (pairs.distance**3 + 1e-5)  # the error of the trapezoidal rule is of third order
    value, error = _regression(columns * weight[:, None], change * weight)
    # Anharmonic forces bend all pairs alike, which their scatter does not show.
    bias = float(FLOOR + CURVATURE * np.median(pairs.distance) ** 2)
    error = np.maximum(error, bias * np.abs(value))
    first = pairs.frames[0].atoms
    return Slopes(value, error, len(change), bias, len(first), first.get_volume(), stiffness(pairs))


def combine(fits: Sequence[Slopes]) -> Slopes:
    """Median of the groups weighted by their errors, so that a few wrong files do not hide themselves.

    Anharmonic wells bend the energy of every group the same way, so that part of the error stays however many there are.
    """
    values, errors = np.array([f.value for f in fits]), np.array([f.error for f in fits])
    (force, force_error, a), (stress, stress_error, b) = (_weighted_median(values[:, k], errors[:, k]) for k in range(2))
    pairs, bias = sum(f.pairs for f in fits), fits[a].bias
    value, error = np.array([force, stress]), np.hypot([force_error, stress_error], [bias * force, fits[b].bias * stress])
    return Slopes(value, error, pairs, bias, fits[a].atoms, fits[b].volume)


def _weighted_median(values: np.ndarray, errors: np.ndarray) -> tuple[float, float, int]:
    """Median with weights 1/error², its error from these and from the scatter, and where it stands."""
    finite = np.isfinite(values) & np.isfinite(errors)
    if not finite.any():
        return np.nan, np.inf, 0
    order = np.flatnonzero(finite)[np.argsort(values[finite])]
    cumulative = np.cumsum(1.0 / np.maximum(errors[order], 1e-12) ** 2)
    middle = int(order[np.searchsorted(cumulative, 0.5 * cumulative[-1])])
    median = float(values[middle])
    scatter = 1.4826 * float(np.median(np.abs(values[order] - median)))
    return median, float(np.hypot(1.0 / np.sqrt(cumulative[-1]), scatter / np.sqrt(len(order)))), middle


def stiffness(pairs: Pairs) -> float:
    """Median of -dF·dr / dr² over the pairs, eV/Å²: the absolute scale, where all units are wrong alike."""
    forces = np.array([frame.forces for frame in pairs.frames])
    squared = (pairs.displacement**2).sum(axis=(1, 2))
    product = -((forces[pairs.j] - forces[pairs.i]) * pairs.displacement).sum(axis=(1, 2))
    moved = squared > 1e-6
    return float(np.median(product[moved] / squared[moved])) if moved.any() else np.nan


def explain(slope: float, error: float, table: dict[float, str]) -> str | None:
    """The entry of the table nearest to the slope, if it fits within the tolerance or three errors."""
    factor = min(table, key=lambda f: abs(slope / f - 1.0))
    return table[factor] if agrees(slope, error, factor) else None


def agrees(slope: float, error: float, factor: float = 1.0) -> bool:
    """Whether the slope equals the factor within 25 %, or three errors if these are smaller than the factor."""
    return abs(slope - factor) <= max(TOLERANCE * abs(factor), min(3.0 * error, 0.6 * abs(factor)))


def known(slopes: Slopes, k: int) -> bool:
    """Whether slope k is determined: its error is under a third of its size."""
    return bool(np.isfinite(slopes.value[k]) and slopes.error[k] < abs(slopes.value[k]) / 3)


def _force_work(pairs: Pairs) -> np.ndarray:
    cell_i, cell_j = cells_of(pairs)
    forces = np.array([frame.forces for frame in pairs.frames])
    scaled = forces[pairs.i] @ cell_i.transpose(0, 2, 1) + forces[pairs.j] @ cell_j.transpose(0, 2, 1)
    return -0.5 * (scaled * pairs.shift).sum(axis=(1, 2))


def _stress_work(pairs: Pairs) -> np.ndarray:
    times_volume = np.array([frame.stress * frame.atoms.get_volume() for frame in pairs.frames])
    return 0.5 * ((times_volume[pairs.i] + times_volume[pairs.j]) * pairs.strain).sum(axis=(1, 2))


def _regression(matrix: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares; a column that carries nothing gives NaN. Errors are doubled: pairs share frames."""
    value, error = np.full(2, np.nan), np.full(2, np.inf)
    size = np.linalg.norm(matrix, axis=0)
    used = size > 1e-8 * max(float(np.linalg.norm(target)), 1e-12)
    if used.any():
        scaled = matrix[:, used] / size[used]
        solution = np.linalg.lstsq(scaled, target)[0]
        variance = ((target - scaled @ solution) ** 2).sum() / max(len(target) - used.sum(), 1)
        covariance = np.linalg.pinv(scaled.T @ scaled) * variance
        value[used] = solution / size[used]
        error[used] = 2.0 * np.sqrt(np.diag(covariance)) / size[used]
    return value, error


def _verdict(dataset: str, s: Slopes, stress: bool) -> list[Finding]:
    force_ok = not known(s, 0) or agrees(s.value[0], s.error[0])
    same = known(s, 0) and known(s, 1) and agrees(s.value[1] / s.value[0], s.error[1] / abs(s.value[0]))
    if not force_ok and same:
        return [_finding(dataset, s, 0, "energy", {**ENERGY_UNITS, 1 / s.atoms: "the energy is per atom; multiply by the number of atoms"})]
    findings = [_finding(dataset, s, 0, "forces", FORCE_UNITS if known(s, 1) else {**ENERGY_UNITS, **FORCE_UNITS})]
    if stress:
        virial = {
            1 / s.volume: "the stress is V times too large; divide it by the volume",
            -1 / s.volume: "the stress is a virial in eV; use stress = -virial/V",
        }
        findings.append(_finding(dataset, s, 1, "stress", {**STRESS_UNITS, **virial}))
    return findings


def _finding(dataset: str, s: Slopes, k: int, name: str, table: dict[float, str]) -> Finding:
    against = {"forces": "the work of the forces", "stress": "the work of the stress", "energy": "the work of forces and stress"}[name]
    if not known(s, k):
        return Finding("info", f"work of {name}", dataset, f"the energies say nothing about the {name}: {_why_unknown(k)}")
    slope, error = float(s.value[k]), float(s.error[k])
    values = {"slope": slope, "error": error, "pairs": float(s.pairs)}
    measured = f"energy differences are {slope:.3g} ± {error:.1g} times {against} over {s.pairs} pairs of similar frames"
    if agrees(slope, error):
        return Finding("info", f"work of {name}", dataset, f"{measured}: sign and unit are right", values=values)
    meaning = explain(slope, error, table)
    if meaning is None:
        return Finding("warning", f"work of {name}", dataset, f"{measured}, not 1", f"check sign and unit of the {name}", values)
    what, _, remedy = meaning.partition("; ")
    return Finding("error", f"work of {name}", dataset, f"{measured}: {what}", remedy, values)


def _why_unknown(k: int) -> str:
    return f"no two similar frames differ enough in their {('positions', 'cells')[k]}, or all differ by too much"


def _stiffness_findings(dataset: str, value: float) -> list[Finding]:
    if not np.isfinite(value) or STIFFNESS[0] <= value <= STIFFNESS[1]:
        return []
    sentence = f"forces change by {value:.2g} eV/Å for a displacement of 1 Å, {STIFFNESS[0]} to {STIFFNESS[1]} in solids"
    return [
        Finding("warning", "stiffness", dataset, sentence, "check the unit of the forces, eV/Å (not Hartree, kJ/mol)", {"stiffness": value})
    ]


def _departures(fitted: list[tuple[Frame, Slopes]], total: Slopes) -> list[Finding]:
    """Files whose own slope has the opposite sign of the data set's, beyond three errors."""
    findings = []
    for first, slopes in fitted:
        for k, name in enumerate(("forces", "stress")):
            value, error = slopes.value[k], slopes.error[k]
            if known(slopes, k) and known(total, k) and total.value[k] > 0 and value < 0:
                sentence = f"the sign of the {name} is opposite to the rest of the data set (slope {value:.2f} ± {error:.2f}, not 1)"
                source = first.source.split(", frame")[0]
                findings.append(Finding("error", f"work of {name}", source, sentence, f"change the sign of the {name} of this file"))
    return findings
