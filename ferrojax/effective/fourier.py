"""Quadratic forms of lattice fields that are diagonal in Fourier space, with cheap derivatives.

A form of n fields has a real symmetric n x n matrix at each wave vector of the half grid,
packed as rows: the diagonal, then (n-2, n-1), ... down to (0, 1). For n = 3 that is Voigt order.
"""

from __future__ import annotations

import functools
from itertools import combinations

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Complex, Float

from ferrojax.effective.lattice import half_grid_weights
from ferrojax.effective.sharded import backward, forward

AXES = (1, 2, 3)


def packing(size: int) -> list[tuple[int, int]]:
    """Row and column of each packed entry of a symmetric matrix."""
    return [(i, i) for i in range(size)] + list(combinations(range(size), 2))[::-1]


def block_sizes(kernels: tuple[Float[Array, "_ kx ky kz"], ...]) -> list[int]:
    """Number of fields each packed kernel acts on: n with n(n+1)/2 entries."""
    return [int(((8 * len(kernel) + 1) ** 0.5 - 1) / 2) for kernel in kernels]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def quadratic_form(
    fields: Float[Array, "n x y z"], kernels: tuple[Float[Array, "_ kx ky kz"], ...], mesh: Mesh | None = None
) -> Float[Array, ""]:
    """½ Σ_R f(R)·(M f)(R) = (1/2N) Σ_k f̂(k)† M(k) f̂(k).

    Args:
        fields: real fields on the lattice, all forms' fields one after the other.
        kernels: packed matrices of each form on the half grid; even in k. mesh: devices that the fields lie over.

    Its derivative is M f, which costs one transform each way for value and gradient
    together: JAX would transpose a real transform through a full complex one.
    """
    return 0.5 * jnp.vdot(fields, convolve(fields, kernels, mesh))


def _quadratic_form_jvp(mesh: Mesh | None, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    fields, kernels = primals
    moved, bent = tangents
    acting = convolve(fields, kernels, mesh)
    change = jnp.zeros((), fields.dtype)
    if not _is_zero(moved):
        change = change + jnp.vdot(acting, moved)
    if not all(_is_zero(b) for b in bent):
        spectrum = forward(fields, mesh)
        start = 0
        for size, tangent in zip(block_sizes(kernels), bent):
            if not _is_zero(tangent):
                change = change + _spectral_form(spectrum[start : start + size], tangent, fields.shape[1:])
            start += size
    return 0.5 * jnp.vdot(fields, acting), change


quadratic_form.defjvp(_quadratic_form_jvp, symbolic_zeros=True)


def _is_zero(tangent: object) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def _spectral_form(spectrum: Complex[Array, "n kx ky kz"], kernel: Float[Array, "_ kx ky kz"], shape: tuple[int, ...]) -> Array:
    """The form by Parseval's theorem: linear in the kernel, so that parameters differentiate through it."""
    weights = jnp.asarray(half_grid_weights((shape[0], shape[1], shape[2])) / (shape[0] * shape[1] * shape[2]), kernel.dtype)
    total = jnp.zeros(kernel.shape[1:], kernel.dtype)
    for entry, (i, j) in zip(kernel, packing(len(spectrum))):
        product = spectrum[i].real * spectrum[j].real + spectrum[i].imag * spectrum[j].imag
        total = total + entry * product * (0.5 if i == j else 1.0)
    return jnp.sum(total * weights)


def convolve(
    fields: Float[Array, "n x y z"], kernels: tuple[Float[Array, "_ kx ky kz"], ...], mesh: Mesh | None = None
) -> Float[Array, "n x y z"]:
    """M f in real space: one batched transform forward, the products, one back."""
    spectrum = forward(fields, mesh)
    products, start = [], 0
    for size, kernel in zip(block_sizes(kernels), kernels):
        products += multiply(kernel, list(spectrum[start : start + size]))
        start += size
    return backward(jnp.stack(products), fields.shape[1:], mesh)


def multiply(kernel: Float[Array, "_ kx ky kz"], spectrum: list[Complex[Array, "kx ky kz"]]) -> list[Complex[Array, "kx ky kz"]]:
    """Product of the packed matrices with a vector at each wave vector."""
    rows: list = [0.0] * len(spectrum)
    for entry, (i, j) in zip(kernel, packing(len(spectrum))):
        rows[i] = rows[i] + entry * spectrum[j]
        if i != j:
            rows[j] = rows[j] + entry * spectrum[i]
    return rows
