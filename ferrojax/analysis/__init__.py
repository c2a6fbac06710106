"""Averages of runs with honest error bars, phases, and responses from fluctuations."""

from ferrojax.analysis.fluctuations import ThermalTensors, compliance, heat_capacity, piezoelectric, susceptibility, thermal_tensors
from ferrojax.analysis.phases import PHASES, order_parameter, recognise, transitions
from ferrojax.analysis.series import Mean, correlation_time, equilibrated, mean

__all__ = [
    "Mean",
    "PHASES",
    "ThermalTensors",
    "compliance",
    "correlation_time",
    "equilibrated",
    "heat_capacity",
    "mean",
    "order_parameter",
    "piezoelectric",
    "recognise",
    "susceptibility",
    "thermal_tensors",
    "transitions",
]
