"""The effective Hamiltonian of perovskite ferroelectrics as ``enthalpy(params, state, strain, field)``."""

from __future__ import annotations

import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from ferrojax.effective.acoustic import acoustic_energy
from ferrojax.effective.clamp import check_clamp, settled
from ferrojax.effective.dipole import dipole_kernel
from ferrojax.effective.fourier import quadratic_form
from ferrojax.effective.invariants import Coupling, check_couplings, coupling_energy
from ferrojax.effective.kernels import pair_kernel, strain_kernel
from ferrojax.effective.lattice import (
    LatticeBoundary,
    LatticeState,
    check_boundary,
    check_shape,
    fourier_shape,
    strain_tensor,
    voigt_strain,
)
from ferrojax.effective.params import HeffParams
from ferrojax.effective.sharded import check_mesh
from ferrojax.effective.terms import depolarization_energy, field_energy, homogeneous_energy, onsite_energy, outer_load, strain_sources
from ferrojax.errors import FerrojaxError

IMAGE_SIGNS = (-1, -1, 1, 1, 1, 1, -1, -1, 1)  # of u and y in a mirror image
BYTES_PER_CELL = 600  # of float64: kernels, nine fields, their spectra and products


class EffectiveHamiltonian:
    """``enthalpy(params, state, strain, field)`` of a lattice, eV per supercell; see ``make_enthalpy``."""

    def __init__(
        self,
        shape: Sequence[int],
        boundary: LatticeBoundary = LatticeBoundary(),
        ewald_width: float = 0.7,
        clamp: str = "fixed",
        couplings: Sequence[Coupling] = (),
        mesh: Mesh | None = None,
    ) -> None:
        check_boundary(boundary)
        check_clamp(clamp)
        self.clamp = clamp
        self.shape = check_shape(shape)
        self.boundary, self.couplings = boundary, tuple(couplings)
        self.mesh = mesh
        check_couplings(self.couplings, self.shape)
        self.grid = fourier_shape(self.shape, boundary)
        check_memory(self.grid)
        if mesh is not None:
            check_mesh(mesh, self.grid)
        self.dipole = dipole_kernel(self.grid, ewald_width)
        self._compiled = jax.jit(self._energy)  # here, so that it is freed with the object

    @property
    def cells(self) -> int:
        """Number of unit cells."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def __call__(self, params: HeffParams, state: LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"]) -> Float[Array, ""]:
        """The enthalpy, eV. Raises FerrojaxError for a state of another shape."""
        self._check(params, state)
        return self._compiled(params, state, strain, field)

    def _energy(self, params: HeffParams, state: LatticeState, strain: Float[Array, "3 3"], field: Float[Array, "3"]) -> Float[Array, ""]:
        dtype = state.modes.dtype
        params = jax.tree.map(lambda x: x.astype(dtype), params)
        modes = jnp.moveaxis(state.modes, -1, 0)
        sources, coupled = self.strain_sources(params, state)
        mean, pull = jnp.mean(modes, (1, 2, 3)), jnp.mean(sources, (1, 2, 3)) - outer_load(params)
        homogeneous = settled(params, pull, voigt_strain(strain.astype(dtype)), self.clamp)
        factors = jnp.asarray(self.boundary.depolarization, dtype)
        return (
            onsite_energy(params, modes)
            + self._intersite_energy(params, state, modes, sources)
            + homogeneous_energy(params, homogeneous, pull, self.cells)
            + field_energy(params, mean, field.astype(dtype), self.cells)
            + depolarization_energy(params, mean, factors, self.cells)
            + coupled
        )

    def strain_sources(self, params: HeffParams, state: LatticeState) -> tuple[Float[Array, "6 x y z"], Float[Array, ""]]:
        """What the local strain couples to, eV, and the energy of the couplings that do not involve it, eV."""
        fields = {"u": jnp.moveaxis(state.modes, -1, 0)}
        sources = strain_sources(params, fields["u"], state.occupation)
        if params.weights is None:
            return sources, jnp.zeros((), sources.dtype)
        if state.tilts is not None:
            fields["omega"] = jnp.moveaxis(state.tilts, -1, 0)
        if state.occupation is not None:
            fields["sigma"] = state.occupation[None]
        energy, more = coupling_energy(self.couplings, params.weights, fields)
        return sources + more, energy

    def _intersite_energy(
        self, params: HeffParams, state: LatticeState, modes: Float[Array, "3 x y z"], sources: Float[Array, "6 x y z"]
    ) -> Float[Array, ""]:
        """Everything that couples cells, in one Fourier-space product; a film counts half of itself with its image.

        The kernels are built anew from the parameters: beside the transforms that costs
        nothing, and in a compiled loop XLA does it once.
        """
        pair = pair_kernel(params, self.grid, self.dipole)
        if state.acoustic is not None:
            return quadratic_form(modes, (pair,), self.mesh) + acoustic_energy(params, state.acoustic, sources)
        fields, kernels = jnp.concatenate([modes, sources]), (pair, strain_kernel(params, self.grid))
        if self.boundary.dead_layers is None:
            return quadratic_form(fields, kernels, self.mesh)
        return 0.5 * quadratic_form(with_image(fields, self.boundary.dead_layers), kernels, self.mesh)

    def strain_at(self, params: HeffParams, state: LatticeState, strain: Float[Array, "3 3"], clamp: str = "") -> Float[Array, "3 3"]:
        """The homogeneous strain: a clamp, by default the enthalpy's, holds part of ``strain`` and lets the rest follow the modes."""
        params = jax.tree.map(lambda x: x.astype(strain.dtype), params)
        pull = jnp.mean(self.strain_sources(params, state)[0], (1, 2, 3)) - outer_load(params)
        return strain_tensor(settled(params, pull, voigt_strain(strain), clamp or self.clamp))

    def _check(self, params: HeffParams, state: LatticeState) -> None:
        for name, tail in (("modes", (3,)), ("acoustic", (3,)), ("tilts", (3,)), ("occupation", ())):
            array = getattr(state, name)
            if array is not None and jnp.shape(array) != (*self.shape, *tail):
                wanted = (*self.shape, *tail)
                raise FerrojaxError(f"{name} has shape {jnp.shape(array)}, but this enthalpy is for {wanted}; make one for your lattice.")
        if state.acoustic is not None and self.boundary.dead_layers is not None:
            raise FerrojaxError("a film with dead_layers eliminates its acoustic modes: set acoustic to None.")
        count = 0 if params.weights is None else params.weights.size
        if count != len(self.couplings):
            raise FerrojaxError(
                f"the parameters have {count} weights, but this enthalpy has {len(self.couplings)} couplings; "
                "give one each: params.replace(weights=jnp.array([...]))."
            )
        needed = {f.field for c in self.couplings for _, factors in c.terms for f in factors} - {"u", "eta"}
        for field, array in (("omega", state.tilts), ("sigma", state.occupation)):
            if (field in needed) != (array is not None) and (field == "omega" or array is None):
                word = {"omega": "tilts", "sigma": "occupation"}[field]
                missing = (
                    f"couplings need {word}, but the state has none" if array is None else f"the state has {word} that no coupling holds"
                )
                raise FerrojaxError(f"{missing}; give both or neither.")


