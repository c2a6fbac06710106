"""Fourier transforms of a lattice in slabs over devices: each transforms its planes, all exchange, each transforms its columns.

Slabs along x in real space, along ky in Fourier space; two all-to-all exchanges make a product in k.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Complex, Float

from ferrojax.effective.lattice import LatticeState, Shape
from ferrojax.errors import FerrojaxError

Spectrum = Complex[Array, "n kx ky kz"]


def check_mesh(mesh: Mesh, shape: Shape) -> None:
    """FerrojaxError unless the mesh has one axis whose devices divide the cells along x and along y."""
    if len(mesh.axis_names) != 1:
        raise FerrojaxError(f"a lattice lies over a mesh of one axis; got {mesh.axis_names}.")
    if any(kind != AxisType.Auto for kind in mesh.axis_types):
        raise FerrojaxError('a lattice needs a mesh that JAX partitions by itself: jax.sharding.Mesh(np.array(jax.devices()), ("slabs",)).')
    if shape[0] % mesh.size or shape[1] % mesh.size:
        raise FerrojaxError(f"{mesh.size} devices must divide the cells along x and y; the Fourier grid has {shape[0]} and {shape[1]}.")


def shard(state: LatticeState, mesh: Mesh) -> LatticeState:
    """The state with its cells in slabs along x over the devices of a mesh; ``make_enthalpy(..., mesh=mesh)`` goes with it.

    Raises FerrojaxError unless the devices divide the lattice.
    """
    check_mesh(mesh, state.shape)
    slabs, everywhere = NamedSharding(mesh, P(mesh.axis_names[0])), NamedSharding(mesh, P())
    return jax.tree.map(lambda x: jax.device_put(x, slabs if x.ndim >= 3 else everywhere), state)


def forward(fields: Float[Array, "n x y z"], mesh: Mesh | None) -> Spectrum:
    """Rfftn over the last three axes; with a mesh, slabs of x in and slabs of ky out."""
    if mesh is None:
        return jnp.fft.rfftn(fields, axes=(1, 2, 3))
    axis = mesh.axis_names[0]

    def local(part: Array) -> Array:
        planes = jnp.fft.fft(jnp.fft.rfft(part, axis=3), axis=2)
        return jnp.fft.fft(lax.all_to_all(planes, axis, 2, 1, tiled=True), axis=1)

    return jax.shard_map(local, mesh=mesh, in_specs=P(None, axis), out_specs=P(None, None, axis))(fields)


def backward(spectrum: Spectrum, shape: tuple[int, ...], mesh: Mesh | None) -> Float[Array, "n x y z"]:
    """The inverse of ``forward``, for fields of that shape."""
    if mesh is None:
        return jnp.fft.irfftn(spectrum, s=shape, axes=(1, 2, 3))
    axis = mesh.axis_names[0]

    def local(part: Array) -> Array:
        columns = lax.all_to_all(jnp.fft.ifft(part, axis=1), axis, 1, 2, tiled=True)
        return jnp.fft.irfft(jnp.fft.ifft(columns, axis=2), n=shape[2], axis=3)

    return jax.shard_map(local, mesh=mesh, in_specs=P(None, None, axis), out_specs=P(None, axis))(spectrum)
