"""Textures: fields of the local mode, u(r), for atoms (``polarize``) and for lattices of the effective Hamiltonian (``lattice_texture``).

Each function here takes lengths of a periodic cell (Å) and a mode (Å) and returns a function from positions to modes.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ferrojax.effective.lattice import LatticeState, check_shape
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.modes import PolarField
from ferrojax.ferroelectrics.structures.perovskite import cell_rows
from ferrojax.ferroelectrics.structures.sites import triple


def lattice_texture(field: PolarField, shape: Any, a0: float, dtype: Any = float) -> LatticeState:
    """The lattice of the effective Hamiltonian with u of cell (i, j, k) read at its centre, a0 (i + ½, j + ½, k + ½) Å.

    Raises FerrojaxError for a shape that is not three whole numbers.
    """
    cells = np.stack(np.meshgrid(*map(np.arange, check_shape(shape)), indexing="ij"), -1).reshape(-1, 3)
    return LatticeState(modes=jnp.asarray(field(a0 * (cells + 0.5)), dtype).reshape(*shape, 3))


def stripe_domains(lengths: Any, mode: Any, period: float, width: float = 0.0, axis: int = 0) -> PolarField:
    """Domains ±u in stripes across an axis: walls at 0 and every half period (Å), of profile tanh(x/width).

    Raises FerrojaxError for a period that does not divide the cell.
    """
    sides, u = _lengths(lengths), triple(mode, "the mode")
    number = sides[axis] / period if period > 0 else 0
    if number < 1 or abs(number - round(number)) > 1e-6:
        raise FerrojaxError(f"stripes: a period of {period} Å does not divide the cell, {sides[axis]:g} Å along {'xyz'[axis]}.")

    def field(positions: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        place = np.mod(positions[:, axis], period)
        first = place < period / 2
        from_wall = np.where(first, np.minimum(place, period / 2 - place), np.minimum(place - period / 2, period - place))
        size = np.tanh(from_wall / width) if width else np.ones_like(place)
        return (np.where(first, 1, -1) * size)[:, None] * u

    return field


def vortex_lattice(lengths: Any, amplitude: float, axis: int = 1, axial: float = 0.0) -> PolarField:
    """Vortices and antivortices about an axis: two of each in a cell, in a checkerboard.

        u_1 = -A sin(2π x_2/L_2),  u_2 = A sin(2π x_1/L_1),  u_axis = axial

    axes 1 and 2 follow ``axis`` in cyclic order. Vortices are counterclockwise at (0, 0) and clockwise at (½, ½), antivortices
    sit at (½, 0) and (0, ½). Free of divergence, so of bound charge.
    """
    sides, (first, second) = _lengths(lengths), _plane(axis)

    def field(positions: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        phase = 2 * np.pi * positions / sides
        u = np.empty(positions.shape)
        u[:, first], u[:, second], u[:, axis] = -amplitude * np.sin(phase[:, second]), amplitude * np.sin(phase[:, first]), axial
        return u

    return field


def vortex(lengths: Any, amplitude: float, radius: float, axis: int = 1) -> PolarField:
    """One counterclockwise vortex about an axis through the middle of the cell: |u| = A sin(π r/R) along φ, nothing beyond R.

    Free of divergence; its far side is at rest, as the winding of a periodic cell must add up to zero.
    Raises FerrojaxError for a radius that is not above 0 or beyond half the cell.
    """
    sides, (first, second) = _lengths(lengths), _plane(axis)
    if not 0 < radius <= min(sides[first], sides[second]) / 2:
        raise FerrojaxError(f"vortex: the radius must be above 0 and at most half the cell, {sides} Å; got {radius}.")

    def field(positions: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        away = _from_middle(positions, sides)
        distance = np.hypot(away[:, first], away[:, second])
        turning = np.where(distance < radius, np.pi / radius * np.sinc(distance / radius), 0)  # sin(π r/R)/r
        u = np.zeros(positions.shape)
        u[:, first], u[:, second] = -amplitude * turning * away[:, second], amplitude * turning * away[:, first]
        return u

    return field


def flux_closure(lengths: Any, amplitude: float, axis: int = 1) -> PolarField:
    """The vortex lattice with u of one length along the nearest of ±x_1, ±x_2: domains that meet in 90° walls and close the flux.

    On a wall, where two directions are equally near, u lies between them.
    """
    smooth, (first, second) = vortex_lattice(lengths, 1.0, axis), _plane(axis)

    def field(positions: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        u = np.round(smooth(positions), 9)  # on a wall both components are equal but for rounding
        larger = np.abs(u) >= np.abs(u[:, [first, second]]).max(axis=1, keepdims=True)
        larger[:, axis] = False
        snapped = np.sign(u) * larger
        length = np.linalg.norm(snapped, axis=1, keepdims=True)
        return amplitude * snapped / np.where(length > 0, length, 1)

    return field


def skyrmion(
    lengths: Any, amplitude: float, radius: float, width: float, vorticity: int = 1, helicity: float = 0.0, axis: int = 2
) -> PolarField:
    """A skyrmion tube along an axis through the middle of the cell: u = A (sin θ cos ψ, sin θ sin ψ, cos θ),

        θ = 2 atan2(sinh(R/w), sinh(r/w)),  ψ = v φ + h

    r, φ from the middle. The core points along -axis, the surroundings along +axis; Berg and Lüscher's number is Q = -v. helicity: 0 or
    π hedgehog (Néel), ±π/2 Bloch, radians. radius R, where u lies in the plane, and width w in Å. Braun, Phys. Rev. B 50, 16485 (1994).

    Raises FerrojaxError for a radius or width that is not above 0, or a tube that reaches the border of the cell: more than
    5 degrees off the axis there.
    """
    sides, (first, second) = _lengths(lengths), _plane(axis)
    _check_fits("skyrmion", min(sides[first], sides[second]) / 2, radius, width)

    def field(positions: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        away = _from_middle(positions, sides)
        distance = np.hypot(away[:, first], away[:, second])
        theta = _polar_angle(distance, radius, width)
        psi = vorticity * np.arctan2(away[:, second], away[:, first]) + helicity
        u = np.empty(positions.shape)
        u[:, first], u[:, second] = np.sin(theta) * np.cos(psi), np.sin(theta) * np.sin(psi)
        u[:, axis] = np.cos(theta)
        return amplitude * u

    return field


def bubble(lengths: Any, amplitude: float, radius: float, width: float, height: float | None = None, axis: int = 2) -> PolarField:
    """A domain of -u in a crystal of +u along an axis, in the middle of the cell, with Ising walls: u = A tanh((d - R)/w).

    d: distance from the axis (a cylinder), or with a height from the middle in units that make an ellipsoid of that full height, Å.
    Raises FerrojaxError as skyrmion.
    """
    sides, (first, second) = _lengths(lengths), _plane(axis)
    _check_fits("bubble", min(sides[first], sides[second]) / 2, radius, width)
    if height is not None:
        _check_fits("bubble", sides[axis] / 2, height / 2, width)
    squash = 0.0 if height is None else 2 * radius / height

    def field(positions: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        away = _from_middle(positions, sides)
        away[:, axis] *= squash
        u = np.zeros(positions.shape)
        u[:, axis] = amplitude * np.tanh((np.linalg.norm(away, axis=1) - radius) / width)
        return u

    return field


def hopfion(lengths: Any, amplitude: float, radius: float, charge: int = 1, axis: int = 2) -> PolarField:
    """A hopfion in the middle of the cell: +axis outside and on its core ring -axis, by the Hopf map of the sphere S³,

        Z = (cos f - i sin f cos ϑ, sin f sin ϑ e^{iqφ}),  u = A (2 Re Z1* Z2, 2 Im Z1* Z2, |Z1|² - |Z2|²)

    f falls from π in the middle to 0 at the radius (Å) as π (1 - s)² (1 + 2 s), s = r/radius. The Hopf index is q, counted as in
    ``ferroelectrics.hopf_index``.
    Raises FerrojaxError for a radius that is not above 0 or beyond half the cell.
    """
    sides, (first, second) = _lengths(lengths), _plane(axis)
    if not 0 < radius <= sides.min() / 2:
        raise FerrojaxError(f"hopfion: the radius must be above 0 and at most half the cell, {sides.min() / 2:g} Å; got {radius}.")

    def field(positions: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        away = _from_middle(positions, sides)
        distance = np.linalg.norm(away, axis=1)
        share = np.minimum(distance / radius, 1)
        f = np.pi * (1 - share) ** 2 * (1 + 2 * share)
        cosine = away[:, axis] / np.maximum(distance, 1e-12)
        z1 = np.cos(f) - 1j * np.sin(f) * cosine
        phi = np.arctan2(away[:, second], away[:, first])
        z2 = np.sin(f) * np.sqrt(np.maximum(1 - cosine**2, 0)) * np.exp(1j * charge * phi)
        across, u = 2 * np.conj(z1) * z2, np.empty(positions.shape)
        u[:, first], u[:, second], u[:, axis] = across.real, across.imag, np.abs(z1) ** 2 - np.abs(z2) ** 2
        return amplitude * u

    return field


def _polar_angle(distance: np.ndarray, radius: float, width: float) -> np.ndarray:
    """2 atan2(sinh(R/w), sinh(r/w)), both divided by e^{(R + r)/w}/2 so that nothing overflows."""
    up = np.exp(-distance / width) - np.exp(-(2 * radius + distance) / width)
    down = np.exp(-radius / width) - np.exp(-(2 * distance + radius) / width)
    return 2 * np.arctan2(up, down)


def _check_fits(what: str, room: float, radius: float, width: float) -> None:
    if not (radius > 0 and width > 0):
        raise FerrojaxError(f"{what}: radius and width must be above 0 Å; got {radius} and {width}.")
    if _polar_angle(np.array(room), radius, width) > np.radians(5):
        raise FerrojaxError(
            f"{what}: a radius of {radius} Å and a width of {width} Å reach the border, {room:g} Å away; give a larger cell."
        )


def _from_middle(positions: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Shortest way from the middle of the cell."""
    away = positions / sides - 0.5
    return (away - np.round(away)) * sides


def _plane(axis: int) -> tuple[int, int]:
    """The two axes that follow in cyclic order."""
    if axis not in (0, 1, 2):
        raise FerrojaxError(f"the axis of a texture is 0, 1 or 2; got {axis!r}.")
    return (axis + 1) % 3, (axis + 2) % 3


def _lengths(lengths: Any) -> Float[np.ndarray, "3"]:
    """Sides of an orthorhombic cell, from three lengths or from rows."""
    rows = cell_rows(lengths)
    if np.abs(rows - np.diag(np.diag(rows))).max() > 1e-6 * rows.max():
        raise FerrojaxError("textures need an orthorhombic cell along x, y, z; give its three lengths.")
    return np.diag(rows).copy()
