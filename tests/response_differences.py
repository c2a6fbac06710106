"""Relaxed-ion tensors by central differences of states relaxed anew: the oracle for response tensors of atoms."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from ferrojax.effective.lattice import VOIGT, strain_tensor
from ferrojax.equilibrium import relax_many
from ferrojax.response.first import energy_dipole, energy_forces_stress
from ferrojax.state import apply_strain
from ferrojax.units import E_PER_A2, EPSILON_0, GPA

WEIGHTS = {1: 8 / 12, -1: -8 / 12, 2: -1 / 12, -2: 1 / 12}  # of the first derivative, fourth order


def differences(enthalpy, params, state, field, strain_step=5e-4, field_step=1e-3, force_tolerance=1e-9):
    """C, Birch coefficients (GPA), e proper and improper, the converse of e (C/m²) and χ of a state at rest in a field.

    Each strained or charged structure is relaxed at a fixed cell; forces, stress and dipole are first derivatives of the enthalpy.
    """
    field = np.asarray(field, float)
    units = np.eye(9)
    strains = [np.asarray(strain_tensor(jnp.asarray(k * strain_step * u[:6]))) for u in units[:6] for k in WEIGHTS]
    fields = [field + k * field_step * u[6:] for u in units[6:] for k in WEIGHTS]
    held = [np.linalg.solve((np.eye(3) + s).T, field) for s in strains]  # the reduced field stays
    cells = [apply_strain(state, jnp.asarray(s)) for s in strains]
    starts = cells + cells + [state] * len(fields)
    outer = held + [field] * len(strains) + fields
    relaxed = relax_many(enthalpy, params, starts, np.array(outer), cell=False, force_tolerance=force_tolerance)
    seen = [_observe(enthalpy, params, r.state, e) for r, e in zip(relaxed, outer)]
    count, volume = len(strains), float(state.volume)

    def derivative(values, step):
        rows = np.array(values).reshape(-1, len(WEIGHTS), *np.shape(values[0]))
        return np.moveaxis(np.tensordot(rows, np.array(list(WEIGHTS.values())) / step, (1, 0)), 0, -1)

    deformed = [np.eye(3) + s for s in strains]
    torque = [v / volume * s @ np.linalg.inv(f).T for f, (_, s, v) in zip(deformed, seen[:count])]
    return {
        "elastic": derivative([_voigt(t) for t in torque], strain_step) / GPA,
        "birch": derivative([_voigt(s) for _, s, _ in seen[:count]], strain_step) / GPA,
        "e": derivative([np.linalg.solve(f, m) / volume for f, (m, _, _) in zip(deformed, seen)], strain_step) * E_PER_A2,
        "improper": derivative([m / v for m, _, v in seen[count : 2 * count]], strain_step) * E_PER_A2,
        "converse": -derivative([_voigt(s) for _, s, _ in seen[2 * count :]], field_step).T * E_PER_A2,
        "chi": derivative([m / v for m, _, v in seen[2 * count :]], field_step) / EPSILON_0,
    }


def errors(found, reference):
    """Of ResponseTensors, relative to the largest component of each tensor."""
    own = {name: getattr(found, name) for name in ("elastic", "e", "chi")}
    own |= {"birch": found.birch(), "improper": found.improper(), "converse": found.e}
    return {name: float(np.abs(own[name] - value).max() / np.abs(value).max()) for name, value in reference.items()}


def _observe(enthalpy, params, state, field):
    """Dipole (e Å), stress (eV/Å³) and volume (Å³)."""
    e = jnp.asarray(field)
    moment = energy_dipole(enthalpy, params, state, e)[1]
    return np.asarray(moment), np.asarray(energy_forces_stress(enthalpy, params, state, e)[2]), float(state.volume)


def _voigt(tensor):
    return np.array([0.5 * (tensor[i, j] + tensor[j, i]) for i, j in VOIGT])
