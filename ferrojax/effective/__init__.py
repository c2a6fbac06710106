"""The effective Hamiltonian of perovskite ferroelectrics: the same enthalpy on a lattice of local modes."""

from ferrojax.effective.domains import Wall, stripes, wall, wall_lattice, well, well_depth
from ferrojax.effective.enthalpy import EffectiveHamiltonian, make_enthalpy, mode_masses
from ferrojax.effective.lattice import LatticeBoundary, LatticeState, strain_tensor, uniform_state, voigt_strain
from ferrojax.effective.params import HeffParams, load_parameters, load_record, parameter_sets
from ferrojax.effective.relax import LatticeRelaxation, clamped_strain, epitaxial_strain, minimise, relaxed_strain, stationary

__all__ = [
    "EffectiveHamiltonian",
    "HeffParams",
    "LatticeBoundary",
    "LatticeRelaxation",
    "LatticeState",
    "Wall",
    "clamped_strain",
    "epitaxial_strain",
    "load_parameters",
    "load_record",
    "make_enthalpy",
    "minimise",
    "mode_masses",
    "parameter_sets",
    "relaxed_strain",
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
