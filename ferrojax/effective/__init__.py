"""The effective Hamiltonian of perovskite ferroelectrics: the same enthalpy on a lattice of local modes."""

from ferrojax.effective.enthalpy import EffectiveHamiltonian, Prepared, make_enthalpy, mode_masses
from ferrojax.effective.lattice import LatticeBoundary, LatticeState, strain_tensor, uniform_state, voigt_strain
from ferrojax.effective.params import HeffParams, load_parameters, load_record, parameter_sets

__all__ = [
    "EffectiveHamiltonian",
    "HeffParams",
    "LatticeBoundary",
    "LatticeState",
    "Prepared",
    "load_parameters",
    "load_record",
    "make_enthalpy",
    "mode_masses",
    "parameter_sets",
    "strain_tensor",
    "uniform_state",
    "voigt_strain",
]
