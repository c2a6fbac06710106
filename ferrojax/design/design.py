"""The outcome of an optimisation: the optimum, how it was reached, and its confirmation from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from ferrojax.design.here import Structure
from ferrojax.design.problem import Evaluation, Problem, placed
from ferrojax.design.variables import Setting
from ferrojax.errors import FerrojaxError
from ferrojax.paths.space import Point, listed, pack, relist, unpack
from ferrojax.paths.stationary import point_energy_force

AGREEMENT = 1e-5  # relative, of an optimum and its confirmation
NEAR = 1e-4  # eV/Å: where the fresh descent hands over to Newton's method


class Record(NamedTuple):
    """One design that was tried. gradient_norm: projected on the bounds, scaled; lost: why it was refused, if it was."""

    z: Float[np.ndarray, " variables"]
    objective: float
    constraints: Float[np.ndarray, " constraints"]
    gradient_norm: float
    accepted: bool
    lost: str


class Committee(NamedTuple):
    """Objective and constraints at one design by each member, a row a member: mean and standard deviation are the estimate."""

    values: Float[np.ndarray, "members values"]

    @property
    def mean(self) -> Float[np.ndarray, " values"]:
        """Over the members."""
        return self.values.mean(0)

    @property
    def spread(self) -> Float[np.ndarray, " values"]:
        """Standard deviation of the members, with n - 1."""
        return self.values.std(0, ddof=1)


@dataclass(frozen=True)
class Design:
    """An optimum z, its numbers and relaxed structures, and all designs tried, in order."""

    problem: Problem
    z: Float[np.ndarray, " variables"]
    found: Evaluation
    points: dict[str, Point]
    trace: list[Record]
    method: str

    def __str__(self) -> str:
        constraints = "".join(f"; {name} = {v:.6g}" for name, v in zip(self.problem.constraints, self.found.constraints))
        accepted = sum(record.accepted for record in self.trace)
        return (
            f"objective {self.found.objective:.8g} at {self.problem.describe(self.z)}{constraints}; {accepted} accepted of "
            f"{len(self.trace)} designs"
        )

    def confirm(self, tolerance: float = AGREEMENT) -> Float[np.ndarray, " values"]:
        """Objective and constraints by a fresh calculation at the optimum, without derivatives and without the path that led there.

        Minima are found by plain descent from the structures as first given, saddles by the search from there.
        Raises FerrojaxError if a number differs by more than ``tolerance``, relative: the structures followed are others than those a
        calculation at z finds.
        """
        fresh = self.problem.value(self.z, fresh_points(self.problem, self.z))
        known = np.concatenate([[self.found.objective], self.found.constraints])
        off = np.abs(fresh - known) / np.maximum(np.abs(known), 1e-12)
        if not off.max() <= tolerance:
            k = int(np.nanargmax(off)) if np.isfinite(off).any() else 0
            name = ["the objective", *self.problem.constraints][k]
            raise FerrojaxError(
                f"design: not confirmed: {name} is {known[k]:.8g} at the optimum, but {fresh[k]:.8g} by a calculation from scratch "
                f"(relative difference {off[k]:.2g}, allowed {tolerance:g}): the structures followed are not those that the first "
                "ones lead to; give starts nearer to the optimum."
            )
        return fresh

    def committee(self, members: Sequence[Any]) -> Committee:
        """The numbers at the optimum by other parameter sets, each with its own relaxed structures.

        Raises FerrojaxError for fewer than two members, and if one loses a structure.
        """
        if len(members) < 2:
            raise FerrojaxError(f"design: a committee needs at least 2 parameter sets; got {len(members)}.")
        rows = []
        for params in members:
            base: Setting = self.problem.base.replace(params=params)
            rows.append(self.problem.value(self.z, self.problem.relaxed(self.z, self.points, base), base))
        return Committee(np.array(rows))


def fresh_points(problem: Problem, z: Float[np.ndarray, " variables"]) -> dict[str, Point]:
    """The structures at z from those first given: minima by BFGS in coordinates and free strains, then all as ``Problem.relaxed``."""
    setting = problem.setting(jnp.asarray(z))
    near = {
        name: point if problem.structures[name].saddle else _descended(problem, setting, problem.structures[name])
        for name, point in problem.first().items()
    }
    return problem.relaxed(z, near)


def _descended(problem: Problem, setting: Setting, structure: Structure) -> Point:
    point, conditions = placed(setting, structure, structure.point)
    listing = [point]

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        here = unpack(jnp.asarray(x), listing[0], structure.free)
        if not bool(listed(here)):
            listing[0] = relist(here)
        energy, force = point_energy_force(problem.enthalpy, conditions, listing[0], jnp.asarray(x))
        return float(energy), np.asarray(-force)

    found = minimize(value, np.asarray(pack(point, structure.free)), jac=True, method="BFGS", options={"gtol": NEAR})
    return unpack(jnp.asarray(found.x), listing[0], structure.free)
