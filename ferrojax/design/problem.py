"""A design problem: variables, the structures that follow them, an objective and constraints."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.design.here import Here, Structure, held_strain, occupied
from ferrojax.design.variables import Setting, Variable
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.linear import require_finite
from ferrojax.errors import FerrojaxError
from ferrojax.paths.saddle import refine_minimum, refine_saddle
from ferrojax.paths.space import Conditions, Point
from ferrojax.paths.stationary import examine

TOLERANCE = 1e-8  # eV/Å: relaxed structures
JUMP = 0.3  # Å: a coordinate that moves farther in one step belongs to another structure
MAX_STEPS = 30  # of a relaxation from near: a structure that needs more is lost
HALVINGS = 5  # of a step on which a structure is lost


@dataclass(frozen=True)
class Constraint:
    """lower <= value(here) <= upper; equal bounds make an equation.

    scale: a change of the value that counts as large. unit: for the figure of the trace.
    """

    value: Callable[[Here], Float[Array, ""]]
    lower: float = -np.inf
    upper: float = np.inf
    scale: float = 1.0
    unit: str = ""

    def __post_init__(self) -> None:
        if not (self.lower <= self.upper and np.isfinite([self.lower, self.upper]).any() and self.scale > 0):
            raise FerrojaxError(f"design: a constraint needs lower <= upper, one of them finite, and a scale above 0; got {self}.")


class Evaluation(NamedTuple):
    """Objective and constraints at a design, and their derivatives by z."""

    objective: float
    constraints: Float[np.ndarray, " constraints"]
    slope: Float[np.ndarray, " variables"]
    constraint_slopes: Float[np.ndarray, "constraints variables"]


@dataclass(frozen=True, eq=False)
class Problem:
    """Find the z within its bounds that minimises (or maximises) objective(here) under constraints.

    enthalpy: of atoms or of a lattice (clamp "fixed": the strain is among the variables and the free strains). base: what the variables
    change. structures: the stationary points to follow, by name. objective: a function of ``Here`` in JAX. unit: of the objective, for the
    figure of the trace.

    Raises FerrojaxError for a problem without variables or structures, and for names used twice.
    """

    enthalpy: Enthalpy
    base: Setting
    variables: Sequence[Variable]
    structures: Mapping[str, Structure]
    objective: Callable[[Here], Float[Array, ""]]
    constraints: Mapping[str, Constraint] = field(default_factory=dict)
    sense: Literal["minimise", "maximise"] = "minimise"
    unit: str = ""

    def __post_init__(self) -> None:
        names = self.names
        if not names or not self.structures or len(set(names)) < len(names):
            raise FerrojaxError(f"design: a problem needs structures and variables with names of their own; got the variables {names}.")

    @property
    def names(self) -> list[str]:
        """Of the variables."""
        return [variable.name for variable in self.variables]

    @property
    def start(self) -> Float[np.ndarray, " variables"]:
        """The z to start from."""
        return np.array([variable.start for variable in self.variables], float)

    @property
    def bounds(self) -> tuple[Float[np.ndarray, " variables"], Float[np.ndarray, " variables"]]:
        """Lower and upper."""
        return np.array([v.lower for v in self.variables], float), np.array([v.upper for v in self.variables], float)

    def setting(self, z: Any, base: Setting | None = None) -> Setting:
        """The setting at a design."""
        here = base or self.base
        for variable, value in zip(self.variables, z):
            here = variable.apply(here, value)
        return here

    def first(self) -> dict[str, Point]:
        """The structures as they were given."""
        return {name: structure.point for name, structure in self.structures.items()}

    def relaxed(self, z: Float[np.ndarray, " variables"], points: Mapping[str, Point], base: Setting | None = None) -> dict[str, Point]:
        """The stationary points at z, from points near them: every one at rest, minima without soft mode, saddles with just one.

        The modes are those of coordinates and free strains together, so a stable minimum also has a positive tensor of the elastic
        constants of the free strains. Nothing is differentiated here. Raises FerrojaxError that says at which z, and the softest mode.
        """
        setting, found = self.setting(jnp.asarray(z), base), {}
        for name, structure in self.structures.items():
            point, conditions = placed(setting, structure, points[name])
            refine = refine_saddle if structure.saddle else refine_minimum
            try:
                found[name] = refine(self.enthalpy, conditions, point, TOLERANCE, MAX_STEPS).point
            except FerrojaxError as error:
                raise FerrojaxError(f"design: structure {name} is lost at {self.describe(z)}: {error}") from None
        return found

    def follow(
        self,
        z: Float[np.ndarray, " variables"],
        previous: tuple[Float[np.ndarray, " variables"], Mapping[str, Point]],
        base: Setting | None = None,
        halvings: int = HALVINGS,
    ) -> dict[str, Point]:
        """``relaxed`` from the design and points of before; a step on which a structure is lost or jumps is halved.

        Raises FerrojaxError if it is lost on the shortest step too: where it ends, and its softest mode.
        """
        before, points = previous
        try:
            found = self.relaxed(z, points, base)
            self._check_jump(z, points, found)
            return found
        except FerrojaxError:
            if not halvings:
                raise
        middle = (np.asarray(before) + np.asarray(z)) / 2
        half = self.follow(middle, previous, base, halvings - 1)
        return self.follow(z, (middle, half), base, halvings - 1)

    def value(self, z: Any, points: Mapping[str, Point], base: Setting | None = None) -> Float[np.ndarray, " values"]:
        """Objective and constraints at relaxed points, without derivatives."""
        return np.asarray(_values(self, base or self.base, jnp.asarray(z), dict(points)))

    def evaluate(self, z: Any, points: Mapping[str, Point], base: Setting | None = None) -> Evaluation:
        """Objective, constraints and their exact derivatives at relaxed points: implicit differentiation, one compiled function.

        Raises FerrojaxError for a number that is not finite (a linear solve that has not converged).
        """
        values, slopes = (np.asarray(x) for x in _slopes(self, base or self.base, jnp.asarray(z), dict(points)))
        require_finite("design", values, slopes)
        return Evaluation(float(values[0]), values[1:], slopes[0], slopes[1:])

    def softest(self, z: Any, points: Mapping[str, Point]) -> str:
        """The softest mode of each structure at a design, in words."""
        setting, parts = self.setting(jnp.asarray(z)), []
        for name, structure in self.structures.items():
            point, conditions = placed(setting, structure, points[name])
            parts.append(f"softest mode of {name} {examine(self.enthalpy, conditions, point).softest()}")
        return "; ".join(parts)

    def describe(self, z: Any) -> str:
        """A design in words."""
        return ", ".join(f"{v.name} = {float(x):.6g}{' ' + v.unit if v.unit else ''}" for v, x in zip(self.variables, z))

    def _check_jump(self, z: Any, points: Mapping[str, Point], found: Mapping[str, Point]) -> None:
        for name, point in found.items():
            moved = float(jnp.max(jnp.abs(point.state.coordinates - points[name].state.coordinates)))
            if moved > JUMP:
                raise FerrojaxError(
                    f"design: structure {name} jumps by {moved:.2g} Å on the way to {self.describe(z)}: it ceases to exist there; "
                    "narrow the bounds."
                )


def placed(setting: Setting, structure: Structure, near: Point) -> tuple[Point, Conditions]:
    """A structure's point under a setting, unrelaxed, and what it relaxes under."""
    point = near.replace(state=occupied(near.state, setting), strain=held_strain(setting, near, structure.free))
    inside = setting.field if structure.in_field else jnp.zeros_like(setting.field)
    return point, Conditions(setting.params, inside, setting.stress, structure.free)


def _vector(problem: Problem, base: Setting, z: Array, points: dict[str, Point]) -> Float[Array, " values"]:
    here = Here(problem.enthalpy, problem.setting(z, base), problem.structures, points)
    return jnp.stack([problem.objective(here), *(constraint.value(here) for constraint in problem.constraints.values())])


@functools.partial(jax.jit, static_argnums=0)
def _values(problem: Problem, base: Setting, z: Array, points: dict[str, Point]) -> Float[Array, " values"]:
    return _vector(problem, base, z, points)


@functools.partial(jax.jit, static_argnums=0)
def _slopes(problem: Problem, base: Setting, z: Array, points: dict[str, Point]) -> tuple[Array, Array]:
    def both(z: Array) -> tuple[Array, Array]:
        values = _vector(problem, base, z, points)
        return values, values

    # Forward: a design has few variables, and flexoelectric tensors are not made for the other direction.
    slopes, values = jax.jacfwd(both, has_aux=True)(z)
    return values, slopes
