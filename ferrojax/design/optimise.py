"""Gradient-based optimisation of a design: scipy's SLSQP and L-BFGS-B, optax's Adam, all on relaxed structures that follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float
from scipy.optimize import minimize

from ferrojax.design.design import Design, Record
from ferrojax.design.problem import Evaluation, Problem
from ferrojax.errors import FerrojaxError
from ferrojax.paths.space import Point

METHODS = ("slsqp", "lbfgs", "adam")
PENALTY = 1.0  # of the scaled objective, on a trial where a structure is lost
EDGE = 0.02  # of the bounds: an optimum as near to a lost trial lies on the edge of stability
VIOLATION = 1e-6  # of a constraint's scale, allowed at the optimum
RATE = 0.05  # of Adam, of the bounds


class _Trial(NamedTuple):
    """An evaluated design: scaled z, points and numbers; of a lost one, those of the design before it."""

    s: Float[np.ndarray, " variables"]
    points: Mapping[str, Point]
    found: Evaluation
    lost: str = ""


def optimise(
    problem: Problem, method: Literal["slsqp", "lbfgs", "adam"] = "slsqp", max_steps: int = 100, tolerance: float = 1e-6
) -> Design:
    """The nearest optimum of a problem.

    Variables are scaled to their bounds and the objective to its size at the start. At each trial the structures are relaxed anew from
    those of the trial before, and the gradient at them is exact (``Problem.evaluate``). A trial at which a structure is lost (a soft
    mode, a jump) is penalised, so that the optimiser steps back.

    Args:
        method: "slsqp" takes bounds and constraints (Kraft, DFVLR-FB 88-28 (1988)), "lbfgs" bounds (Byrd, Lu, Nocedal and Zhu, SIAM J. Sci.
            Comput. 16, 1190 (1995)), "adam" bounds, by projection (Kingma and Ba, arXiv:1412.6980).
        tolerance: change of the scaled objective and constraints (slsqp; relaxations to 1e-8 eV/Å leave noise of about 1e-7), projected
            gradient (lbfgs, adam; at least 1e-6).

    Raises FerrojaxError if a structure is lost at the start or the optimum lies where one is (it says where and the softest mode), if
    constraints are violated at the end or given to a method that takes none, and if it has not converged.
    """
    if method not in METHODS:
        raise FerrojaxError(f"design: the method is one of {', '.join(METHODS)}; got {method!r}.")
    if problem.constraints and method != "slsqp":
        raise FerrojaxError(f"design: {method} takes no constraints, but there are {', '.join(problem.constraints)}; use method='slsqp'.")
    run = _Run(problem)
    message = _adam(run, max_steps, tolerance) if method == "adam" else _scipy(run, method, max_steps, tolerance)
    run.check_end(message)
    return run.design(method)


class _Run:
    """The evaluations of one optimisation."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.lower, upper = problem.bounds
        self.width = upper - self.lower
        start = problem.start
        points = problem.relaxed(start, problem.first())
        found = problem.evaluate(start, points)
        self.sign = 1.0 if problem.sense == "minimise" else -1.0
        self.scale = self.sign / max(abs(found.objective), float(np.abs(found.slope * self.width).max()), 1e-300)
        self.trials = [_Trial(self.scaled(start), points, found)]
        self.accepted = [0]

    def scaled(self, z: np.ndarray) -> np.ndarray:
        return (np.asarray(z, float) - self.lower) / self.width

    def z(self, s: np.ndarray) -> np.ndarray:
        return self.lower + np.clip(s, 0.0, 1.0) * self.width

    def at(self, s: np.ndarray) -> _Trial:
        """The trial at s, made if there is none yet, from the sound one nearest to it."""
        for trial in reversed(self.trials):
            if np.array_equal(trial.s, s):
                return trial
        near = min((trial for trial in self.trials if not trial.lost), key=lambda trial: float(np.linalg.norm(trial.s - s)))
        try:
            points = self.problem.follow(self.z(s), (self.z(near.s), near.points))
            trial = _Trial(np.array(s), points, self.problem.evaluate(self.z(s), points))
        except FerrojaxError as error:
            trial = _Trial(np.array(s), near.points, near.found, str(error))
        self.trials.append(trial)
        return trial

    def objective(self, s: np.ndarray) -> float:
        """Scaled, to be minimised."""
        trial = self.at(s)
        best = max(self.scale * self.trials[k].found.objective for k in self.accepted)
        return best + PENALTY if trial.lost else self.scale * trial.found.objective

    def slope(self, s: np.ndarray) -> np.ndarray:
        return self.scale * self.at(s).found.slope * self.width

    def accept(self, s: np.ndarray) -> None:
        """What the optimiser moves to."""
        self.at(s)
        where = next(k for k, trial in enumerate(self.trials) if np.array_equal(trial.s, s))
        if not self.trials[where].lost and where not in self.accepted:
            self.accepted.append(where)

    def projected(self, s: np.ndarray) -> np.ndarray:
        """The scaled slope without what points out of the bounds."""
        return s - np.clip(s - self.slope(s), 0.0, 1.0)

    def constraint(self, k: int) -> list[dict]:
        """One of the problem's as scipy wants it."""
        constraint = list(self.problem.constraints.values())[k]

        def term(kind: str, sign: float, bound: float) -> dict:
            return {
                "type": kind,
                "fun": lambda s: sign * (self.at(s).found.constraints[k] - bound) / constraint.scale,
                "jac": lambda s: sign * self.at(s).found.constraint_slopes[k] * self.width / constraint.scale,
            }

        if constraint.lower == constraint.upper:
            return [term("eq", 1.0, constraint.lower)]
        sides = ((1.0, constraint.lower), (-1.0, constraint.upper))
        return [term("ineq", sign, bound) for sign, bound in sides if np.isfinite(bound)]

    def check_end(self, message: str) -> None:
        """FerrojaxError unless the last accepted design is an optimum: ``message`` says why not, if the optimiser knows."""
        problem, end = self.problem, self.trials[self.accepted[-1]]
        where = problem.describe(self.z(end.s))
        lost = [trial for trial in self.trials if trial.lost]
        if lost:
            nearest = min(lost, key=lambda trial: float(np.linalg.norm(trial.s - end.s)))
            if message or np.abs(nearest.s - end.s).max() < EDGE:
                raise FerrojaxError(
                    f"design: no optimum inside the stable region: next to the best design, {where}, a structure is "
                    f"lost ({nearest.lost}); {problem.softest(self.z(end.s), end.points)}; narrow the bounds or add a constraint on "
                    "here.stiffness."
                )
        for (name, constraint), value in zip(problem.constraints.items(), end.found.constraints):
            off = max(constraint.lower - value, value - constraint.upper)
            if off > VIOLATION * constraint.scale:
                raise FerrojaxError(
                    f"design: the constraint {name} = {value:.6g} misses its bounds {constraint.lower:g} to {constraint.upper:g} "
                    f"by {off:.2g} at {where}; {message or 'no design within the bounds satisfies it'}."
                )
        if message:
            raise FerrojaxError(f"design: not converged at {where}: {message}; allow more steps or start elsewhere.")

    def design(self, method: str) -> Design:
        records = [
            Record(
                z=self.z(trial.s),
                objective=trial.found.objective,
                constraints=trial.found.constraints,
                gradient_norm=float(np.linalg.norm(self.projected(trial.s))),
                accepted=k in self.accepted,
                lost=trial.lost,
            )
            for k, trial in enumerate(self.trials)
        ]
        end = self.trials[self.accepted[-1]]
        return Design(self.problem, self.z(end.s), end.found, dict(end.points), records, method)


