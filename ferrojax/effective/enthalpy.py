"""The effective Hamiltonian of perovskite ferroelectrics as ``enthalpy(params, state, strain, field)``."""

from __future__ import annotations

import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferrojax.effective.acoustic import acoustic_energy
from ferrojax.effective.dipole import dipole_kernel
from ferrojax.effective.fourier import quadratic_form
from ferrojax.effective.kernels import pair_kernel, strain_kernel
from ferrojax.effective.lattice import (
    LatticeBoundary,
    LatticeState,
    check_boundary,
    check_shape,
    fourier_shape,
    voigt_strain,
)
from ferrojax.effective.params import HeffParams
from ferrojax.effective.terms import depolarization_energy, field_energy, homogeneous_energy, onsite_energy, strain_sources
from ferrojax.errors import FerrojaxError

BYTES_PER_CELL = 600  # of float64: kernels, nine fields, their spectra and products


class EffectiveHamiltonian:
    """``enthalpy(params, state, strain, field)`` of a lattice, eV per supercell; see ``make_enthalpy``."""

    def __init__(self, shape: Sequence[int], boundary: LatticeBoundary = LatticeBoundary(), ewald_width: float = 0.7) -> None:
        check_boundary(boundary)
        self.shape = check_shape(shape)
        self.boundary = boundary
        self.grid = fourier_shape(self.shape, boundary)
        check_memory(self.grid)
        self.dipole = dipole_kernel(self.grid, ewald_width)
        self._compiled = jax.jit(self._energy)  # here, so that it is freed with the object

    @property
    def cells(self) -> int:
        """Number of unit cells."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def __call__(self, params: HeffParams, state: LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"]) -> Float[Array, ""]:
        """The enthalpy, eV. Raises FerrojaxError for a state of another shape."""
        self._check(state)
        return self._compiled(params, state, strain, field)

    def _energy(self, params: HeffParams, state: LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"]) -> Float[Array, ""]:
        dtype = state.modes.dtype
        params = jax.tree.map(lambda x: x.astype(dtype), params)
        modes = jnp.moveaxis(state.modes, -1, 0)
        sources = strain_sources(params, modes, state.occupation)
        mean = jnp.mean(modes, (1, 2, 3))
        factors = jnp.asarray(self.boundary.depolarization, dtype)
        return (
            onsite_energy(params, modes)
            + self._intersite_energy(params, state, modes, sources)
            + homogeneous_energy(params, voigt_strain(strain.astype(dtype)), jnp.mean(sources, (1, 2, 3)), self.cells)
            + field_energy(params, mean, field.astype(dtype), self.cells)
            + depolarization_energy(params, mean, factors, self.cells)
        )

    def _intersite_energy(
        self, params: HeffParams, state: LatticeState, modes: Float[Array, "3 x y z"], sources: Float[Array, "6 x y z"]
    ) -> Float[Array, ""]:
        """Everything that couples cells, in one Fourier-space product; a film counts half of itself with its image.

        The kernels are built anew from the parameters: beside the transforms that costs
        nothing, and in a compiled loop XLA does it once.
        """
        pair = pair_kernel(params, self.grid, self.dipole)
        if state.acoustic is not None:
            return quadratic_form(modes, (pair,)) + acoustic_energy(params, state.acoustic, sources)
        fields, kernels = jnp.concatenate([modes, sources]), (pair, strain_kernel(params, self.grid))
        if self.boundary.dead_layers is None:
            return quadratic_form(fields, kernels)
        return 0.5 * quadratic_form(with_image(fields, self.boundary.dead_layers), kernels)

    def _check(self, state: LatticeState) -> None:
        for name, array, tail in (("modes", state.modes, (3,)), ("acoustic", state.acoustic, (3,)), ("occupation", state.occupation, ())):
            if array is not None and jnp.shape(array) != (*self.shape, *tail):
                wanted = (*self.shape, *tail)
                raise FerrojaxError(f"{name} has shape {jnp.shape(array)}, but this enthalpy is for {wanted}; make one for your lattice.")
        if state.acoustic is not None and self.boundary.dead_layers is not None:
            raise FerrojaxError("a film with dead_layers eliminates its acoustic modes: set acoustic to None.")


def make_enthalpy(shape: Sequence[int], boundary: LatticeBoundary = LatticeBoundary(), ewald_width: float = 0.7) -> EffectiveHamiltonian:
    """``enthalpy(params, state, strain, field)`` of a lattice of perovskite cells, in eV per supercell.

        F(u, w, η, E) = Σ V_onsite(u) + ½ Σ u·(Φ_short + Φ_dipole) u + N ½ η·B η + Σ η·y(u) + E_inhomogeneous
                        - Z* E·Σ u - N a0³ σ·η + E_depolarization

    Forces are -∂F/∂u, the stress is ∂F/∂ε/(N a0³), the polarization -∂F/∂E/(N a0³): jit, grad
    and vmap it like the enthalpy of atoms. It computes in the float type of the modes.
    Zhong, Vanderbilt and Rabe, Phys. Rev. B 52, 6301 (1995); Nishimatsu et al., Phys.
    Rev. B 78, 104104 (2008) and 82, 134106 (2010).

    Args:
        shape: cells along x, y, z. boundary: electric boundary; a film or a bulk.
        ewald_width: splits the dipole sum, which does not depend on it.
    Args of the returned function: params; state;
        strain (3, 3), homogeneous, of which the symmetric part counts; field (3,), V/Å, the outer one.

    Raises FerrojaxError for a bad shape or boundary, and for a lattice that does not fit into memory.
    """
    return EffectiveHamiltonian(shape, boundary, ewald_width)


def with_image(fields: Float[Array, "9 x y z"], gap: int) -> Float[Array, "9 x y zz"]:
    """A film's modes and sources, a gap, their electrostatic image and a gap, stacked along z.

    The image of u is (-ux, -uy, uz), so the sources y, quadratic in u, change sign in yz and xz.
    """
    signs = jnp.asarray([-1, -1, 1, 1, 1, 1, -1, -1, 1], fields.dtype)
    empty = jnp.zeros((*fields.shape[:3], gap), fields.dtype)
    return jnp.concatenate([fields, empty, fields[..., ::-1] * signs[:, None, None, None], empty], axis=-1)


def check_memory(grid: tuple[int, int, int]) -> None:
    """FerrojaxError if the fields of a Fourier grid exceed the memory of the machine."""
    need = BYTES_PER_CELL * grid[0] * grid[1] * grid[2]
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > have:
        raise FerrojaxError(
            f"a Fourier grid of {' x '.join(map(str, grid))} cells needs about {need / 2**30:.0f} GiB, "
            f"but this machine has {have / 2**30:.0f} GiB; take a smaller lattice."
        )


def mode_masses(params: HeffParams, state: LatticeState) -> Float[Array, "x y z 1"]:
    """Mass of each local mode, amu, shaped to divide forces by."""
    return jnp.broadcast_to(params.mode_mass.astype(state.modes.dtype), (*state.modes.shape[:3], 1))
