"""Equilibrium structures in an electric field."""

from ferrojax.equilibrium.relax import Relaxation, relax

__all__ = ["Relaxation", "relax"]
