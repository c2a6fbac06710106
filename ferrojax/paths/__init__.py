"""Switching barriers and their derivatives."""

from ferrojax.paths.barrier import Activation, activation, barrier

__all__ = ["Activation", "activation", "barrier"]
