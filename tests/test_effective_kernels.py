"""Fourier kernels of the effective Hamiltonian against sums in real space."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferrojax.effective import load_parameters
from ferrojax.effective.dipole import dipole_kernel
from ferrojax.effective.fourier import convolve, packing, quadratic_form
from ferrojax.effective.kernels import short_range_kernel, strain_kernel
from ferrojax.effective.lattice import wave_vectors
from ferrojax.errors import FerrojaxError


def unpack(kernel, size=3):
    """Full matrices of a packed kernel, (..., n, n)."""
    full = np.zeros((*kernel.shape[1:], size, size))
    for entry, (i, j) in zip(np.asarray(kernel), packing(size)):
        full[..., i, j] = full[..., j, i] = entry
    return full


def direct_dipole_sum(waves, damping, reach):
    """Σ_n (δ - 3 n̂ n̂)/n³ cos(k·n) exp(-damping n²), with no Ewald splitting, for several k."""
    n = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    squared = np.sum(n**2, 1)
    near = (squared > 0) & (squared <= reach**2)
    n, squared = n[near], squared[near].astype(float)
    weight = np.exp(-damping * squared) / squared**1.5
    tensor = np.eye(3) - 3 * n[:, :, None] * n[:, None, :] / squared[:, None, None]
    return np.stack([np.einsum("n,nij->ij", weight * np.cos(n @ k), tensor) for k in waves])


def test_dipole_kernel_against_a_direct_sum(claim):
    """A Gaussian cut-off of decay η averages Φ over k within √η: a smooth error in η, extrapolated to zero."""
    points = [(1, 0, 0), (1, 2, 0), (2, 2, 1), (2, 1, 2), (2, 2, 2)]
    waves = [np.array([x[p] for x, p in zip([c.ravel() for c in wave_vectors((4, 4, 4))], point)]) for point in points]
    dampings = np.array([0.012, 0.018, 0.024, 0.030, 0.036])
    sums = np.stack([direct_dipole_sum(waves, eta, 52) for eta in dampings])
    limit = np.linalg.solve(np.vander(dampings), sums.reshape(len(dampings), -1))[-1].reshape(-1, 3, 3)
    kernel = unpack(dipole_kernel((4, 4, 4)))
    exact = np.stack([kernel[point] for point in points])
    claim("C-ewald", np.abs(limit - exact).max() / np.abs(exact).max())


@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 5, 2), (1, 1, 7)])
def test_dipole_kernel_does_not_depend_on_the_ewald_width(shape):
    reference = dipole_kernel(shape, 0.7)
    for width in (0.45, 1.2, 1.77):
        np.testing.assert_allclose(dipole_kernel(shape, width), reference, atol=1e-12)


def test_ewald_width_out_of_range_is_refused():
    for width in (0.1, 3.0, float("nan")):
        with pytest.raises(FerrojaxError, match="Ewald width"):
            dipole_kernel((2, 2, 2), width)


def short_range_matrix(params, bond):
    """Φ(R - R') of one bond, straight from the table of couplings."""
    j1, j2, j3, j4, j5, j6, j7 = np.asarray(params.j)
    d, order = np.asarray(bond), int(np.abs(bond).sum())
    along = {1: (j1, j2), 2: (j4, j3), 3: (j6, j6)}[order]
    mixed = {1: 0.0, 2: j5, 3: j7}[order]
    matrix = mixed * np.outer(d, d)
    np.fill_diagonal(matrix, np.where(d == 0, along[0], along[1]))
    return matrix


def test_short_range_kernel_against_the_26_bonds():
    params, shape = load_parameters("pbtio3-lda"), (4, 3, 5)
    kernel = unpack(short_range_kernel(params, shape))
    k = np.stack(np.broadcast_arrays(*wave_vectors(shape)), -1)
    bonds = [b for b in np.ndindex(3, 3, 3) if b != (1, 1, 1)]
    expected = 2 * float(params.kappa2) * np.eye(3) + sum(
        np.exp(1j * k @ (np.array(b) - 1))[..., None, None] * short_range_matrix(params, np.array(b) - 1) for b in bonds
    )
    np.testing.assert_allclose(kernel, expected, atol=1e-12)


def test_strain_kernel_is_the_relaxed_acoustic_energy():
    """-½ yᵀ Dᵀ K⁻¹ D y by solving for w numerically, away from the zone boundary."""
    params, shape = load_parameters("pbtio3-lda"), (5, 3, 7)
    kernel = unpack(strain_kernel(params, shape), 6)
    b11, b12, b44 = (float(x) for x in (params.b11, params.b12, params.b44))
    k = np.stack(np.broadcast_arrays(*wave_vectors(shape)), -1)
    assert not kernel[0, 0, 0].any()
    for point in np.ndindex(kernel.shape[:3]):
        if point == (0, 0, 0):
            continue
        x, y, z = k[point]
        divergence = np.array([[x, 0, 0, 0, z, y], [0, y, 0, z, 0, x], [0, 0, z, y, x, 0]])
        elastic = np.diag([b11 - b12] * 3 + [b44] * 3) + b12 * np.pad(np.ones((3, 3)), (0, 3))
        # η = Dᵀ w, so K = D B Dᵀ: elasticity theory, not the formula for K.
        stiffness = divergence @ elastic @ divergence.T
        np.testing.assert_allclose(kernel[point], -divergence.T @ np.linalg.solve(stiffness, divergence), atol=1e-12)


def test_strain_kernel_on_the_zone_boundary_is_the_mean_over_equivalent_wave_vectors():
    params, shape = load_parameters("batio3-wc"), (4, 4, 5)
    kernel = unpack(strain_kernel(params, shape), 6)
    signs = [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, 1)]
    k = np.pi * np.array([1, 1, 0.4])
    total = np.zeros((6, 6))
    b11, b12, b44 = (float(x) for x in (params.b11, params.b12, params.b44))
    elastic = np.diag([b11 - b12] * 3 + [b44] * 3) + b12 * np.pad(np.ones((3, 3)), (0, 3))
    for sign in signs:
        x, y, z = k * np.array(sign)
        divergence = np.array([[x, 0, 0, 0, z, y], [0, y, 0, z, 0, x], [0, 0, z, y, x, 0]])
        total -= divergence.T @ np.linalg.solve(divergence @ elastic @ divergence.T, divergence) / 4
    np.testing.assert_allclose(kernel[2, 2, 1], total, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 1, 6)])
