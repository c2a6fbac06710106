"""Elastic, piezoelectric and dielectric tensors, clamped and relaxed, as second derivatives of one relaxed enthalpy."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ferrojax.effective.lattice import LatticeState
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.inputs import check_state, checked
from ferrojax.equilibrium.symmetry import point_operations
from ferrojax.errors import FerrojaxError
from ferrojax.response.blocks import Blocks, second_derivatives
from ferrojax.response.invariance import asymmetry, full_tensor
from ferrojax.response.record import ResponseTensors
from ferrojax.state import State
from ferrojax.units import E_PER_A2, EPSILON_0, GPA

SYMMETRY_TOLERANCE = 1e-2  # of the largest component


def response_tensors(
    enthalpy: Enthalpy,
    params: Any,
    state: State | LatticeState,
    strain: Any = None,
    field: Any = None,
    symmetry_tolerance: float = SYMMETRY_TOLERANCE,
) -> ResponseTensors:
    """Tensors of a state at rest at a strain (3, 3) and field (3,), zero by default, in float64.

        C = (1/V) ∂²G/∂η∂η,   e = -(1/V) ∂²G/∂E∂η,   χ = -(1/ε0 V) ∂²G/∂E∂E,   G(η, E) = F(x(η, E), η, E)

    from which C^D = C + eᵀ ε⁻¹ e with ε = ε0 (1 + χ), S = C⁻¹, d = e S, χ_free = χ + e S eᵀ/ε0, h = ε⁻¹ e and g = (ε + e S eᵀ)⁻¹ d. The
    field is the reduced one, so e is the proper tensor (``ResponseTensors.improper`` gives the other). V is the volume at zero strain.
    Wu, Vanderbilt and Hamann, Phys. Rev. B 72, 035105 (2005).

    The enthalpy holds the field on all axes: C^D, h and g follow from it. An effective Hamiltonian must have clamp="fixed"; its
    electrons, which F leaves out, are added to all susceptibilities as ε∞ - 1 of the parameters.

    Under stress C is the second derivative by the symmetric strain of r' = (1 + ε) r, and neither the thermodynamic (Brugger) constants
    nor those that relate the true stress to strain: for these see ``ResponseTensors.birch``. S and d go with this C: they are
    responses under a load of constant V₀ σ:η.

    Raises FerrojaxError for bad input, a state that is not at rest or has a soft mode (it has no relaxed response), a cell that is
    unstable against strain, a solve that has not converged, and tensors that break the symmetry of the crystal by more than
    ``symmetry_tolerance`` of their largest component.
    """
    name, dtype = "response_tensors", state.coordinates.dtype
    check_state(state, name)
    if dtype != jnp.float64:
        raise FerrojaxError(f"{name}: the state is {dtype}; enable x64 (JAX_ENABLE_X64=1) and prepare it with dtype=np.float64.")
    strain, field = checked("strain", strain, (3, 3), "1", dtype), checked("field", field, (3,), "V/Å", dtype)
    blocks = second_derivatives(enthalpy, params, state, strain, field)
    found = _assembled(blocks, params, state)
    group, rotations = point_operations(state, strain, field)
    off = {key: asymmetry(full_tensor(found[key], pairs), rotations) for key, pairs in _SHAPES.items()}
    worst = max(off, key=lambda key: off[key])
    if not off[worst] <= symmetry_tolerance:
        raise FerrojaxError(
            f"{name}: {worst} breaks the symmetry {group} by {100 * off[worst]:.2g} % of its largest component (allowed "
            f"{100 * symmetry_tolerance:.2g} %); relax the structure with symmetric=True and to smaller forces."
        )
    return ResponseTensors(**found, field=np.asarray(field, float), softest=blocks.softest, group=group, asymmetry=off[worst])


# The tensors that are checked, and which of their axes are Voigt pairs.
_SHAPES = {"elastic": (0, 1), "elastic_clamped": (0, 1), "e": (1,), "e_clamped": (1,), "chi": (), "chi_clamped": ()}


def _assembled(blocks: Blocks, params: Any, state: State | LatticeState) -> dict[str, Any]:
    """Every tensor in its unit, by name."""
    volume = float(np.linalg.det(np.asarray(state.cell, float)))
    relaxed, clamped = blocks.relaxed / volume, blocks.clamped / volume
    electrons = (float(params.eps_inf) - 1) * np.eye(3) if isinstance(state, LatticeState) else np.zeros((3, 3))
    c, e, chi = relaxed[:6, :6], -relaxed[6:, :6], electrons - relaxed[6:, 6:] / EPSILON_0
    _check_elastic(c)
    compliance, permittivity = np.linalg.inv(c), EPSILON_0 * (np.eye(3) + chi)
    d, h = e @ compliance, np.linalg.solve(permittivity, e)
    picometre = E_PER_A2 * GPA * 1e3  # pC/N of e/eV Å; pm/V likewise
    return {
        "elastic": c / GPA,
        "elastic_clamped": clamped[:6, :6] / GPA,
        "elastic_open": (c + e.T @ h) / GPA,
        "compliance": compliance * GPA * 1e3,
        "e": e * E_PER_A2,
        "e_clamped": -clamped[6:, :6] * E_PER_A2,
        "d": d * picometre,
        "h": h * 10,
        "g": np.linalg.solve(permittivity + e @ d.T, d) / E_PER_A2,
        "chi": chi,
        "chi_clamped": electrons - clamped[6:, 6:] / EPSILON_0,
        "chi_free": chi + e @ d.T / EPSILON_0,
        "born": -np.swapaxes(blocks.mixed[:, :, 6:], 1, 2),
        "internal_strain": -blocks.mixed[:, :, :6],
        "moved_by_strain": blocks.moved[:, :, :6],
        "moved_by_field": blocks.moved[:, :, 6:],
        "polarization": -blocks.slope[6:] / volume * E_PER_A2,
        "stress": blocks.slope[:6] / volume / GPA,
        "volume": volume,
    }


def _check_elastic(c: Float[np.ndarray, "6 6"]) -> None:
    values, vectors = np.linalg.eigh(c)
    if not values[0] > 0:
        shape = np.array2string(vectors[:, 0], precision=2, suppress_small=True)
        raise FerrojaxError(
            f"response_tensors: the cell is unstable, strain {shape} (Voigt) has a stiffness of {values[0] / GPA:.3g} GPa; relax the cell "
            "along it."
        )
