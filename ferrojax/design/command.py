"""What `ferrojax design` does: a problem from its configuration, its optimum, and the confirmation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ferrojax import effective
from ferrojax.data.structure import read_structure
from ferrojax.design import variables
from ferrojax.design.config import DesignConfig, QuantityConfig, StructureConfig, VariableConfig
from ferrojax.design.design import Design
from ferrojax.design.here import Here, Structure
from ferrojax.design.optimise import optimise
from ferrojax.design.problem import Constraint, Problem
from ferrojax.design.record import save
from ferrojax.effective.lattice import VOIGT, VOIGT_NAMES, strain_tensor
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.paths.space import Point
from ferrojax.potential import load
from ferrojax.response.bloch import with_images
from ferrojax.sections import read_section
from ferrojax.shipped import model_folder

SKIN = 1.0  # Å
UNITS = {
    "enthalpy": "eV",
    "barrier": "eV",
    "polarization": "C/m²",
    "susceptibility": "",
    "strain": "",
    "piezoelectric": "pm/V",
    "stiffness": "eV/Å²",
    "flexoelectric": "nC/m",
}


def run_design(source: str | Path | dict[str, Any]) -> Design:
    """Optimise as a configuration says, confirm the optimum from scratch, and write the output folder.

    Raises FerrojaxError for a bad configuration and as ``optimise`` and ``Design.confirm`` do.
    """
    config, folder = read_section(DesignConfig, source)
    with jax.enable_x64(True):
        found = optimise(problem_of(config, folder), config.method, config.max_steps)
        fresh = found.confirm()
    save(found, folder / config.output, confirmed=fresh.tolist())
    return found


def problem_of(config: DesignConfig, folder: Path) -> Problem:
    """The problem of a configuration; paths are relative to ``folder``."""
    if config.model is not None:
        model, params, _ = load(model_folder(config.model, folder))
        enthalpy: Any = make_enthalpy(model, long_range="ewald")
    else:
        model, params = None, effective.load_parameters(_set(config.effective, folder))
        enthalpy = effective.make_enthalpy(config.shape)
    base = variables.setting(params, strain_tensor(jnp.asarray(config.strain)), config.field_V_per_A)
    changes = [_variable(name, v, config, folder) for name, v in config.variables.items()]
    waves = "flexoelectric" in {q.quantity for q in (config.objective, *config.constraints.values())}
    return Problem(
        enthalpy,
        base,
        changes,
        {name: _structure(s, config, folder, model, params, waves) for name, s in config.structures.items()},
        quantity(config.objective, model),
        {name: Constraint(quantity(c, model), c.lower, c.upper, c.scale, UNITS[c.quantity]) for name, c in config.constraints.items()},
        config.sense,
        UNITS[config.objective.quantity],
    )


def quantity(config: QuantityConfig, model: Any) -> Any:
    """A number of a configuration as a function of ``Here``."""
    index = tuple("xyz".index(letter) for letter in config.component)

    def value(here: Here) -> Array:
        if config.quantity == "barrier":
            return here.barrier(*config.of)
        if config.quantity == "flexoelectric":
            return here.flexoelectric(config.of[0], model)[index]
        if config.quantity == "piezoelectric":
            pair = next(k for k, pair in enumerate(VOIGT) if set(pair) == set(index[1:]))
            return here.piezoelectric(config.of[0])[index[0], pair]
        return getattr(here, config.quantity)(config.of[0])[index]

    return value


def _structure(s: StructureConfig, config: DesignConfig, folder: Path, model: Any, params: Any, waves: bool) -> Structure:
    free = tuple(VOIGT_NAMES.index(name) for name in s.free)
    if model is not None:
        state = model.prepare(read_structure(folder / str(s.file)), np.float64, skin=SKIN, name=str(s.file))
        state = with_images(state) if waves else state
    else:
        state = effective.prepare(params, effective.uniform_state(config.shape, s.mode_A))
    return Structure(Point(state, jnp.zeros((3, 3))), s.saddle, free, s.in_field)


def _variable(name: str, v: VariableConfig, config: DesignConfig, folder: Path) -> variables.Variable:
    bounds = (v.lower, v.upper, v.start)
    kind, _, component = name.partition("_")
    if name == "epitaxial":
        return variables.epitaxial(*bounds, name=name)
    if kind == "strain":
        return variables.strain_component(component, *bounds)
    if kind == "field":
        return variables.field_component(component, *bounds)
    if name == "thickness" and config.effective:
        return variables.layer_thickness(config.shape, *bounds)
    if name == "mixing" and v.other:
        other = load(model_folder(v.other, folder))[1] if config.model else effective.load_parameters(_set(v.other, folder))
        return variables.mixing(other, *bounds)
    raise FerrojaxError(
        f"design: no variable {name!r}; take epitaxial, strain_xx to strain_xy, field_x to field_z, mixing with 'with', or, of the "
        "effective Hamiltonian, thickness."
    )


def _set(name: str | None, folder: Path) -> str | Path:
    """The name of a parameter set, or the path of its file."""
    return folder / str(name) if str(name).endswith((".yaml", ".yml")) else str(name)