def make_enthalpy(
    shape: Sequence[int],
    boundary: LatticeBoundary = LatticeBoundary(),
    ewald_width: float = 0.7,
    clamp: str = "fixed",
    couplings: Sequence[Coupling] = (),
    mesh: Mesh | None = None,
) -> EffectiveHamiltonian:
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
        clamp: "fixed" takes the homogeneous strain as given; "free" lets all of it follow the modes at its minimum, which
            is the ensemble of constant stress (see ferrojax.effective.clamp); "epitaxial" all but xx, yy and xy.
        couplings: more of them, of any fields and order (see ferrojax.effective.invariants), weighted by ``params.weights``.
        mesh: devices over which the transforms are spread, for a state from ``shard``.
    Args of the returned function: params; state;
        strain (3, 3), homogeneous, of which the symmetric part counts; field (3,), V/Å, the outer one.

    Raises FerrojaxError for a bad shape or boundary, and for a lattice that does not fit into memory.
    """
    return EffectiveHamiltonian(shape, boundary, ewald_width, clamp, couplings, mesh)


def with_image(fields: Float[Array, "9 x y z"], gap: int) -> Float[Array, "9 x y zz"]:
    """A film's modes and sources, a gap, their electrostatic image and a gap, stacked along z.

    The image of u is (-ux, -uy, uz), so the sources y, quadratic in u, change sign in yz and xz.
    """
    signs = jnp.asarray(IMAGE_SIGNS, fields.dtype)
    empty = jnp.zeros((*fields.shape[:3], gap), fields.dtype)
    return jnp.concatenate([fields, empty, fields[..., ::-1] * signs[:, None, None, None], empty], axis=-1)


def fold_image(fields: Float[Array, "9 x y zz"], layers: int) -> Float[Array, "9 x y z"]:
    """The transpose of ``with_image``: what acts on the film and, through its image, on it again."""
    signs, gap = jnp.asarray(IMAGE_SIGNS, fields.dtype), fields.shape[-1] // 2 - layers
    image = fields[..., layers + gap : 2 * layers + gap][..., ::-1]
    return fields[..., :layers] + image * signs[:, None, None, None]


def check_memory(grid: tuple[int, int, int]) -> None:
    """FerrojaxError if the fields of a Fourier grid exceed the memory of the machine."""
    need = BYTES_PER_CELL * grid[0] * grid[1] * grid[2]
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > have:
        raise FerrojaxError(
            f"a Fourier grid of {' x '.join(map(str, grid))} cells needs about {need / 2**30:.0f} GiB, "
            f"but this machine has {have / 2**30:.0f} GiB; take a smaller lattice."
        )
