"""Structures of ferroelectrics as ASE atoms: perovskites, fluorites, stacks, walls, textures, solid solutions, defects."""

from ferrojax.ferroelectrics.structures.alloys import ordered_alloy, random_alloy
from ferrojax.ferroelectrics.structures.defects import defect_dipole, vacancies
from ferrojax.ferroelectrics.structures.fluorite import fluorite
from ferrojax.ferroelectrics.structures.modes import AXE, BATIO3_SOFT, LAST, SLATER, PolarMode, mode_of, polarize
from ferrojax.ferroelectrics.structures.perovskite import displacements, in_order, perovskite
from ferrojax.ferroelectrics.structures.sqs import sqs
from ferrojax.ferroelectrics.structures.stacks import slab, superlattice
from ferrojax.ferroelectrics.structures.textures import (
    bubble,
    flux_closure,
    hopfion,
    lattice_texture,
    skyrmion,
    stripe_domains,
    vortex,
    vortex_lattice,
)
from ferrojax.ferroelectrics.structures.tilts import tilt, tilt_size
from ferrojax.ferroelectrics.structures.walls import domain_wall

__all__ = [
    "AXE",
    "BATIO3_SOFT",
    "LAST",
    "SLATER",
    "PolarMode",
    "bubble",
    "defect_dipole",
    "displacements",
    "domain_wall",
    "fluorite",
    "flux_closure",
    "hopfion",
    "in_order",
    "lattice_texture",
    "mode_of",
    "ordered_alloy",
    "perovskite",
    "polarize",
    "random_alloy",
    "skyrmion",
    "slab",
    "sqs",
    "stripe_domains",
    "superlattice",
    "tilt",
    "tilt_size",
    "vacancies",
    "vortex",
    "vortex_lattice",
]