def test_quadratic_form_and_its_derivatives(shape):
    """Value in real space against Parseval's sum; gradient, derivative by the kernel, and the Hessian, all of a form that is bilinear."""
    rng = np.random.default_rng(1)
    kernels = tuple(jnp.asarray(symmetrised(rng.normal(size=(n * (n + 1) // 2, *shape)))) for n in (1, 2))
    fields, moved = (jnp.asarray(rng.normal(size=(3, *shape))) for _ in range(2))
    spectrum = np.fft.fftn(np.asarray(fields), axes=(1, 2, 3))
    full = [np.fft.fftn(np.fft.irfftn(np.asarray(k), s=shape, axes=(1, 2, 3)), axes=(1, 2, 3)).real for k in kernels]
    expected = 0.5 * np.sum(full[0][0] * np.abs(spectrum[0]) ** 2)
    a, b = spectrum[1], spectrum[2]
    expected += 0.5 * np.sum(full[1][0] * abs(a) ** 2 + full[1][1] * abs(b) ** 2 + 2 * full[1][2] * (a * b.conj()).real)
    value, slope = jax.value_and_grad(quadratic_form)(fields, kernels)
    assert float(value) == pytest.approx(expected / np.prod(shape), rel=1e-12)
    np.testing.assert_allclose(slope, convolve(fields, kernels), atol=1e-13)
    # Linear in the kernels, so its derivative along them is its value.
    assert float(jax.jvp(lambda k: quadratic_form(fields, k), (kernels,), (kernels,))[1]) == pytest.approx(float(value), rel=1e-12)
    by_kernel = jax.grad(quadratic_form, 1)(fields, kernels)
    assert sum(float(jnp.vdot(g, k)) for g, k in zip(by_kernel, kernels)) == pytest.approx(float(value), rel=1e-12)
    curved = jax.jvp(jax.grad(quadratic_form), (fields, kernels), (moved, kernels))[1]
    np.testing.assert_allclose(curved, convolve(moved, kernels) + convolve(fields, kernels), atol=1e-13)
    twice = jax.grad(lambda f: jnp.vdot(jax.grad(quadratic_form)(f, kernels), moved))(fields)
    np.testing.assert_allclose(twice, convolve(moved, kernels), atol=1e-13)


def symmetrised(noise):
    """The spectrum, on the half grid, of couplings that are real and even in space."""
    mirrored = noise
    for axis in (1, 2, 3):
        mirrored = np.roll(np.flip(mirrored, axis), 1, axis)
    return np.fft.rfftn(noise + mirrored, axes=(1, 2, 3)).real
