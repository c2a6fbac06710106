"""The one scalar: every observable is a derivative of the enthalpy made here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ferrojax.electrostatics.boundary import Boundary, displacement_energy
from ferrojax.electrostatics.long_range import choose_method, long_range_energy
from ferrojax.state import State, apply_strain, field_inside
from ferrojax.topology import edge_components, layout, within_cutoff

if TYPE_CHECKING:
    from ferrojax.potential.model import Model

# The state is a State, or a LatticeState for the effective Hamiltonian.
Enthalpy = Callable[[Any, Any, Float[Array, "3 3"], Float[Array, "3"]], Float[Array, ""]]


def make_enthalpy(model: Model, boundary: Boundary = Boundary(), long_range: str = "auto") -> Enthalpy:
    """``enthalpy(params, state, strain, field)`` of a model, in eV.

        F(R, ε, E) = E_short(R') + E_Ewald(q(R')/√ε∞, R') + U_D - E·M - ½ V' E·χ·E

    with R' = R (I + ε)ᵀ. The field is the reduced one: under strain the potential
    drop E·a_i along each lattice vector stays fixed, so stress in a field is proper
    and does not depend on the branch of the dipole (Stengel, Spaldin and Vanderbilt,
    Nat. Phys. 5, 304 (2009)). On an axis of fixed displacement the entry of ``field``
    is D/ε0, in V/Å: the Cartesian displacement, held as it is under strain (for D = 0 there
    is no difference to holding its flux).

    ``long_range`` is "ewald", "mesh" or "auto" (Ewald up to 1,000 atoms, then the mesh, see
    ``choose_method``): response tensors of large cells want "ewald".

    Args of the returned function: params of the model; state with a topology; strain
    (3, 3), usually zeros; field (3,), V/Å. Reference energies are not included.
    """

    def enthalpy(params: Any, state: State, strain: Float[Array, "3 3"], field: Float[Array, "3"]) -> Float[Array, ""]:
        method = choose_method(long_range, len(state.positions))  # by the whole system, not by a device's part of it
        return layout(state).evaluate(functools.partial(at_hand, method), params, state, strain, field)

    def at_hand(method: str, params: Any, state: State, strain: Array, field: Array) -> Float[Array, ""]:
        topology = within_cutoff(apply_strain(state, strain))
        state = state.replace(topology=topology)
        strained = apply_strain(state, strain)
        terms = model.terms(params, strained)
        screened = terms.charges / model.config.eps_inf**0.5
        energy = terms.short_range + long_range_energy(
            screened, strained.positions, strained.cell, topology.kgrid, model.config.smearing, method, topology.layout
        )
        fixed_field = field * (1.0 - boundary.fixed_displacement.astype(field.dtype))
        # E'·M' with E' = (I + ε)⁻ᵀ E equals E·M of the charges' flow on unstrained bonds.
        energy -= fixed_field @ dipole(model, terms.flow, state)
        inside = field_inside(strain, fixed_field)
        energy -= 0.5 * inside @ terms.polarizability @ inside
        if "D" not in boundary.kinds:
            return energy
        moment = dipole(model, terms.flow, strained)
        return energy + displacement_energy(boundary, moment, strained.volume, field, model.config.eps_inf)

    return enthalpy


# The same function for the same model and conditions, since compiled code is kept per function.
shared_enthalpy = functools.lru_cache(maxsize=32)(make_enthalpy)


def dipole(model: Model, flow: Float[Array, "atoms slots"], state: State) -> Float[Array, "3"]:
    """Cell dipole M = Σ_i Z_i r_i + Σ_ij g_ij r_ij, e·Å, defined modulo e times a lattice vector.

    Z_i are integer formal charges, g_ij the charge that flows from i to j by the state of
    i (t_ij = g_ij - g_ji), so no learned charge multiplies a bare position.
    """
    formal = model.formal_charges(state) @ state.positions
    return layout(state).total(formal + jnp.stack([jnp.sum(flow * x) for x in edge_components(state)]))
