"""The effective Hamiltonian of perovskite ferroelectrics: the same enthalpy on a lattice of local modes."""

from ferrojax.effective.clamp import clamped_strain, epitaxial_strain, relaxed_strain
from ferrojax.effective.domains import Wall, stripes, wall, wall_lattice, well, well_depth
from ferrojax.effective.enthalpy import EffectiveHamiltonian, make_enthalpy
from ferrojax.effective.invariants import Coupling, Field, SpaceGroup, couplings, perovskite_fields, space_group
from ferrojax.effective.lattice import LatticeBoundary, LatticeState, strain_tensor, uniform_state, voigt_strain
from ferrojax.effective.params import HeffParams, load_parameters, load_record, parameter_sets
from ferrojax.effective.prepare import prepare
from ferrojax.effective.relax import LatticeRelaxation, minimise, stationary
from ferrojax.effective.sharded import shard

__all__ = [
    "Coupling",
    "EffectiveHamiltonian",
    "Field",
    "HeffParams",
    "LatticeBoundary",
    "LatticeRelaxation",
    "LatticeState",
    "SpaceGroup",
    "Wall",
    "clamped_strain",
    "couplings",
    "epitaxial_strain",
    "load_parameters",
    "load_record",
    "make_enthalpy",
    "minimise",
    "parameter_sets",
    "perovskite_fields",
    "prepare",
    "relaxed_strain",
    "shard",
    "space_group",
    "stationary",
    "strain_tensor",
    "stripes",
    "uniform_state",
    "voigt_strain",
    "wall",
    "wall_lattice",
    "well",
    "well_depth",
]
