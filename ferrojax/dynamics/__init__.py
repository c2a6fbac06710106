"""Molecular dynamics in an electric field."""

from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.nve import NVE
from ferrojax.dynamics.rollout import rollout, start
from ferrojax.dynamics.run import DynamicsError, Run, run

__all__ = ["DynamicsError", "Langevin", "NVE", "Run", "rollout", "run", "start"]
