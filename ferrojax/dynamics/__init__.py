"""Molecular dynamics in every ensemble, in fields, stresses and strains that change with time."""

from ferrojax.dynamics.exchange import Exchange, exchange
from ferrojax.dynamics.hybrid import HybridMonteCarlo
from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.log import read_log
from ferrojax.dynamics.monte_carlo import MonteCarlo
from ferrojax.dynamics.nose_hoover import NoseHoover
from ferrojax.dynamics.npt import NPT, LangevinNPT
from ferrojax.dynamics.npt_langevin import npt_langevin
from ferrojax.dynamics.npt_nose_hoover import npt_nose_hoover, npt_nose_hoover_invariant
from ferrojax.dynamics.nve import NVE
from ferrojax.dynamics.output import Output
from ferrojax.dynamics.protocols import Constant, Protocol, Pulse, Ramp, Sequence, Sine, Triangle
from ferrojax.dynamics.records import Records
from ferrojax.dynamics.replicas import Replicas, run_replicas
from ferrojax.dynamics.reweight import average_and_gradient, collect, reweighted_average
from ferrojax.dynamics.rollout import rollout, start
from ferrojax.dynamics.run import DynamicsError, Run, run
from ferrojax.dynamics.stacking import stack

__all__ = [
    "Constant",
    "DynamicsError",
    "Exchange",
    "HybridMonteCarlo",
    "Langevin",
    "LangevinNPT",
    "MonteCarlo",
    "NPT",
    "NVE",
    "NoseHoover",
    "Output",
    "Protocol",
    "Pulse",
    "Ramp",
    "Records",
    "Replicas",
    "Run",
    "Sequence",
    "Sine",
    "Triangle",
    "average_and_gradient",
    "collect",
    "exchange",
    "npt_langevin",
    "npt_nose_hoover",
    "npt_nose_hoover_invariant",
    "read_log",
    "reweighted_average",
    "rollout",
    "run",
    "run_replicas",
    "stack",
    "start",
]
