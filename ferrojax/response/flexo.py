"""Bulk flexoelectric tensors from the long-wave expansion of the response to displacement waves, by automatic differentiation in q."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.lattice import VOIGT, VOIGT_NAMES
from ferrojax.enthalpy import Enthalpy, shared_enthalpy
from ferrojax.equilibrium.implicit import settle
from ferrojax.equilibrium.inputs import checked
from ferrojax.equilibrium.stability import check_rest, check_stable, soft_mode
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.response.bloch import with_images
from ferrojax.response.first import forces
from ferrojax.response.waves import WaveResponse, wave_response
from ferrojax.state import State, apply_strain, field_inside
from ferrojax.units import E_PER_A, EPSILON_0


class LongWave(NamedTuple):
    """Type-I tensors of a state, indices P or force, displacement, gradient, gradient (αβ,γδ); atomic units of the project.

    frozen: polarization with the atoms carried along by the wave, e/Å. mixed: what the internal strain adds through the slope of
    P(q). lattice: what the atoms add that follow the forces on the sublattices. forces: T_κ with round bracket, eV, before the share
    of the acceleration is taken off. susceptibility: ionic, at E = 0. The whole is frozen + mixed + lattice.
    """

    frozen: Float[Array, "3 3 3 3"]
    mixed: Float[Array, "3 3 3 3"]
    lattice: Float[Array, "3 3 3 3"]
    forces: Float[Array, "atoms 3 3 3 3"]
    susceptibility: Float[Array, "3 3"]

    @property
    def total(self) -> Float[Array, "3 3 3 3"]:
        """μ of type I, e/Å."""
        return self.frozen + self.mixed + self.lattice


def long_wave(model: Any, params: Any, state: State, field: Float[Array, "3"], shares: Float[Array, " atoms"]) -> LongWave:
    """Flexoelectric response of a state of ``with_images`` at rest, by derivatives of Φ(q) and P(q) at q = 0; E = 0.

        Φ(q) = Φ⁰ + i q_γ B_γ + ½ q_γ q_δ Φ''_γδ,    V P(q) = Z + i q_γ F_γ + ½ q_γ q_δ P''_γδ,    Γ_γ = -Φ̃⁰ B_γ
        T_γδ = ½ Φ''_γδ + sym(B_γ Φ̃⁰ B_δ),    T̂_κ = T_κ - w_κ Σ T
        V μ_γδ = -½ P''_γδ - sym(F_γ Φ̃⁰ B_δ) + Z Φ̃⁰ T̂_γδ,    applied to a displacement common to all atoms

    so that P_α = μ_αβ,γδ ∂²u_β/∂r_γ∂r_δ. Φ̃⁰ is the inverse without translations, in the gauge Σ w_κ x_κ = 0. shares: w_κ, of sum one;
    those in the mass belong to a sound wave. Combinations of components with no net force, as in bending, depend on none.
    Differentiate by anything. Born and Huang (1954); Stengel, Phys. Rev. B 88, 174106 (2013); Royo and Stengel, Phys. Rev. B 105,
    064101 (2022).
    """
    atoms, dtype = len(state.positions), state.positions.dtype

    def at(wave: Array) -> WaveResponse:
        return wave_response(model, params, state, wave, field)

    zero = jnp.zeros(3, dtype)
    rest, slope, curvature = at(zero), jax.jacfwd(at)(zero), jax.jacfwd(jax.jacfwd(at))(zero)
    count, volume = 3 * atoms, state.volume
    stiffness = rest.force_constants.real.reshape(count, count)
    born = rest.dipole.real.reshape(3, count)
    b = slope.force_constants.imag.reshape(count, count, 3)
    f = slope.dipole.imag.reshape(3, count, 3)
    common = jnp.tile(jnp.eye(3, dtype=dtype), (atoms, 1))
    inverse = _inverse(stiffness, shares)
    bent = jnp.einsum("xyc,yb->xbc", b, common)
    internal = -jnp.einsum("xy,ybc->xbc", inverse, bent)
    second = 0.5 * jnp.einsum("xycd,yb->xbcd", curvature.force_constants.real.reshape(count, count, 3, 3), common)
    pushed = second - _symmetric(jnp.einsum("xyc,ybd->xbcd", b, internal))
    net = jnp.einsum("xbcd,xa->abcd", pushed, common)
    held = pushed - jnp.einsum("k,abcd->kabcd", shares, net).reshape(pushed.shape)
    frozen = -0.5 * jnp.einsum("axcd,xb->abcd", curvature.dipole.real.reshape(3, count, 3, 3), common)
    mixed = _symmetric(jnp.einsum("axc,xbd->abcd", f, internal))
    lattice = jnp.einsum("ax,xy,ybcd->abcd", born, inverse, held)
    ionic = born @ inverse @ born.T
    susceptibility = (ionic + model.terms(params, state).polarizability) / (volume * EPSILON_0)
    return LongWave(frozen / volume, mixed / volume, lattice / volume, pushed.reshape(atoms, 3, 3, 3, 3), susceptibility)


def flexoelectricity(
    model: Any, params: Any, state: State, strain: Float[Array, "3 3"], field: Float[Array, "3"], shares: Float[Array, " atoms"]
) -> LongWave:
    """``long_wave`` of a relaxed state as a function of strain, field and parameters, the atoms following (see ``settle``).

    state: of ``with_images``, at rest at the values given: its derivatives there are those of the relaxed crystal, but at another strain
    or field the atoms are not relaxed again. The field is the reduced one (see ``make_enthalpy``).
    """
    settled = settle(_enthalpy(model), params, state, strain, field)
    strained = apply_strain(state.at(settled.coordinates), settled.strain)
    return long_wave(model, params, strained, field_inside(settled.strain, field), shares)


def type_two(first: Float[Array, "3 3 3 3"]) -> Float[Array, "3 3 3 3"]:
    """μ^II_{αδ,βγ} = μ^I_{αβ,γδ} + μ^I_{αγ,βδ} - μ^I_{αδ,βγ}, so that P_α = μ^II_{αδ,βγ} ∂ε_βγ/∂r_δ; indices in the order α δ β γ."""
    return jnp.einsum("abcd->adbc", first) + jnp.einsum("acbd->adbc", first) - first


@dataclass(frozen=True)
class FlexoTensors:
    """Flexoelectric tensors at E = 0 in nC/m, type II, μ_αδ,βγ: P_α of ∂ε_βγ/∂r_δ.

    total = frozen + mixed + lattice (see ``LongWave``). type_one: the total, μ_αβ,γδ: P_α of ∂²u_β/∂r_γ∂r_δ. coupling: the flexocoupling
    tensor, V: the field that the gradient is worth, μ/(ε0 χ) with the ionic and electronic χ at fixed strain. eps: 1 + χ.
    shares: of the net force, by atom.
    """

    total: Float[np.ndarray, "3 3 3 3"]
    frozen: Float[np.ndarray, "3 3 3 3"]
    mixed: Float[np.ndarray, "3 3 3 3"]
    lattice: Float[np.ndarray, "3 3 3 3"]
    type_one: Float[np.ndarray, "3 3 3 3"]
    coupling: Float[np.ndarray, "3 3 3 3"]
    eps: Float[np.ndarray, "3 3"]
    shares: Float[np.ndarray, " atoms"]

    def open_circuit(self, normal: Float[np.ndarray, "3"] | tuple[float, float, float]) -> float:
        """Longitudinal coefficient along a direction n where D_n = 0 instead of E = 0, nC/m: n·μ(nn n)/ε_nn, for P = μ g - ε0 χ P/ε0."""
        n = np.asarray(normal, float) / np.linalg.norm(normal)
        return float(np.einsum("adbc,a,d,b,c->", self.total, n, n, n, n) / (n @ self.eps @ n))

    def table(self) -> str:
        """Coefficients as text: a row for each component of P and gradient direction, a column for each strain."""
        lines = ["flexoelectric tensor of type II at E = 0, nC/m: P_a from d(strain)/dr_d"]
        lines.append("a d  " + "".join(f"{name:>12}" for name in VOIGT_NAMES))
        for a, d in np.ndindex(3, 3):
            row = [self.total[a, d, b, c] for b, c in VOIGT]
            lines.append(f"{'xyz'[a]} {'xyz'[d]}  " + "".join(f"{value:12.6f}" for value in row))
        return "\n".join(lines)

    def save(self, path: str | Path) -> None:
        """As JSON."""
        numbers = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        write_text(Path(path), json.dumps(numbers, indent=1) + "\n")


def flexo_tensors(
    model: Any, params: Any, state: State, field: Any = None, weights: Literal["mass", "equal"] | np.ndarray = "mass"
) -> FlexoTensors:
    """Flexoelectric tensors of a state relaxed in a field (zero by default), in float64, checked.

    weights: how the sublattices share a net force: by "mass" (a sound wave; the masses are ASE's), "equal", or in proportion to an
    array, such as the masses of isotopes.

    Raises FerrojaxError for a state that is not at rest, or not stable, or not in float64, and for weights of none of these kinds.
    """
    dtype = state.cell.dtype
    if dtype != jnp.float64:
        raise FerrojaxError(
            "flexo_tensors: second derivatives in q need float64; set JAX_ENABLE_X64=1 and prepare the state in np.float64."
        )
    shares = _shares(state, weights)
    field = checked("field", field, (3,), "V/Å", dtype)
    check_rest(forces(_enthalpy(model), params, state, field).ravel(), state, "flexo_tensors")
    check_stable(soft_mode(_enthalpy(model), params, state, None, field), "flexo_tensors")
    found = _compiled(model, params, with_images(state), jnp.zeros((3, 3), dtype), field, shares)
    frozen, mixed, lattice = (np.asarray(type_two(x)) * E_PER_A for x in (found.frozen, found.mixed, found.lattice))
    total, chi = frozen + mixed + lattice, np.asarray(found.susceptibility)
    coupling = np.einsum("ea,adbc->edbc", np.linalg.inv(chi), total) / E_PER_A / EPSILON_0
    return FlexoTensors(total, frozen, mixed, lattice, np.asarray(found.total) * E_PER_A, coupling, np.eye(3) + chi, np.asarray(shares))


_compiled = functools.partial(jax.jit, static_argnums=0)(flexoelectricity)


def _enthalpy(model: Any) -> Enthalpy:
    return shared_enthalpy(model, long_range="ewald")


def _shares(state: State, weights: Any) -> Float[Array, " atoms"]:
    kinds = {"mass": state.masses[:, 0], "equal": jnp.ones(len(state.positions), state.cell.dtype)}
    share = kinds.get(weights) if isinstance(weights, str) else jnp.asarray(weights, state.cell.dtype)
    if share is None or share.shape != (len(state.positions),) or not bool(jnp.all(share > 0)):
        raise FerrojaxError(f"flexo_tensors: weights are 'mass', 'equal' or one positive number an atom; got {weights!r}.")
    return jnp.where(state.mobile, share, 0.0) / jnp.sum(jnp.where(state.mobile, share, 0.0))


def _inverse(stiffness: Array, shares: Array) -> Array:
    """Displacements of zero weighted mean that balance forces of zero sum."""
    common = jnp.tile(jnp.eye(3, dtype=shares.dtype), (len(shares), 1))
    lifted = stiffness + common @ common.T * (jnp.trace(stiffness) / len(stiffness) ** 2)
    moved = jnp.linalg.inv(lifted)
    mean = jnp.einsum("k,kax->ax", shares, moved.reshape(len(shares), 3, -1))
    return moved - jnp.tile(mean, (len(shares), 1))


def _symmetric(x: Array) -> Array:
    return (x + jnp.swapaxes(x, -1, -2)) / 2
