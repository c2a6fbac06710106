"""Relaxation of positions, and of the cell, in a field and under stress: L-BFGS, and Newton's method where that stalls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ferrojax.dynamics.stacking import common_shapes
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.inputs import check_state, checked, checked_stress
from ferrojax.equilibrium.stability import SoftMode, soft_mode
from ferrojax.equilibrium.steps import ROUND, Conditions, Tolerances, descend, each, newton, residual
from ferrojax.equilibrium.symmetry import no_symmetry, space_group, symmetrized
from ferrojax.errors import FerrojaxError
from ferrojax.state import State
from ferrojax.topology import rebuild
from ferrojax.units import GPA

NEWTON_LIMIT = 600  # coordinates: its Hessian costs as many force evaluations
NEAR = Tolerances(1e-2, 0.1 * GPA)  # within these Newton's method may finish what L-BFGS cannot
Vector = Sequence[float] | np.ndarray | Array


@dataclass(frozen=True)
class Relaxation:
    """A relaxed state and how well it converged.

    energy: enthalpy, eV. max_force: largest force on an atom, eV/Å; max_stress: largest difference of the stress from the outer
    one on the strains set free, eV/Å³. steps: iterations over all rounds. converged: False only in what ``relax_many`` gives
    with strict=False. groups: space groups before and after, if the symmetry was kept. softest: the softest mode at the
    fixed cell, if asked for.
    """

    state: State
    energy: float
    max_force: float
    max_stress: float
    steps: int
    converged: bool = True
    groups: tuple[str, str] | None = None
    softest: SoftMode | None = None


def relax(
    enthalpy: Enthalpy,
    params: Any,
    state: State,
    field: Vector = (0.0, 0.0, 0.0),
    cell: bool | np.ndarray = True,
    force_tolerance: float = 1e-3,
    stress_tolerance: float = 0.01 * GPA,
    max_steps: int = 500,
    stress: float | np.ndarray | None = None,
    symmetric: bool = False,
    stability: bool = False,
) -> Relaxation:
    """Nearest minimum of the enthalpy over positions and, unless ``cell`` is False, strain.

        minimise F(R₀ + u, ε, E) - V₀ σ:ε over u and symmetric ε

    L-BFGS on x = (u, J ε), J = (V/N)^(1/3) N^(1/2) (Sheppard et al., J. Chem. Phys. 136, 074103 (2012)), in rounds: after each the
    strain is made part of the state, so that at the end the field is the Cartesian ``field`` and the true (Cauchy) stress is
    ``stress``, and the topology is rebuilt. Where rounding stops L-BFGS, Newton's method ends it (up to 200 atoms), so that
    forces of 1e-8 eV/Å are within reach in float64.

    Args:
        state: from ``model.prepare(atoms, np.float64, skin=1.0)``. field: V/Å; with an enthalpy at fixed D (``Boundary``), D/ε0
            on those axes, zero for an open circuit.
        cell: True, False, or a symmetric (3, 3) mask of the strains set free.
        force_tolerance: eV/Å, on the longest force. stress_tolerance: eV/Å³.
        stress: outside, eV/Å³, tension positive, (3, 3) or a number for all of the diagonal: a pressure p is -p.
        symmetric: first move the structure onto the space group it has within 1e-3 Å, then keep the part that leaves field and stress
            alone; such a point may be a saddle against what breaks the symmetry. stability: report the softest mode.

    Raises FerrojaxError for bad input, if it has not converged after ``max_steps`` iterations or runs away, and if Newton's
    method meets a saddle. A lattice of local modes is relaxed by ``effective.minimise``.
    """
    check_state(state, "relax")
    conditions, before = _conditions(state, field, cell, stress), ""
    if symmetric:
        before = space_group(state)
        state, symmetry = symmetrized(state, conditions.field, conditions.stress)
        conditions = conditions.replace(symmetry=symmetry)
        _check_mask(conditions)
    job, tolerances = _Job(state, conditions), Tolerances(force_tolerance, stress_tolerance)
    _drive(enthalpy, params, [job], tolerances, max_steps)
    if job.stage != "converged":
        raise FerrojaxError(f"relax: {job.failure(tolerances)}")
    groups = (before, space_group(job.state)) if symmetric else None
    softest = soft_mode(enthalpy, params, job.state, field=conditions.field) if stability else None
    return replace(job.result(), groups=groups, softest=softest)


def relax_many(
    enthalpy: Enthalpy,
    params: Any,
    states: Sequence[State],
    field: Vector = (0.0, 0.0, 0.0),
    cell: bool | np.ndarray = True,
    force_tolerance: float = 1e-3,
    stress_tolerance: float = 0.01 * GPA,
    max_steps: int = 500,
    stress: float | np.ndarray | None = None,
    strict: bool = True,
) -> list[Relaxation]:
    """Many structures at once, each as by ``relax``, in the order given.

    Structures whose numbers of atoms round up to the same multiple of 8 are padded to a common shape and relaxed side by side as
    one compiled program; each stops when it has converged. field (n, 3) and stress (n, 3, 3) may be of each structure.

    Raises FerrojaxError that lists the structures that have not converged; with strict=False they are returned as far as they
    came, with ``converged`` False.
    """
    fields = np.broadcast_to(np.asarray(field, float), (len(states), 3)) if np.ndim(field) < 2 else np.asarray(field, float)
    loads = list(np.asarray(stress, float)) if stress is not None and np.ndim(stress) == 3 else [stress] * len(states)
    if len(fields) != len(states) or len(loads) != len(states):
        raise FerrojaxError(f"relax_many: {len(states)} structures, {len(fields)} fields and {len(loads)} stresses; give one each, or one.")
    buckets: dict[int, list[int]] = {}
    for k, state in enumerate(states):
        check_state(state, f"structure {k}")
        buckets.setdefault(-(-len(state.positions) // 8), []).append(k)
    jobs: dict[int, _Job] = {}
    tolerances = Tolerances(force_tolerance, stress_tolerance)
    for places in buckets.values():
        size = max(len(states[k].positions) for k in places)
        for k in places:
            state = _padded(states[k], size)
            jobs[k] = _Job(state, _conditions(state, fields[k], cell, loads[k]))
        _drive(enthalpy, params, [jobs[k] for k in places], tolerances, max_steps)
    bad = [k for k in sorted(jobs) if jobs[k].stage != "converged"]
    if bad and strict:
        raise FerrojaxError(
            f"relax_many: {len(bad)} of {len(states)} structures have not converged, {bad[:20]}; structure {bad[0]}: "
            f"{jobs[bad[0]].failure(tolerances)}"
        )
    return [replace(jobs[k].result(), state=_cut(jobs[k].state, len(state.positions))) for k, state in enumerate(states)]


@dataclass
class _Job:
    """A structure on its way: where it stands, and by what it moves on."""

    state: State
    conditions: Conditions
    energy: float = math.inf
    force: float = math.inf
    stress: float = math.inf
    steps: int = 0
    taken: int = 0
    stage: str = "descend"  # then "newton", "converged", "saddle" or "failed"

    def judge(self, numbers: tuple, tolerances: Tolerances, max_steps: int) -> None:
        """What comes next, after a round that left these residuals."""
        energy, force, stress = map(float, numbers)
        gained = force < 0.5 * self.force or stress < 0.5 * self.stress
        self.energy, self.force, self.stress = energy, force, stress
        near = force < NEAR.force and stress < NEAR.stress and self.state.positions.size <= NEWTON_LIMIT
        if force <= tolerances.force and stress <= tolerances.stress:
            self.stage = "converged"
        elif self.stage == "saddle":
            return
        elif not np.isfinite([energy, force, stress]).all() or self.steps >= max_steps or (self.stage == "newton" and not gained):
            self.stage = "failed"
        elif not gained and self.taken in (0, ROUND):
            self.stage = "newton" if near else ("failed" if self.taken == 0 else "descend")

    def result(self) -> Relaxation:
        return Relaxation(self.state, self.energy, self.force, self.stress, self.steps, self.stage == "converged")

    def failure(self, tolerances: Tolerances) -> str:
        if self.stage == "saddle":
            return f"after {self.steps} steps it meets a saddle, not a minimum (see soft_mode); displace the structure and relax it again."
        return (
            f"not converged after {self.steps} steps: largest force {self.force:.2g} eV/Å (wanted {tolerances.force:.2g}), "
            f"stress {self.stress / GPA:.2g} GPa (wanted {tolerances.stress / GPA:.2g}); start closer to a minimum, allow more steps, "
            "or use float64."
        )


def _drive(enthalpy: Enthalpy, params: Any, jobs: list[_Job], tolerances: Tolerances, max_steps: int) -> None:
    """Rounds until every structure, all of one shape, has converged or failed."""
    while True:
        for job, state in zip(jobs, common_shapes([rebuild(job.state) for job in jobs])):
            job.state = state
        states, conditions = [job.state for job in jobs], [job.conditions for job in jobs]
        for job, numbers in zip(jobs, each(residual, enthalpy, params, states, conditions)):
            job.judge(numbers, tolerances, max_steps)
        budgets = [min(ROUND, max_steps - job.steps) if job.stage == "descend" else 0 for job in jobs]
        if any(budgets):
            moved = each(descend, enthalpy, params, states, conditions, tolerances, budgets)
            for job, (state, count) in zip(jobs, moved):
                if job.stage == "descend":
                    job.state, job.taken, job.steps = state, int(count), job.steps + int(count)
        finishing = [job for job in jobs if job.stage == "newton"]
        for job in finishing:
            ((job.state, stiffness),) = each(newton, enthalpy, params, [job.state], [job.conditions])
            job.steps += 1
            job.stage = "newton" if stiffness > 0 else "saddle"
        if not any(budgets) and not finishing:
            return


def _conditions(state: State, field: Vector, cell: bool | np.ndarray, stress: Any) -> Conditions:
    """Checked, without symmetry."""
    dtype = state.cell.dtype
    mask = np.asarray(cell, float)
    if mask.shape not in ((), (3, 3)) or not np.array_equal(mask, mask.T) or not np.isin(mask, (0, 1)).all():
        raise FerrojaxError("relax: the cell mask must be True, False, or 3 x 3 zeros and ones, symmetric, as a strain is.")
    return Conditions(
        field=checked("field", field, (3,), "V/Å", dtype),
        mask=jnp.asarray(np.broadcast_to(mask, (3, 3)), dtype),
        stress=checked_stress(stress, dtype),
        symmetry=no_symmetry(state),
    )


def _check_mask(conditions: Conditions) -> None:
    """The strains that are free must map among themselves under the symmetry."""
    for unit in np.eye(9).reshape(9, 3, 3):
        free = conditions.mask * conditions.symmetry.tensor(jnp.asarray(unit + unit.T))
        if np.abs(conditions.symmetry.tensor(free) - free).max() > 1e-9:
            raise FerrojaxError(
                f"relax: the cell mask {np.asarray(conditions.mask, int).tolist()} breaks the symmetry {conditions.symmetry.name} that it "
                "should keep; free all strains that are equal by symmetry, or leave out symmetric."
            )


def _padded(state: State, size: int) -> State:
    """With padding atoms up to a size."""
    missing = size - len(state.positions)
    if not missing:
        return state
    positions, numbers = jnp.pad(state.positions, ((0, missing), (0, 0))), jnp.pad(state.numbers, (0, missing))
    return rebuild(state.replace(positions=positions, numbers=numbers))


def _cut(state: State, size: int) -> State:
    """Without the padding."""
    if size == len(state.positions):
        return state
    return rebuild(state.replace(positions=state.positions[:size], numbers=state.numbers[:size]))
