"""ASE calculator: energy, forces, stress, dipole, charges and dielectric response in a field."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from ferrojax.data.reference import choose_references
from ferrojax.electrostatics.boundary import Boundary
from ferrojax.enthalpy import Enthalpy, make_enthalpy, shared_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.potential.bundle import load
from ferrojax.potential.model import Model
from ferrojax.response.first import born_charges, eps_inf
from ferrojax.state import State, from_ase
from ferrojax.topology import carry_over, narrow, rebuild


class FerrojaxCalculator(Calculator):
    """A model as ASE calculator, with the electric field as a parameter.

        atoms.calc = FerrojaxCalculator.from_path("pbtio3-v1", field=(0, 0, 0.01))

    ASE names and units: energy and free_energy are the enthalpy F = U - E·M - ½ V E·χ·E
    plus the reference energies of ``dataset`` (eV), forces eV/Å, stress eV/Å³ (Voigt
    xx yy zz yz xz xy, tension positive), dipole and polarization -∂F/∂E (e Å, e/Å²; modulo
    the polarization quantum), charges (e), born_effective_charges [atom, polarization,
    displacement] (e), dielectric_tensor ε∞, polarizability of the cell (e Å²/V).

    Args:
        model, params, info: as ``load`` returns them.
        field: V/Å (D/ε0 on an axis of fixed displacement); change it with ``calc.set(field=...)``.
        boundary: electric boundary conditions.
        dtype: float64 where JAX has it enabled, else float32.
        dataset: whose reference energies to add; by default the only one there is, none if there
            are none, and "" for none.
        skin: Å; atoms may move by half of it before the topology is rebuilt.
        source: what error messages call the structure.

    Compiled functions are shared by all structures of one shape and by all calculators of one
    model and boundary; neighbour slots only grow.

    Raises FerrojaxError for an element the model does not know, a bad cell or an unknown data set.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress", "dipole", "polarization", "charges",
                                                   "born_effective_charges", "dielectric_tensor", "polarizability"]  # fmt: skip
    default_parameters: ClassVar[dict[str, Any]] = {"field": (0.0, 0.0, 0.0)}

    def __init__(
        self,
        model: Model,
        params: Any,
        info: Mapping[str, Any] | None = None,
        field: Sequence[float] = (0.0, 0.0, 0.0),
        boundary: Boundary = Boundary(),
        dtype: Any = None,
        dataset: str | None = None,
        skin: float = 1.0,
        source: str = "structure",
    ) -> None:
        super().__init__(field=tuple(field))
        self.source = source
        self.model, self.model_params, self.skin = model, params, skin
        self.dtype = np.dtype(dtype or jnp.zeros(0).dtype).type
        self.references = choose_references(info or {}, dataset)
        self.enthalpy = _enthalpy(model, boundary)
        self.state: State | None = None

    @classmethod
    def from_path(cls, path: str | Path, **settings: Any) -> FerrojaxCalculator:
        """Calculator of a model folder; settings as for the constructor."""
        return cls(*load(path), **settings)

    def set(self, **settings: Any) -> dict:
        """Change parameters; a new field discards earlier results."""
        if "field" in settings:
            settings["field"] = _checked_field(settings["field"])
        changed = super().set(**settings)
        if changed:
            self.reset()
        return changed

    def calculate(
        self, atoms: Atoms | None = None, properties: Sequence[str] = ("energy",), system_changes: Sequence[str] = all_changes
    ) -> None:
        """Fill ``results`` with what was asked for; energy, forces, stress and dipole come together."""
        super().calculate(atoms, properties, system_changes)
        field = jnp.asarray(self.parameters["field"], self.dtype)
        state = self._update(self.atoms)
        if {"energy", "free_energy", "forces", "stress", "dipole", "polarization"} & set(properties):
            self.results |= self._first(state, field)
        if {"charges", "polarizability"} & set(properties):
            terms = _terms(self.model, self.model_params, state)
            self.results |= {"charges": np.asarray(terms.charges), "polarizability": np.asarray(terms.polarizability)}
        if "born_effective_charges" in properties:
            born = born_charges(self.enthalpy, self.model_params, state, field)
            self.results["born_effective_charges"] = np.asarray(born)
        if "dielectric_tensor" in properties:
            self.results["dielectric_tensor"] = np.asarray(eps_inf(self.enthalpy, self.model_params, state, field))

    def _first(self, state: State, field: jax.Array) -> dict[str, Any]:
        energy, forces, stress, dipole = (
            np.asarray(x, np.float64) for x in _first_derivatives(self.enthalpy, self.model_params, state, field)
        )
        total, volume = float(energy) + self._reference_energy(), self.atoms.get_volume()
        results = {"energy": total, "free_energy": total, "forces": forces, "stress": full_3x3_to_voigt_6_stress(stress)}
        return results | {"dipole": dipole, "polarization": dipole / volume}

    def _update(self, atoms: Atoms) -> State:
        """The state of the atoms; the topology is kept while it is valid, and its shapes beyond that."""
        new = from_ase(atoms, self.dtype, self.source)
        old = self.state
        if old is not None and np.array_equal(old.numbers, new.numbers):
            self.state = carry_over(new, old)
        else:
            slots, near = (None, 0) if old is None else (old.topology.mask.shape[1], old.topology.near)
            state = self.model.prepare(new, skin=self.skin, slots=slots, name=self.source)
            self.state = narrow(rebuild(state) if bool(state.topology.overflow) else state, near or 0)
        return self.state

    def _reference_energy(self) -> float:
        missing = sorted(set(self.atoms.symbols) - set(self.references)) if self.references else []
        if missing:
            raise FerrojaxError(f"{self.source}: the data set has no reference energy for {missing}; pass dataset='' to leave them out.")
        return float(sum(self.references[s] for s in self.atoms.symbols)) if self.references else 0.0


def _enthalpy(model: Model, boundary: Boundary) -> Callable:
    """One function per model and boundary, since compiled code is kept per function; arrays cannot be looked up."""
    hashable = isinstance(boundary.reference_dipole, tuple)
    return shared_enthalpy(model, boundary) if hashable else make_enthalpy(model, boundary)


@functools.partial(jax.jit, static_argnums=0)
def _terms(model: Model, params: Any, state: State):
    return model.terms(params, state)


@functools.partial(jax.jit, static_argnums=0)
def _first_derivatives(enthalpy: Enthalpy, params: Any, state: State, field: jax.Array) -> tuple[jax.Array, ...]:
    """Enthalpy, forces, stress and dipole in one reverse pass."""

    def of(positions, strain, field):
        return enthalpy(params, state.replace(positions=positions), strain, field)

    zero = jnp.zeros((3, 3), state.cell.dtype)
    energy, (slope, torsion, moment) = jax.value_and_grad(of, (0, 1, 2))(state.positions, zero, field)
    return energy, -slope, (torsion + torsion.T) / (2 * state.volume), -moment


def _checked_field(field: Sequence[float]) -> tuple[float, float, float]:
    values = np.asarray(field, float)
    if values.shape != (3,) or not np.isfinite(values).all():
        raise FerrojaxError(f"the field must be three finite numbers in V/Å; got {field}.")
    return float(values[0]), float(values[1]), float(values[2])
