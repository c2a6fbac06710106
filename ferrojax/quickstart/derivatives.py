"""What only a differentiable potential gives: the switching barrier with its slopes, and the flexoelectric tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.paths.switching import Switching, switching_barrier
from ferrojax.potential import Model
from ferrojax.response.flexo import FlexoTensors, flexo_tensors
from ferrojax.state import State

IMAGES = 7
FORCE = 1e-7  # eV/Å: what the derivatives need
SKIN = 1.0  # Å


@dataclass(frozen=True)
class Derivatives:
    """Barrier of coherent reversal in the cell of the tetragonal phase, and its flexoelectric tensor; None where there is none."""

    switching: Switching | None
    flexo: FlexoTensors | None


def differentiate(model: Model, enthalpy: Enthalpy, params: Any, tetragonal: State, warn: Callable[[str], None]) -> Derivatives:
    """Both of them; what a poor model does not have is passed to ``warn``. Call it where float64 is enabled."""
    try:
        up = relax(enthalpy, params, model.prepare(tetragonal.to_ase(), np.float64, skin=SKIN), force_tolerance=FORCE, max_steps=1000).state
    except FerrojaxError as error:
        warn(f"barrier and flexoelectric tensor: {error}")
        return Derivatives(None, None)
    return Derivatives(
        _or_none(lambda: switching_barrier(enthalpy, params, up, _reversed(model, up), images=IMAGES, start="mode"), "barrier", warn),
        _or_none(lambda: flexo_tensors(model, params, up), "flexoelectric tensor", warn),
    )


def lines(derivatives: Derivatives) -> list[str]:
    """The numbers as text."""
    text = []
    if derivatives.switching is not None:
        found = derivatives.switching.forward
        text.append(f"barrier of coherent reversal, cell fixed: {1e3 * found.barrier:.2f} meV/f.u.")
        text.append(f"dE_b/dε_xx, dE_b/dε_zz: {1e3 * found.strain[0, 0]:.0f}, {1e3 * found.strain[2, 2]:.0f} meV per unit strain")
        text.append(f"dE_b/dE_z: {-1e3 * found.dipole[2]:.0f} meV per V/Å (P falls by {abs(found.dipole[2]):.2f} e Å on the way up)")
    if derivatives.flexo is not None:
        tensor = derivatives.flexo.total
        names = {"longitudinal zz,zz": tensor[2, 2, 2, 2], "transverse zz,xx": tensor[2, 2, 0, 0], "shear xz,xz": tensor[0, 2, 0, 2]}
        text.append("flexoelectric coefficients (nC/m): " + ", ".join(f"{name} {value:.2f}" for name, value in names.items()))
    return text


def numbers(derivatives: Derivatives) -> dict[str, Any]:
    """Everything, for the report's JSON."""
    switching, flexo = derivatives.switching, derivatives.flexo
    barrier = switching and {
        "barrier_meV": 1e3 * switching.forward.barrier,
        "slope_by_strain_meV": (1e3 * switching.forward.strain).tolist(),
        "slope_by_field_meV_A_per_V": (-1e3 * switching.forward.dipole).tolist(),
        "path_meV": (1e3 * (np.asarray(switching.path.energies) - switching.path.energies[0])).tolist(),
    }
    return {"switching_barrier": barrier, "flexoelectric_nC_per_m": flexo and flexo.total.tolist()}


def _reversed(model: Model, up: State) -> State:
    """The same cell with the polarization along -z, atom by atom."""
    atoms = up.to_ase()
    atoms.set_scaled_positions(atoms.get_scaled_positions(wrap=False) * (1.0, 1.0, -1.0))
    return model.prepare(atoms, np.float64, skin=SKIN)


def _or_none(calculation: Callable[[], Any], name: str, warn: Callable[[str], None]) -> Any:
    try:
        return calculation()
    except FerrojaxError as error:
        warn(f"{name}: {error}")
        return None
