"""Topology of polar textures on a grid of cells, periodic in all directions.

Vectors are arrays (x, y, z, 3) over the grid, such as ``cells.grid(local_polarization(...))``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ferrojax.errors import FerrojaxError

INTEGER = 1e-6  # how far a sum may be from a whole number before it is refused

Field = Float[np.ndarray, "x y z 3"]
Scalars = Float[np.ndarray, "x y z"]


def solid_angles(vectors: Field, axis: int = 2) -> Scalars:
    """Solid angle over 4π that the directions n sweep over each plaquette of the layers across an axis: the density of the charge.

        tan(Ω/2) = n1·(n2×n3)/(1 + n1·n2 + n2·n3 + n3·n1)

    over the triangles (i, i+x, i+x+y) and (i, i+x+y, i+y); x and y stand for the two axes after ``axis``, in cyclic order.
    Berg and Lüscher, Nucl. Phys. B 190, 412 (1981).

    Raises FerrojaxError for a vector of length zero, which has no direction.
    """
    x, y = (axis + 1) % 3, (axis + 2) % 3
    n = _directions(vectors)
    right, up = np.roll(n, -1, x), np.roll(n, -1, y)
    corner = np.roll(right, -1, y)
    # Both triangles have the diagonal n1 - n3 in common.
    diagonal, along = np.cross(n, corner), _dot(n, corner)
    first = np.arctan2(-_dot(right, diagonal), 1 + _dot(n, right) + _dot(right, corner) + along)
    second = np.arctan2(_dot(up, diagonal), 1 + along + _dot(corner, up) + _dot(up, n))
    return (first + second) / (2 * np.pi)


def topological_charge(vectors: Field, axis: int = 2) -> Int[np.ndarray, " layers"]:
    """The skyrmion number of each layer across an axis, a whole number: how often n covers the sphere. See ``solid_angles``.

    A core along -axis in a background along +axis with in-plane winding v has Q = -v; reversing all vectors changes the sign.

    Raises FerrojaxError for vectors of length zero.
    """
    return whole(layer_sums(solid_angles(vectors, axis), axis), "topological_charge")


def layer_sums(density: Scalars, axis: int = 2) -> Float[np.ndarray, " layers"]:
    """Sums over the layers across an axis."""
    return density.sum(tuple({0, 1, 2} - {axis}))


def whole(values: Float[np.ndarray, " n"], name: str) -> Int[np.ndarray, " n"]:
    """Values as integers. Raises FerrojaxError if one is not a whole number within 1e-6."""
    rounded = np.rint(values)
    if np.abs(values - rounded).max(initial=0.0) > INTEGER:
        k = int(np.abs(values - rounded).argmax())
        raise FerrojaxError(f"{name}: layer {k} gives {values[k]:.6f}, not a whole number; neighbouring vectors are opposite there.")
    return rounded.astype(int)


def winding(vectors: Float[np.ndarray, "n 2"]) -> int:
    """How often in-plane vectors turn counter-clockwise along a closed loop, Σ wrap(Δφ)/2π; the last is followed by the first.

    Raises FerrojaxError for fewer than three vectors or one of length zero.
    """
    v = np.asarray(vectors, float)
    if len(v) < 3 or not (np.abs(v).max(1) > 0).all():
        raise FerrojaxError("winding: a closed loop of three or more vectors, none of them zero, is needed.")
    angle = np.arctan2(v[:, 1], v[:, 0])
    return int(np.rint(_wrap(np.roll(angle, -1) - angle).sum() / (2 * np.pi)))


def vortices(vectors: Field, axis: int = 2, threshold: float = 0.0) -> Int[np.ndarray, "x y z"]:
    """Winding of the in-plane components around each plaquette of the layers across an axis: +1 a vortex, -1 an antivortex, else 0.

    The plaquette at (i, j) has its corner there and its middle half a cell further. Each layer sums to zero without a threshold, the mean
    in-plane length of the four corners, in the unit of the vectors, from which a plaquette counts: where the vectors stand upright, what is
    left in the plane is noise that turns as it likes. Mermin, Rev. Mod. Phys. 51, 591 (1979).
    """
    x, y = (axis + 1) % 3, (axis + 2) % 3
    angle = np.arctan2(vectors[..., y], vectors[..., x])
    along, up = _wrap(np.roll(angle, -1, x) - angle), _wrap(np.roll(angle, -1, y) - angle)
    turns = along + np.roll(up, -1, x) - np.roll(along, -1, y) - up
    found = np.rint(turns / (2 * np.pi)).astype(int)
    if threshold > 0:
        found[corner_means(np.hypot(vectors[..., x], vectors[..., y]), x, y) < threshold] = 0
    return found


def corner_means(values: Scalars, x: int, y: int) -> Scalars:
    """Means over the four corners of each plaquette."""
    values = values + np.roll(values, -1, x)
    return (values + np.roll(values, -1, y)) / 4


def vorticity(vectors: Field, spacing: Float[np.ndarray, "3"]) -> Field:
    """∇ × P by central differences on an orthorhombic grid of that spacing, Å."""
    dx, dy, dz = (_slope(vectors, k, float(spacing[k])) for k in range(3))
    return np.stack([dy[..., 2] - dz[..., 1], dz[..., 0] - dx[..., 2], dx[..., 1] - dy[..., 0]], -1)


def helicity(vectors: Field, spacing: Float[np.ndarray, "3"]) -> float:
    """Mean of P·(∇ × P); its sign is the handedness. See ``vorticity``."""
    return float(_dot(vectors, vorticity(vectors, spacing)).mean())


def toroidal_moment(vectors: Field, spacing: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """Toroidal moment (1/2N) Σ r × (p - ⟨p⟩), r from the middle of the grid as it is cut, Å times the unit of p.

    For particles and patterns with a given cut: a shift of a periodic texture changes it. Naumov, Bellaiche and Fu, Nature 432, 737 (2004).
    """
    places = [(np.arange(n) - (n - 1) / 2) * d for n, d in zip(vectors.shape[:3], spacing)]
    r = np.stack(np.meshgrid(*places, indexing="ij"), -1)
    return np.cross(r, vectors - vectors.mean((0, 1, 2))).mean((0, 1, 2)) / 2


def helicity_angle(vectors: Float[np.ndarray, "x y 3"], centre: tuple[float, float]) -> float:
    """Angle h from the outward direction to the in-plane vectors around a core, degrees: 0 or 180 Néel, ±90 Bloch, + counter-clockwise.

    vectors: one layer, periodic; centre: in cells. Averages over the layer, weighted by the length in the plane; each cell stands at its
    image nearest to the core. For textures of winding one.
    """
    x, y = np.meshgrid(*(_from_core(n, c) for n, c in zip(vectors.shape[:2], centre)), indexing="ij")
    outward = (x + 1j * y) / np.maximum(np.hypot(x, y), 1e-12)
    return float(np.degrees(np.angle(np.sum((vectors[..., 0] + 1j * vectors[..., 1]) * outward.conj()))))


def nearest(steps: np.ndarray, size: np.ndarray | int) -> np.ndarray:
    """Steps on a periodic grid of this size by minimum image, cells."""
    return steps - size * np.rint(steps / size)


def _from_core(cells: int, centre: float) -> np.ndarray:
    """Distances from the core to the nearest image of each cell, along an axis."""
    away = nearest(np.arange(cells) - centre, cells)
    return np.where(np.isclose(np.abs(away), cells / 2), 0.0, away)  # between two images: neither side counts


class Flux(NamedTuple):
    """What ``hopf_index`` sums: F through the plaquettes and its potential A, both at the cells."""

    field: Field
    potential: Field


def hopf_index(vectors: Field) -> float:
    """H = Σ A·F with ∇×A = F, the linking number of the lines along which n is the same; a whole number for fine grids.

    F_k is the flux n sweeps over a plaquette across k (``solid_angles``), which has no divergence; A = i k × F/k² by Fourier
    transform. The error falls as the square of the spacing. Whitehead, Proc. Natl. Acad. Sci. 33, 117 (1947).

    Raises FerrojaxError for a net flux through the box, which leaves the number undefined.
    """
    flux = gauge(vectors)
    return float(_dot(flux.field, flux.potential).sum())


def gauge(vectors: Field) -> Flux:
    """F and A of ``hopf_index``, per cell."""
    faces = np.stack([solid_angles(vectors, k) for k in range(3)], -1)
    net = [float(np.abs(layer_sums(faces[..., k], k)).max()) for k in range(3)]
    if max(net) > 0.5:
        raise FerrojaxError(f"hopf_index: a net flux of {np.rint(net).tolist()} passes through the box; its Hopf index is not defined.")
    k = np.stack(np.meshgrid(*(2 * np.pi * np.fft.fftfreq(n) for n in vectors.shape[:3]), indexing="ij"), -1)
    # Middles of the plaquettes lie half a cell along the two other axes.
    towards = np.exp(-0.5j * (k.sum(-1, keepdims=True) - k))
    field = np.fft.fftn(faces, axes=(0, 1, 2)) * towards
    square = np.maximum((k**2).sum(-1, keepdims=True), 1e-30)
    potential = 1j * np.cross(k, field) / square
    return Flux(*(np.fft.ifftn(x, axes=(0, 1, 2)).real for x in (field, potential)))


def _directions(vectors: np.ndarray) -> np.ndarray:
    if vectors.ndim != 4 or vectors.shape[-1] != 3:
        raise FerrojaxError(f"texture: vectors must be an array (x, y, z, 3) over a grid of cells; got {vectors.shape}.")
    length = np.sqrt(_dot(vectors, vectors))
    if not length.min() > 0:
        place = np.unravel_index(int(np.argmin(length)), length.shape)
        raise FerrojaxError(f"texture: the vector of cell {tuple(map(int, place))} is zero or not finite; it has no direction.")
    return vectors / length[..., None]


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", a, b)


def _wrap(angle: np.ndarray) -> np.ndarray:
    return angle - 2 * np.pi * np.rint(angle / (2 * np.pi))


def _slope(vectors: np.ndarray, axis: int, spacing: float) -> np.ndarray:
    return (np.roll(vectors, -1, axis) - np.roll(vectors, 1, axis)) / (2 * spacing)
