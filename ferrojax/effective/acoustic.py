"""Inhomogeneous strain as explicit acoustic displacements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.effective.fourier import AXES, convolve, packing, quadratic_form
from ferrojax.effective.kernels import acoustic_kernel
from ferrojax.effective.lattice import wave_vectors, zone_edges

if TYPE_CHECKING:
    from ferrojax.effective.params import HeffParams


def acoustic_energy(params: HeffParams, acoustic: Float[Array, "x y z 3"], sources: Float[Array, "6 x y z"]) -> Float[Array, ""]:
    """Elastic energy of the displacements w and their coupling to the modes, eV.

        (1/2N a0²) Σ_k ŵ† K(k) ŵ + Σ_R η(R)·y(R),   η the strain of w/a0

    Its minimum over w is the energy of ``strain_kernel`` but for wave vectors on the zone boundary
    (lattices of even size): there a real w has no gradient along the axis and does not couple.
    """
    w = jnp.moveaxis(acoustic, -1, 0) / params.a0
    kernel = acoustic_kernel(params, (w.shape[1], w.shape[2], w.shape[3])).astype(w.dtype)
    return quadratic_form(w, (kernel,)) - jnp.vdot(w, divergence(sources))


def local_strain(acoustic: Float[Array, "x y z 3"], a0: float | Float[Array, ""]) -> Float[Array, "6 x y z"]:
    """Inhomogeneous Voigt strain of acoustic displacements (Å), by spectral differentiation."""
    w = jnp.moveaxis(acoustic, -1, 0) / a0
    shape = (w.shape[1], w.shape[2], w.shape[3])
    k, spectrum = _odd_wave_vectors(shape), jnp.fft.rfftn(w, axes=AXES)
    parts = [1j * k[a] * spectrum[a] for a in range(3)]
    parts += [1j * (k[a] * spectrum[b] + k[b] * spectrum[a]) for a, b in packing(3)[3:]]
    return jnp.fft.irfftn(jnp.stack(parts), s=shape, axes=AXES).astype(w.dtype)


def divergence(sources: Float[Array, "6 x y z"]) -> Float[Array, "3 x y z"]:
    """∂_j σ_ij of a Voigt stress field, per lattice spacing: the force density on w/a0."""
    shape = (sources.shape[1], sources.shape[2], sources.shape[3])
    k, spectrum = _odd_wave_vectors(shape), jnp.fft.rfftn(sources, axes=AXES)
    index = {pair: i for i, pair in enumerate(packing(3))}
    rows = [sum(1j * k[b] * spectrum[index[min(a, b), max(a, b)]] for b in range(3)) for a in range(3)]
    return jnp.fft.irfftn(jnp.stack(rows), s=shape, axes=AXES).astype(sources.dtype)


def relaxed_acoustic(params: HeffParams, sources: Float[Array, "6 x y z"]) -> Float[Array, "x y z 3"]:
    """The displacements (Å) that minimise ``acoustic_energy``: K w/a0 = ∇·y, with no net displacement."""
    force = divergence(sources)
    shape = (force.shape[1], force.shape[2], force.shape[3])
    matrix = acoustic_kernel(params, shape)
    full = jnp.zeros((*matrix.shape[1:], 3, 3), force.dtype)
    for entry, (a, b) in zip(matrix, packing(3)):
        full = full.at[..., a, b].set(entry).at[..., b, a].set(entry)
    full = full.at[0, 0, 0].set(jnp.eye(3, dtype=force.dtype))  # a net displacement costs nothing: the force there is zero
    inverse = jnp.linalg.inv(full)
    packed = jnp.stack([inverse[..., a, b] for a, b in packing(3)])
    return params.a0 * jnp.moveaxis(convolve(force, (packed,)), 0, -1)


def _odd_wave_vectors(shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Wave vectors for odd operators: zero on the zone boundary, where ±π cancel."""
    return [np.where(edge, 0.0, k) for k, edge in zip(wave_vectors(shape), zone_edges(shape))]
