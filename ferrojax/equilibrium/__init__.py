"""Equilibrium structures in a field and under stress, their stability, and their derivatives."""

from ferrojax.equilibrium.implicit import Settled, settle, settled_enthalpy
from ferrojax.equilibrium.linear import require_finite
from ferrojax.equilibrium.relax import Relaxation, relax, relax_many
from ferrojax.equilibrium.stability import SoftMode, check_settled, force_constants, soft_mode
from ferrojax.equilibrium.symmetry import space_group

__all__ = [
    "Relaxation",
    "Settled",
    "SoftMode",
    "check_settled",
    "force_constants",
    "relax",
    "relax_many",
    "require_finite",
    "settle",
    "settled_enthalpy",
    "soft_mode",
    "space_group",
]
