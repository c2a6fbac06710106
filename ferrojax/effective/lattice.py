"""The lattice of unit cells: its state, its electric boundary and its wave vectors.

Voigt order is xx yy zz yz xz xy throughout, with ε4 = 2 ε_yz.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float

from ferrojax.errors import FerrojaxError

if TYPE_CHECKING:
    from ase import Atoms

Shape = tuple[int, int, int]
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
VOIGT_NAMES = ("xx", "yy", "zz", "yz", "xz", "xy")


class LatticeState(struct.PyTreeNode):
    """Local modes on a periodic simple-cubic lattice of perovskite cells.

    modes: soft mode u of each cell, Å.
    acoustic: displacement w of each cell, Å; None eliminates it adiabatically, that is,
        the inhomogeneous strain follows the modes at its minimum.
    occupation: what sits on each A site of an alloy, as the number a(R) that the alloy
        term multiplies (it should average to zero); None for a pure crystal.
    tilts: antiferrodistortive pseudovector ω of the octahedron in each cell, in the units of its couplings; None if there are
        none.
    cell: the supercell at zero strain, rows, Å; mass: of mode, acoustic displacement and tilt. Only dynamics
        and Monte Carlo ask for these two; ``prepare`` fills them in.
    """

    modes: Float[Array, "x y z 3"]
    acoustic: Float[Array, "x y z 3"] | None = None
    occupation: Float[Array, "x y z"] | None = None
    tilts: Float[Array, "x y z 3"] | None = None
    cell: Float[Array, "3 3"] = struct.field(default=None)
    mass: Float[Array, "3"] = struct.field(default=None)

    # What dynamics asks of a state, here and of State.
    follows_cell: ClassVar[bool] = False  # modes are displacements: a homogeneous strain leaves them alone
    topology: ClassVar[None] = None

    @property
    def shape(self) -> Shape:
        """Cells along x, y, z."""
        return self.modes.shape[0], self.modes.shape[1], self.modes.shape[2]

    @property
    def coordinates(self) -> Float[Array, "rows 3"]:
        """What moves: a row for the mode of each cell, then for the acoustic displacements and the tilts, if there are any."""
        return jnp.concatenate([getattr(self, name).reshape(-1, 3) for name in self._moving])

    @property
    def _moving(self) -> list[str]:
        return [name for name in ("modes", "acoustic", "tilts") if getattr(self, name) is not None]

    @property
    def masses(self) -> Float[Array, "rows 1"]:
        """Of the coordinates, amu."""
        kinds = jnp.array([("modes", "acoustic", "tilts").index(name) for name in self._moving])
        return jnp.repeat(self.mass[kinds], self.modes.size // 3)[:, None]

    @property
    def mobile(self) -> Bool[Array, " rows"]:
        """Which rows of the coordinates move: all."""
        return jnp.ones(len(self.masses), bool)

    @property
    def loose(self) -> Bool[Array, " rows"] | None:
        """The acoustic rows: their common displacement costs nothing."""
        return None if self.acoustic is None else jnp.arange(len(self.masses)) // (self.modes.size // 3) == 1

    def at(self, coordinates: Float[Array, "rows 3"], cell: Any = None) -> LatticeState:
        """The state with other coordinates; a cell says nothing of the modes and is not taken."""
        parts = jnp.split(coordinates, len(self._moving))
        return self.replace(**{name: part.reshape(self.modes.shape) for name, part in zip(self._moving, parts)})

    def to_ase(self) -> Atoms:
        """One atom of no element ("X") a row of the coordinates, at the centre of its unstrained cell; array "mode" has the row (Å)."""
        from ase import Atoms

        sites = np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), -1).reshape(-1, 3) + 0.5
        rows = np.tile(sites / self.shape, (len(self._moving), 1))
        atoms = Atoms(numbers=np.zeros(len(rows), int), scaled_positions=rows, cell=np.asarray(self.cell, float), pbc=True)
        atoms.set_masses(np.asarray(self.masses, float)[:, 0])
        atoms.arrays["mode"] = np.asarray(self.coordinates, float)
        return atoms


@struct.dataclass
class LatticeBoundary:
    """Electric boundary of the lattice.

    depolarization: per axis, the share of the depolarizing field left unscreened, from
        0 (short-circuited, the tin-foil sum) to 1 (open circuit).
    dead_layers: None for a bulk. A number d makes a film with its normal along z between
        metal plates, through image dipoles: the film and its mirror image are stacked
        with d empty layers in between, half of them in front of either plate. 0 screens
        perfectly, more screen less. Over the electrode the film is held as the
        image demands: no shear, no normal displacement.
    Image dipoles: Nishimatsu et al., Phys. Rev. B 78, 104104 (2008).
    """

    depolarization: tuple[float, float, float] | Float[Array, "3"] = (0.0, 0.0, 0.0)
    dead_layers: int | None = struct.field(pytree_node=False, default=None)


def check_shape(shape: Any) -> Shape:
    """The shape as three positive integers; FerrojaxError otherwise."""
    try:
        sizes = tuple(int(n) for n in shape)
        whole = all(n == m for n, m in zip(sizes, shape))
    except (TypeError, ValueError):
        sizes, whole = (), False
    if len(sizes) != 3 or not whole or min(sizes) < 1:
        raise FerrojaxError(f"the lattice shape must be three whole numbers of cells, each at least 1; got {shape!r}.")
    return sizes[0], sizes[1], sizes[2]


def check_boundary(boundary: LatticeBoundary) -> None:
    """FerrojaxError for factors outside 0 to 1, a negative gap, or a film that is also depolarized along its normal."""
    factors = np.asarray(boundary.depolarization, float)
    if factors.shape != (3,) or not ((factors >= 0) & (factors <= 1)).all():
        raise FerrojaxError(f"depolarization must be three numbers from 0 (screened) to 1 (open circuit); got {factors.tolist()}.")
    if boundary.dead_layers is not None and boundary.dead_layers < 0:
        raise FerrojaxError(f"dead_layers must be 0 or more; got {boundary.dead_layers}.")
    if boundary.dead_layers is not None and factors[2] > 0:
        raise FerrojaxError("a film screens along z through its dead_layers: set depolarization[2] to 0.")


def fourier_shape(shape: Shape, boundary: LatticeBoundary) -> Shape:
    """Cells of the Fourier grid: the lattice, or a film with its image and both gaps."""
    if boundary.dead_layers is None:
        return shape
    return shape[0], shape[1], 2 * (shape[2] + boundary.dead_layers)


def wave_vectors(shape: Shape) -> list[np.ndarray]:
    """Components of k (radians per cell) on the half grid of rfftn, each ready to broadcast to it."""
    x, y, z = (2 * np.pi * np.fft.fftfreq(n) for n in shape)
    return [x[:, None, None], y[None, :, None], np.abs(z[None, None, : shape[2] // 2 + 1])]


def zone_edges(shape: Shape) -> list[np.ndarray]:
    """For each axis, where k sits on the zone boundary ±π (even sizes only), as booleans that broadcast."""
    return [np.isclose(np.abs(k), np.pi) for k in wave_vectors(shape)]


def half_grid_weights(shape: Shape) -> np.ndarray:
    """How many wave vectors of the full grid each point of the half grid stands for: 1 or 2, along z."""
    weights = np.full(shape[2] // 2 + 1, 2.0)
    weights[0] = 1.0
    if shape[2] % 2 == 0:
        weights[-1] = 1.0
    return weights


def voigt_strain(strain: Float[Array, "3 3"]) -> Float[Array, "6"]:
    """Voigt components (η4 = 2 ε_yz) of the symmetric part: a rotation costs nothing to first order."""
    return jnp.stack([strain[i, j] if i == j else strain[i, j] + strain[j, i] for i, j in VOIGT])


def strain_tensor(voigt: Float[Array, "6"]) -> Float[Array, "3 3"]:
    """The symmetric tensor of Voigt strain components."""
    xx, yy, zz, yz, xz, xy = voigt * jnp.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.5], voigt.dtype)
    return jnp.stack([jnp.stack([xx, xy, xz]), jnp.stack([xy, yy, yz]), jnp.stack([xz, yz, zz])])


def uniform_state(shape: Shape, mode: Any = (0.0, 0.0, 0.0), dtype: Any = float) -> LatticeState:
    """A lattice with the same mode (Å) in every cell."""
    return LatticeState(modes=jnp.broadcast_to(jnp.asarray(mode, dtype), (*check_shape(shape), 3)))