def _scipy(run: _Run, method: str, max_steps: int, tolerance: float) -> str:
    """Why it failed, if it did."""
    options = (
        {"maxiter": max_steps, "ftol": tolerance} if method == "slsqp" else {"maxiter": max_steps, "gtol": max(tolerance, 1e-6), "ftol": 0}
    )
    found = minimize(
        run.objective,
        run.trials[0].s,
        jac=run.slope,
        method="SLSQP" if method == "slsqp" else "L-BFGS-B",
        bounds=[(0.0, 1.0)] * len(run.width),
        constraints=[term for k in range(len(run.problem.constraints)) for term in run.constraint(k)],
        callback=run.accept,
        options=options,
    )
    run.accept(found.x)
    # L-BFGS-B also ends where rounding stops its line search; the gradient tells whether that is an optimum.
    flat = method == "lbfgs" and np.abs(run.projected(run.trials[run.accepted[-1]].s)).max() < 1e-4
    return "" if found.success or flat else str(found.message).lower().rstrip(".")


def _adam(run: _Run, max_steps: int, tolerance: float) -> str:
    """Steps that shrink from RATE to nothing, projected on the bounds."""
    solver = optax.adam(optax.cosine_decay_schedule(RATE, max_steps))
    s = run.trials[0].s
    memory = solver.init(jnp.asarray(s))
    for _ in range(max_steps):
        if np.abs(run.projected(s)).max() <= max(tolerance, 1e-6):
            return ""
        updates, memory = solver.update(jnp.asarray(run.slope(s)), memory)
        step = np.clip(s + np.asarray(updates), 0.0, 1.0) - s
        while run.at(s + step).lost and np.abs(step).max() > 1e-3 * EDGE:
            step = step / 2
        if run.trials[-1].lost:
            return "every step from there loses a structure"
        s = s + step
        run.accept(s)
    norm = float(np.abs(run.projected(s)).max())
    return "" if norm < 1e-2 else f"the scaled gradient is {norm:.2g} after {max_steps} steps"
