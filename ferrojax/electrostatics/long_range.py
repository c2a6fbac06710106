"""The long-range energy of a model: the Ewald sum for small cells, the mesh for large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Array, Float

from ferrojax.distributed.layout import Whole
from ferrojax.electrostatics.ewald import ewald_energy
from ferrojax.electrostatics.mesh import mesh_energy
from ferrojax.errors import FerrojaxError

if TYPE_CHECKING:
    from ferrojax.distributed.slabs import Slabs

# The mesh costs the same per atom at every size, about 2 µs of a CPU core, and Ewald in proportion to the atoms: they meet
# at 600 atoms of an oxide (benchmarks/electrostatics.py). Up to 1,000 the exact translation invariance is worth the rest.
CROSSOVER = 1000


def long_range_energy(
    charges: Float[Array, " atoms"],
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    kgrid: tuple[int, int, int],
    smearing: float,
    method: str = "auto",
    layout: Whole | Slabs = Whole(),
) -> Float[Array, ""]:
    """Tin-foil energy of Gaussian charges, eV, by ``ewald_energy`` or ``mesh_energy``.

    ``method`` as for ``choose_method``; ``layout`` of the atoms over devices.
    """
    if choose_method(method, len(charges)) == "mesh":
        return mesh_energy(charges, positions, cell, kgrid, smearing, layout)
    return ewald_energy(charges, positions, cell, kgrid, smearing, layout=layout)


def choose_method(method: str, atoms: int) -> str:
    """``method`` itself, or if it is "auto", "mesh" above ``CROSSOVER`` atoms and "ewald" up to it.

    The choice is made by shape, so it costs nothing inside jit. The mesh agrees with
    Ewald to about 1e-4 of the forces but breaks translation invariance by as much,
    and with it the acoustic sum rule: ask for "ewald" in phonons and response.

    Raises:
        FerrojaxError: unknown method.
    """
    if method not in ("auto", "ewald", "mesh"):
        raise FerrojaxError(f"long-range method must be 'auto', 'ewald' or 'mesh'; got {method!r}.")
    return method if method != "auto" else "mesh" if atoms > CROSSOVER else "ewald"
