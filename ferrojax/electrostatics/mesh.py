"""Reciprocal energy of Gaussian charges on an FFT mesh, for cells of more than about a thousand atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferrojax.distributed.layout import Whole
from ferrojax.electrostatics.ewald import gaussian_kernel, inverse_cell
from ferrojax.units import COULOMB

if TYPE_CHECKING:
    from ferrojax.distributed.slabs import Slabs

# Force error against Ewald below 1e-4 of the rms force, at the lowest cost of the pairs tried
# (orders 4 to 8, oversampling 0.9 to 1.5; tests/test_electrostatics_mesh.py holds it to that).
ORDER = 8  # nodes per axis that a charge is spread over
OVERSAMPLING = 1.1  # mesh points per axis over the 2n+1 wave vectors of the Ewald box


def mesh_energy(
    charges: Float[Array, " atoms"],
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    kgrid: tuple[int, int, int],
    smearing: float,
    layout: Whole | Slabs = Whole(),
) -> Float[Array, ""]:
    """The energy of ``ewald_energy`` by particle-particle particle-mesh, eV.

        E = k_e (2π/V) Σ_{k≠0} exp(-σ²k²)/k² G(k) |ρ(k)|²,   ρ = FFT of Σ_i q_i W(x - r_i)

    W is the product of three cardinal B-splines and G = Π_a W_a(k)² / (Σ_m W_a(k + mK))²
    the influence function that minimises the force error where the kernel has
    decayed at the aliases (Hockney and Eastwood, Computer Simulation Using
    Particles, ch. 8). Gaussian charges need no real-space sum.

    Forces are exact derivatives of this energy, so dynamics conserves it, but the
    mesh is fixed to the cell: energy under translation, and the sum of forces,
    vanish to the mesh error only, and so does the acoustic sum rule of the Hessian.
    Use ``ewald_energy`` for phonons and response.

    Arguments as for ``ewald_energy``; the mesh size follows from kgrid.
    """
    shape = mesh_shape(kgrid)
    inverse, volume = inverse_cell(cell)
    density = layout.spectrum(_spread(charges, positions @ inverse, shape))
    axes = tuple(np.rint(frequencies(n) * n) for n, frequencies in zip(shape, (np.fft.fftfreq, np.fft.fftfreq, np.fft.rfftfreq)))
    g1, g2, g3 = (_influence(axis, n) for axis, n in zip(axes, shape))
    stored_once = (axes[2] == 0) | (2 * axes[2] == shape[2])  # the other planes stand for k and -k
    own_axis, own_g2 = (layout.share(jnp.asarray(x, cell.dtype)) for x in (axes[1], g2))
    influence = g1[:, None, None] * own_g2[:, None] * (g3 * np.where(stored_once, 1.0, 2.0))
    kernel = influence.astype(cell.dtype) * gaussian_kernel((axes[0], own_axis, axes[2]), inverse, smearing)
    return 2 * np.pi * COULOMB / volume * layout.total(jnp.sum(kernel * (density.real**2 + density.imag**2)))


def mesh_shape(kgrid: tuple[int, int, int]) -> tuple[int, int, int]:
    """Mesh points per axis for an Ewald box: oversampled, and products of 2, 3 and 5 for the FFT."""
    n1, n2, n3 = (_smooth(max(ORDER, int(np.ceil(OVERSAMPLING * (2 * n + 1))))) for n in kgrid)
    return n1, n2, n3


def _smooth(n: int) -> int:
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _spread(charges: Float[Array, " atoms"], fractional: Float[Array, "atoms 3"], shape: tuple[int, int, int]) -> Float[Array, "a b c"]:
    """Charge on the mesh: one window of ORDER³ nodes an atom, added to a padded mesh that is then folded back."""
    nodes = np.asarray(shape)
    place = (fractional - jnp.floor(fractional)) * nodes.astype(fractional.dtype)
    # In float32 a coordinate just below zero wraps to exactly one.
    first = jnp.minimum(jnp.floor(place).astype(jnp.int32), nodes - 1)
    weights = _splines(place - first.astype(place.dtype))
    x, y, z = charges[:, None] * weights[:, 0], weights[:, 1], weights[:, 2]
    windows = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
    # One update per window: a scatter of single nodes is several times slower on CPU.
    layout = jax.lax.ScatterDimensionNumbers(update_window_dims=(1, 2, 3), inserted_window_dims=(), scatter_dims_to_operand_dims=(0, 1, 2))
    padded = jnp.zeros(tuple(nodes + ORDER - 1), charges.dtype)
    return _fold(jax.lax.scatter_add(padded, first, windows, layout, mode="clip"), shape)


def _fold(padded: Float[Array, "..."], shape: tuple[int, int, int]) -> Float[Array, "a b c"]:
    for axis, n in enumerate(shape):
        inside, beyond = jnp.split(padded, [n], axis)
        index = (slice(None),) * axis + (slice(0, ORDER - 1),)
        padded = inside.at[index].add(beyond)
    return padded


def _splines(t: Float[Array, "atoms 3"]) -> Float[Array, "atoms 3 order"]:
    """Cardinal B-spline of each node in a window, t in [0, 1] past the first node (de Boor recursion)."""
    weights = [jnp.ones_like(t)]
    for n in range(2, ORDER + 1):
        padded = [jnp.zeros_like(t), *weights, jnp.zeros_like(t)]
        weights = [((t + j) * padded[j + 1] + (n - t - j) * padded[j]) / (n - 1) for j in range(n)]
    return jnp.stack(weights[::-1], -1)


def _influence(frequency: np.ndarray, n: int) -> np.ndarray:
    """W(k)² / (Σ_m W(k + m n)²)² of one axis, with W(k) = sinc(k/n)^ORDER, for integer frequencies k."""
    aliases = np.sinc((frequency[:, None] + n * np.arange(-8, 9)) / n) ** (2 * ORDER)
    return np.sinc(frequency / n) ** (2 * ORDER) / aliases.sum(1) ** 2
