"""Linear response of a crystal to displacement waves u exp(iq·r): force constants, charges and polarization at any q."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ferrojax.electrostatics.ewald import inverse_cell
from ferrojax.response.bloch import along_wave, at_wave, images
from ferrojax.state import State
from ferrojax.topology import edge_vectors
from ferrojax.units import COULOMB

BATCH = 30  # displacements done together
QUADRATURE = np.polynomial.legendre.leggauss(16)  # along a bond; exact to rounding up to ten radians


class WaveResponse(NamedTuple):
    """What displacements u_jb exp(iq·r_j) of amplitude one do, in the phase convention of the atoms' own positions.

    force_constants: Φ(q), eV/Å², without the macroscopic field (E = 0): an analytic function of q. charge: S(q) = V ρ(q) of the
    screened charges (divided by √ε∞), e/Å: their field adds 4π k_e/(V q²) S* S to Φ. dipole: V P(q), e; at q = 0 the Born charges.
    """

    force_constants: Complex[Array, "atoms 3 atoms 3"]
    charge: Complex[Array, "atoms 3"]
    dipole: Complex[Array, "3 atoms 3"]


def wave_response(model: Any, params: Any, state: State, wave: Float[Array, "3"], field: Float[Array, "3"]) -> WaveResponse:
    """Response of a state of ``with_images`` to displacement waves of wave vector q (1/Å, in the first zone) in a field (V/Å).

        Φ(q) = Φ_L + R† v R + diag(q_i ∂∂φ_i) + J† ∂φ + (J† ∂φ)†,   R_G = Σ_j exp(-iG·r_j) [J_j - i (G + q) q_j]

    Φ_L is of what has a finite range, E_short + Σ φ_i q_i at fixed potentials φ, J = ∂q/∂u the charges' response, both by automatic
    differentiation with Bloch phases; the rest is the Gaussian Ewald sum v = 4π k_e/V exp(-σ²k²)/k², k = G + q, less the 1/q² of
    G = 0. Charge that flows between two atoms moves along the line between them: q·P(q) is then the charge of the wave, and P(q)
    as a whole is an analytic function of q. Differentiate by q, strain, field and parameters at will.
    Born and Huang, Dynamical Theory of Crystal Lattices (1954); Gonze and Lee, Phys. Rev. B 55, 10355 (1997).
    """
    atoms, dtype, screen = len(state.positions), state.positions.dtype, model.config.eps_inf**0.5
    rest = model.terms(params, state)
    charges, lattice = rest.charges / screen, _reciprocal(state)
    potential = _potential(state, charges, lattice, model.config.smearing)
    finite_range = _finite_range(model, params, at_wave(state, wave), field, potential[0] / screen)
    probes = (state.positions, jnp.zeros(atoms, dtype), jnp.zeros(state.topology.mask.shape, dtype))
    slope = jax.grad(finite_range, (0, 1, 2))

    def response(displacement: Array) -> tuple[Array, Array, Array]:
        return along_wave(slope, probes, (displacement, jnp.zeros_like(probes[1]), jnp.zeros_like(probes[2])))

    count = 3 * atoms
    units = jnp.eye(count, dtype=dtype).reshape(count, atoms, 3)
    hessian, transfer, flow = (jnp.moveaxis(x, 0, -1) for x in jax.lax.map(response, units, batch_size=BATCH))
    # From amplitudes of whole cells to those of atoms: x_i exp(iq·R) = x'_i exp(iq·(R + r_i)).
    phase = jnp.exp(1j * (state.positions @ wave))
    hessian, transfer, flow = (x * jnp.repeat(phase, 3) for x in (hessian, transfer, flow))
    hessian, transfer, flow = (phase.conj().reshape(-1, *[1] * (x.ndim - 1)) * x for x in (hessian, transfer, flow))
    long_range, charge = _ewald(state, charges, lattice, potential, model.config.smearing, transfer / screen, wave)
    force_constants = (hessian.reshape(count, count) + long_range).reshape(atoms, 3, atoms, 3)
    return WaveResponse(force_constants, charge.reshape(atoms, 3), _dipole(model, state, rest.flow, flow, wave))


def _finite_range(model: Any, params: Any, state: State, field: Array, potential: Array) -> Callable[..., Array]:
    """E_short + Σ φ_i q_i + field terms as a function of positions and of weights that read out charges and flows."""

    def of(positions: Array, on_charges: Array, on_flows: Array) -> Array:
        moved = state.replace(positions=positions)
        terms = model.terms(params, moved)
        value = terms.short_range + (potential + on_charges) @ terms.charges + jnp.sum(on_flows * terms.flow)
        moment = model.formal_charges(state) @ positions + jnp.einsum("im,imx->x", terms.flow, edge_vectors(moved))
        return value - field @ moment - 0.5 * field @ terms.polarizability @ field

    return of


def _reciprocal(state: State) -> Float[Array, "box 3"]:
    """Reciprocal vectors G of the Ewald box and one more each way, since k = G + q must reach as far; the first is zero."""
    ranges = [np.arange(-n - 1, n + 2) for n in state.topology.kgrid]
    box = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    box = np.concatenate([np.zeros((1, 3), int), box[np.any(box != 0, 1)]])
    return 2 * np.pi * jnp.asarray(box, state.cell.dtype) @ inverse_cell(state.cell)[0].T


def _potential(state: State, charges: Array, lattice: Array, smearing: float) -> tuple[Array, Array, Array]:
    """Potential φ at the atoms (V), its gradient and second derivatives, of Gaussians at rest."""
    waves = jnp.exp(1j * (lattice @ state.positions.T))
    squared = jnp.sum(lattice[1:] ** 2, -1)
    kernel = 4 * np.pi * COULOMB / state.volume * jnp.exp(-(smearing**2) * squared) / squared
    weights = (kernel * (waves[1:].conj() @ charges))[:, None] * waves[1:]
    first = jnp.einsum("gi,ga->ia", 1j * weights, lattice[1:])
    second = -jnp.einsum("gi,ga,gb->iab", weights, lattice[1:], lattice[1:])
    return jnp.sum(weights, 0).real, first.real, second.real


def _ewald(
    state: State, charges: Array, lattice: Array, potential: tuple, smearing: float, transfer: Array, wave: Array
) -> tuple[Array, Array]:
    """Long-range part of Φ(q) without the macroscopic field, and V ρ(q); ``transfer`` is J, (atoms, 3 atoms)."""
    count, k = 3 * len(charges), lattice + wave
    squared = jnp.sum(k**2, -1)
    factor = jnp.exp(-(smearing**2) * squared[1:]) / squared[1:]
    kernel = 4 * np.pi * COULOMB / state.volume * jnp.concatenate([-(smearing**2) * _decay(smearing**2 * squared[:1]), factor])
    back = jnp.exp(-1j * (lattice @ state.positions.T))
    moved = -1j * jnp.einsum("gj,gb,j->gjb", back, k, charges).reshape(-1, count)
    density = back @ transfer + moved
    _, gradient, second = potential
    diagonal = jnp.einsum("i,iab,ij->iajb", charges, second, jnp.eye(len(charges))).reshape(count, count)
    mixed = jnp.einsum("ji,jb->ijb", transfer.conj(), gradient).reshape(count, count)
    return density.conj().T @ (kernel[:, None] * density) + diagonal + mixed + mixed.conj().T, density[0]


def _decay(x: Array) -> Array:
    """(1 - exp(-x))/x, with all derivatives at x = 0."""
    small = x < 0.05
    series = 1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6 * (1 - x / 7)))))
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, series, -jnp.expm1(-safe) / safe)


def _dipole(model: Any, state: State, flow: Array, change: Array, wave: Array) -> Array:
    """V P(q) of displacements of amplitude one, (3, atoms, 3): formal charges with their atoms, and flow along the bonds.

    V P = Σ_i Z_i u_i + Σ_ij ∫₀¹ ds exp(-isθ) [δg r + g (u_j exp(iθ) - u_i) - i g r q·((1-s) u_i + s u_j exp(iθ))],   θ = q·r_ij
    """
    atoms = len(state.positions)
    bond = jnp.where(state.topology.mask[..., None], edge_vectors(state), 0.0)
    flow = jnp.where(state.topology.mask, flow, 0.0)
    theta = bond @ wave
    nodes, weights = (jnp.asarray(x, wave.dtype) for x in QUADRATURE)
    s, weights = (nodes + 1) / 2, weights / 2
    along = jnp.exp(-1j * theta[..., None] * s)
    whole, far = jnp.sum(weights * along, -1), jnp.sum(weights * s * along, -1)
    changed = jnp.einsum("imc,ima,im->ac", change, bond, whole).reshape(3, atoms, 3)
    turned = jnp.exp(1j * theta) * flow
    other = images(state).owner[state.topology.neighbors].ravel()

    def arriving(x: Array) -> Array:
        return jax.ops.segment_sum(x.reshape(len(other), *x.shape[2:]), other, atoms)

    # Sums over bonds of what each of its two ends does, by axis of P and axis of the displacement.
    stretch = model.formal_charges(state) + arriving(turned * whole) - jnp.sum(flow * whole, 1)
    drift = arriving((turned * far)[..., None] * bond).T + jnp.einsum("im,ima->ai", flow * (whole - far), bond)
    return changed + jnp.einsum("j,ab->ajb", stretch, jnp.eye(3)) - 1j * jnp.einsum("aj,b->ajb", drift, wave)
