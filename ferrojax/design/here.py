"""What objectives and constraints are made of: relaxed structures as differentiable functions of the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferrojax.design.variables import Setting
from ferrojax.effective.lattice import LatticeState, voigt_strain
from ferrojax.enthalpy import Enthalpy
from ferrojax.equilibrium.implicit import Settled, settle
from ferrojax.equilibrium.stability import ASIDE, force_constants, null_space
from ferrojax.paths.space import Point
from ferrojax.response.flexo import long_wave, type_two
from ferrojax.state import State, apply_strain, field_inside
from ferrojax.units import E_PER_A, E_PER_A2, EPSILON_0

PICOMETRE_PER_VOLT = 100.0  # of 1 Å/V


@dataclass(frozen=True)
class Structure:
    """A stationary point that a problem follows.

    point: where to start, near the point wanted at the start of the variables (atoms: from ``model.prepare(atoms, np.float64,
    skin=1.0)``; lattices: from ``effective.prepare``). saddle: a first-order saddle instead of a minimum. free: Voigt strains (0 to
    5) that follow. in_field: False for the field-free, remanent structure.
    """

    point: Point
    saddle: bool = False
    free: tuple[int, ...] = ()
    in_field: bool = True


@dataclass(frozen=True)
class Here:
    """The structures of a problem at a design, by name; every method is differentiable, to any order.

    setting: what they sit in.
    """

    enthalpy_function: Enthalpy
    setting: Setting
    structures: Mapping[str, Structure]
    points: Mapping[str, Point]
    _known: dict[str, Settled] = field(default_factory=dict)  # each is traced once, however many quantities ask for it

    def state(self, name: str) -> Any:
        """The state at rest, in its reference cell."""
        return self._placed(name).at(self.settled(name).coordinates)

    def strain(self, name: str) -> Float[Array, "3 3"]:
        """Its whole strain: held components and those that followed."""
        return self.settled(name).strain

    def enthalpy(self, name: str) -> Float[Array, ""]:
        """G = F - V₀ σ:ε, eV."""
        return self._enthalpy(name, self.settled(name), self.field(name))

    def barrier(self, saddle: str, minimum: str) -> Float[Array, ""]:
        """G(saddle) - G(minimum), eV; with a cubic saddle the depth of the well, which goes with T_c in a family of crystals.

        Abrahams, Kurtz and Jamieson, Phys. Rev. 172, 551 (1968), for the relation of displacement and T_c.
        """
        return self.enthalpy(saddle) - self.enthalpy(minimum)

    def polarization(self, name: str, reference: Any = (0.0, 0.0, 0.0)) -> Float[Array, "3"]:
        """P = (I + ε) (M - M_ref)/V, C/m²; of a lattice M/V₀.

        reference: M_ref, e Å, dipole of a non-polar structure on the same branch in the reference cell: dipoles of atoms are defined
        modulo e times a lattice vector.
        """
        state, strain = self.state(name), self.strain(name)
        moment = -jax.grad(lambda field: self.enthalpy_function(self.setting.params, state, strain, field))(self.field(name))
        volume, carried = jnp.linalg.det(state.cell), jnp.eye(3)
        if state.follows_cell:
            carried = jnp.eye(3) + strain
            volume = volume * jnp.linalg.det(carried)
        return carried @ (moment - jnp.asarray(reference, moment.dtype)) / volume * E_PER_A2

    def susceptibility(self, name: str) -> Float[Array, "3 3"]:
        """χ = -(1/ε0 V₀) ∂²G/∂E∂E with the free strains following; electrons included."""

        def slope(field: Array) -> Array:
            point = self.settled(name, field)  # ∂G/∂E is ∂F/∂E at fixed coordinates
            return jax.grad(lambda inside: self._enthalpy(name, point, inside))(field)

        curvature = jax.jacfwd(slope)(self.field(name))
        state = self.points[name].state
        electrons = (self.setting.params.eps_inf - 1) * jnp.eye(3) if isinstance(state, LatticeState) else 0.0
        return electrons - curvature / (EPSILON_0 * jnp.linalg.det(state.cell))

    def piezoelectric(self, name: str) -> Float[Array, "3 6"]:
        """d_ik = ∂η_k/∂E_i, pm/V, of the strains that are free; zero for held ones. d33 is entry (2, 2)."""
        return PICOMETRE_PER_VOLT * jax.jacfwd(lambda field: voigt_strain(self.settled(name, field).strain))(self.field(name)).T

    def stiffness(self, name: str) -> Float[Array, ""]:
        """The lowest eigenvalue of ∂²F/∂x∂x at fixed strain, eV/Å²: as a constraint it keeps a design away from a soft mode."""
        state, strain, field = self.state(name), self.strain(name), self.field(name)
        matrix = force_constants(self.enthalpy_function, self.setting.params, state, strain, field)
        null = null_space(state, len(matrix))
        return jnp.linalg.eigvalsh(matrix + ASIDE * null @ null.T)[0]

    def flexoelectric(self, name: str, model: Any) -> Float[Array, "3 3 3 3"]:
        """μ_αδ,βγ of type II at E = 0, nC/m, forces shared by mass (see ``long_wave``); of atoms whose start is ``with_images``."""
        state, strain = self.state(name), self.strain(name)
        inside = field_inside(strain, self.field(name))
        shares = state.masses[:, 0] / jnp.sum(state.masses)
        found = long_wave(model, self.setting.params, apply_strain(state, strain), inside, shares)
        return type_two(found.total) * E_PER_A

    def field(self, name: str) -> Float[Array, "3"]:
        """The field that a structure sits in, V/Å."""
        return self.setting.field if self.structures[name].in_field else jnp.zeros_like(self.setting.field)

    def settled(self, name: str, field: Float[Array, "3"] | None = None) -> Settled:
        """The stationary point (see ``settle``) as a function of the setting and, if given, of another field."""
        if field is None and name in self._known:
            return self._known[name]
        free, inside = self.structures[name].free, self.field(name) if field is None else field
        found = settle(self.enthalpy_function, self.setting.params, self._placed(name), self._held(name), inside, free, self.setting.stress)
        if field is None:
            self._known[name] = found
        return found

    def _enthalpy(self, name: str, point: Settled, field: Array) -> Array:
        state = self._placed(name)
        work = jnp.linalg.det(state.cell) * jnp.sum(self.setting.stress * point.strain)
        return self.enthalpy_function(self.setting.params, state.at(point.coordinates), point.strain, field) - work

    def _placed(self, name: str) -> State | LatticeState:
        return occupied(self.points[name].state, self.setting)

    def _held(self, name: str) -> Float[Array, "3 3"]:
        return held_strain(self.setting, self.points[name], self.structures[name].free)


def occupied(state: State | LatticeState, setting: Setting) -> State | LatticeState:
    """The state with the setting's occupation, if there is one."""
    return state if setting.occupation is None else state.replace(occupation=setting.occupation)


def held_strain(setting: Setting, point: Point, free: tuple[int, ...]) -> Float[Array, "3 3"]:
    """The setting's strain, with the free components as the point has them."""
    mask = jnp.asarray([[k in free for k in row] for row in ((0, 5, 4), (5, 1, 3), (4, 3, 2))])
    return jnp.where(mask, jax.lax.stop_gradient(point.strain), setting.strain)
