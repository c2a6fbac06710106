"""Metropolis Monte Carlo of the lattice, all cells at once, exact in spite of dipoles of long range.

A checkerboard would be exact for short range only: with dipoles no two cells are independent. Here the couplings between
cells, both of one quadratic form -½ f·A f with A positive, are traded for an auxiliary field e,

    exp(β ½ f·A f) ∝ ∫ de exp(-β ½ e·A⁻¹ e) exp(β e·f),      e given f: normal, mean A f, covariance kT A

with f = u and A = c - Φ (the c u²/2 this adds is subtracted in each cell), and with f = y(u), the sources of the strain,
and A = Dᵀ K⁻¹ D. A is diagonal in k, so a new e costs one transform each way. Given e and the homogeneous strain, itself
normal given u, the cells do not know of each other and each makes Metropolis moves of its own. Hubbard, Phys. Rev.
Lett. 3, 77 (1959), for the transformation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Float

from ferrojax.dynamics.hybrid import RECENT, SampledMotion
from ferrojax.dynamics.motion import draw_momenta
from ferrojax.dynamics.protocols import Temperature, at
from ferrojax.dynamics.system import System
from ferrojax.effective.clamp import LOOSE, settled
from ferrojax.effective.enthalpy import EffectiveHamiltonian, fold_image, with_image
from ferrojax.effective.fourier import AXES, block_sizes, multiply, packing
from ferrojax.effective.kernels import pair_kernel, strain_kernel
from ferrojax.effective.lattice import LatticeState, voigt_strain
from ferrojax.effective.params import HeffParams
from ferrojax.effective.terms import depolarization_strength, elastic_tensor, onsite_density, outer_load, strain_sources
from ferrojax.errors import FerrojaxError
from ferrojax.matrix import inverse
from ferrojax.units import BOLTZMANN

SPARE = 1.001  # c over the largest eigenvalue of Φ, so that rounding leaves A positive


class MonteCarlo(struct.PyTreeNode):
    """Metropolis Monte Carlo of a LatticeState; one step of a run is a sweep.

    temperature: K, a number or a protocol. moves: tried in each cell a sweep. size: standard deviation of a move, in units
    of √(kT/c), the width of a cell's distribution in a given auxiliary field. dt: fs, the time that a sweep counts as on
    the clock of protocols and records; it has no other meaning. Acoustic displacements must be eliminated.
    """

    temperature: Temperature = 300.0
    size: float | Float[Array, ""] = 1.0
    dt: float | Float[Array, ""] = 1.0
    moves: int = struct.field(pytree_node=False, default=4)
    drifts: ClassVar[int] = 1
    max_step: ClassVar[float] = np.inf

    def build(self, system: System) -> tuple[Callable, Callable]:
        """``init`` and ``apply`` (see NVE.build). Raises FerrojaxError for a state or enthalpy that it cannot sample."""
        enthalpy, state = sampled_system(system)
        dtype = state.modes.dtype
        params: HeffParams = jax.tree.map(lambda x: x.astype(dtype), system.params)
        couplings = Couplings(enthalpy, params)

        def init(key: Array, position: Array, cell: Array, mass: Array, momenta: Array, **_: Any) -> SampledMotion:
            return SampledMotion(position, momenta, jnp.zeros_like(position), mass, jnp.ones((), dtype), key)

        def apply(motion: SampledMotion, time: Array, field: Array, cell: Array | None = None) -> SampledMotion:
            rng, draw, noise, strain, moves = jax.random.split(motion.rng, 5)
            kelvin = jnp.asarray(at(self.temperature, time), dtype)
            heat = BOLTZMANN * kelvin
            modes = jnp.moveaxis(state.at(motion.position).modes, -1, 0)
            held = jnp.zeros(6, dtype)
            if system.reference is not None and cell is not None:
                held = voigt_strain((inverse(system.reference) @ cell).T - jnp.eye(3, dtype=dtype))
            sources = strain_sources(params, modes, state.occupation)
            auxiliary = couplings.draw(noise, jnp.concatenate([modes, sources]), heat)
            homogeneous = draw_strain(strain, params, sources, held, enthalpy.clamp, heat)
            push = auxiliary[:3] + (params.charge * field.astype(dtype))[:, None, None, None]
            local = auxiliary[3:] - homogeneous[:, None, None, None]

            def energy(modes: Array) -> Array:
                """Of each cell by itself."""
                y = strain_sources(params, modes, None)
                squares = 0.5 * couplings.bound * jnp.sum(modes**2, 0)
                return onsite_density(params, modes) + squares - jnp.sum(push * modes, 0) - jnp.sum(local * y, 0)

            modes, acceptance = metropolis(moves, modes, energy, self.size * jnp.sqrt(heat / couplings.bound), heat, self.moves)
            position = jnp.moveaxis(modes, 0, -1).reshape(-1, 3)
            momenta = draw_momenta(draw, state, kelvin)
            recent = motion.acceptance + RECENT * (acceptance - motion.acceptance)
            return motion.replace(position=position, momentum=momenta, acceptance=recent, rng=rng)

        return init, apply

    def conserved(self, motion: SampledMotion, total: Array, time: Array) -> Float[Array, ""]:
        """NaN: nothing is conserved."""
        return jnp.full_like(total, jnp.nan)


class Couplings:
    """A = c - Φ and A = Dᵀ K⁻¹ D with their square roots; ``bound`` is c."""

    def __init__(self, enthalpy: EffectiveHamiltonian, params: HeffParams) -> None:
        self._gap, cells = enthalpy.boundary.dead_layers, enthalpy.grid
        # A film shares its energy with its image; of a bulk all is its own.
        self._share = 1.0 if self._gap is None else 0.5
        pair = pair_kernel(params, cells, enthalpy.dipole).astype(params.a0.dtype)
        if self._gap is None:
            factors = jnp.asarray(enthalpy.boundary.depolarization, params.a0.dtype)
            pair = pair.at[:3, 0, 0, 0].add(2 * depolarization_strength(params) * factors)
        values, vectors = jnp.linalg.eigh(unpacked(pair))
        self.bound = SPARE * jnp.max(jnp.abs(values))  # |Φ|: in a tiny lattice no eigenvalue need be positive
        self._roots = (packed(_rebuilt(jnp.sqrt(self.bound - values), vectors)), packed(_root(-strain_kernel(params, cells))))
        self._shape = cells

    def draw(self, key: Array, fields: Float[Array, "9 x y z"], heat: Array) -> Float[Array, "9 x y z"]:
        """The auxiliary field given u and y: mean A f, covariance kT A."""
        whole = fields if self._gap is None else with_image(fields, self._gap)
        noise = jnp.sqrt(heat / self._share) * jax.random.normal(key, whole.shape, whole.dtype)
        # √A (√A f + √kT ξ), each product in k.
        spectrum = self._times_root(jnp.fft.rfftn(whole, axes=AXES)) + jnp.fft.rfftn(noise, axes=AXES)
        drawn = jnp.fft.irfftn(self._times_root(spectrum), s=self._shape, axes=AXES)
        return drawn if self._gap is None else self._share * fold_image(drawn, fields.shape[-1])

    def _times_root(self, spectrum: Array) -> Array:
        pair, strain = self._roots
        return jnp.stack(multiply(pair, list(spectrum[:3])) + multiply(strain, list(spectrum[3:])))


def metropolis(
    key: Array, modes: Float[Array, "3 x y z"], energy: Callable[[Array], Array], size: Array, heat: Array, moves: int
) -> tuple[Float[Array, "3 x y z"], Float[Array, ""]]:
    """Independent moves in every cell, for an energy of each cell by itself; the modes and the share accepted."""

    def move(carry: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], Array]:
        modes, here = carry
        step, chance = jax.random.split(key)
        trial = modes + size * jax.random.normal(step, modes.shape, modes.dtype)
        there = energy(trial)
        accept = jnp.log(jax.random.uniform(chance, here.shape, here.dtype)) < (here - there) / heat
        return (jnp.where(accept, trial, modes), jnp.where(accept, there, here)), jnp.mean(accept, dtype=modes.dtype)

    (modes, _), accepted = lax.scan(move, (modes, energy(modes)), jax.random.split(key, moves))
    return modes, jnp.mean(accepted)


def draw_strain(
    key: Array, params: HeffParams, sources: Float[Array, "6 x y z"], held: Float[Array, "6"], clamp: str, heat: Array
) -> Float[Array, "6"]:
    """The homogeneous strain given the modes: its loose components normal about their minimum, covariance kT/N B⁻¹."""
    cells = sources.size // 6
    mean = settled(params, jnp.mean(sources, (1, 2, 3)) - outer_load(params), held, clamp)
    if not LOOSE[clamp]:
        return mean
    loose = jnp.array(LOOSE[clamp])
    factor = jnp.linalg.cholesky(elastic_tensor(params)[loose][:, loose])
    noise = jax.scipy.linalg.solve_triangular(factor.T, jax.random.normal(key, loose.shape, mean.dtype), lower=False)
    return mean.at[loose].add(jnp.sqrt(heat / cells) * noise)


def sampled_system(system: System) -> tuple[EffectiveHamiltonian, LatticeState]:
    """Enthalpy and state; FerrojaxError unless their couplings are all quadratic in modes or sources."""
    enthalpy, state = system.enthalpy, system.state
    if not isinstance(enthalpy, EffectiveHamiltonian) or not isinstance(state, LatticeState):
        raise FerrojaxError("MonteCarlo moves the cells of an effective Hamiltonian; sample atoms with HybridMonteCarlo.")
    if state.acoustic is not None:
        raise FerrojaxError("MonteCarlo eliminates the acoustic displacements: set acoustic=None in the state.")
    if enthalpy.couplings:
        raise FerrojaxError("MonteCarlo knows only the usual couplings; sample more general ones with HybridMonteCarlo.")
    if enthalpy.boundary.dead_layers is not None and any(float(f) > 0 for f in enthalpy.boundary.depolarization):
        raise FerrojaxError("MonteCarlo of a film cannot have depolarization in its plane: set it to zero, or use HybridMonteCarlo.")
    return enthalpy, state


def unpacked(kernel: Float[Array, "_ kx ky kz"]) -> Float[Array, "kx ky kz n n"]:
    """Full symmetric matrices of a packed kernel."""
    (size,) = block_sizes((kernel,))
    place = {pair: k for k, pair in enumerate(packing(size))}
    rows = [[kernel[place[min(i, j), max(i, j)]] for j in range(size)] for i in range(size)]
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def packed(matrices: Float[Array, "kx ky kz n n"]) -> Float[Array, "_ kx ky kz"]:
    """Upper triangles, as the kernels of quadratic forms are packed."""
    return jnp.stack([matrices[..., i, j] for i, j in packing(matrices.shape[-1])])


def _root(kernel: Float[Array, "_ kx ky kz"]) -> Float[Array, "kx ky kz n n"]:
    values, vectors = jnp.linalg.eigh(unpacked(kernel))
    return _rebuilt(jnp.sqrt(jnp.maximum(values, 0.0)), vectors)


def _rebuilt(values: Float[Array, "kx ky kz n"], vectors: Float[Array, "kx ky kz n n"]) -> Float[Array, "kx ky kz n n"]:
    return jnp.einsum("...in,...n,...jn->...ij", vectors, values, vectors)
