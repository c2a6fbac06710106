"""Switching paths, their barriers, and the derivatives of those."""

from ferrojax.paths.barrier import Activation, activation, barrier, second_derivatives
from ferrojax.paths.endpoints import match_atoms
from ferrojax.paths.path import Path, conditions_of, minimum_energy_path
from ferrojax.paths.saddle import refine_minimum, refine_saddle
from ferrojax.paths.space import Conditions, Point
from ferrojax.paths.stationary import Stationary
from ferrojax.paths.switching import Switching, switching_barrier

__all__ = [
    "Activation",
    "Conditions",
    "Path",
    "Point",
    "Stationary",
    "Switching",
    "activation",
    "barrier",
    "conditions_of",
    "match_atoms",
    "minimum_energy_path",
    "refine_minimum",
    "refine_saddle",
    "second_derivatives",
    "switching_barrier",
]
