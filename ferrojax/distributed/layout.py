"""How the atoms of a system lie over devices: here all on one, in ``slabs.py`` on many.

Code that looks at neighbours or sums over atoms asks the layout of the topology, and so
runs unchanged on one device and on a part of the system: every gather goes through
``extend``, every sum over atoms through ``total``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Complex, Float, Shaped

if TYPE_CHECKING:
    from ferrojax.state import State
    from ferrojax.topology import Topology

T = TypeVar("T")


class Whole(struct.PyTreeNode):
    """All atoms on one device: every neighbour is at hand and every sum complete."""

    def extend(self, rows: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """Rows of all atoms that the topology's ``neighbors`` point to, own atoms first."""
        return rows

    def collect(self, rows: Shaped[Array, "..."], like: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """What was added to the rows of ``extend(like)``, summed at home: the transpose of ``extend``."""
        return rows

    def total(self, sums: T) -> T:
        """Sums over all atoms, from the sums over the atoms at hand."""
        return sums

    def spectrum(self, grid: Float[Array, "a b c"]) -> Complex[Array, "a b_part c_half"]:
        """Real Fourier transform of the total grid; of its second axis the ``share`` at hand."""
        return jnp.fft.rfftn(grid)

    def share(self, values: Float[Array, " b"]) -> Float[Array, " b_part"]:
        """The part of values along the second axis of a grid that ``spectrum`` returns, zero beyond the end."""
        return values

    def evaluate(self, function: Callable[..., Any], params: Any, state: State, *replicated: Array) -> Any:
        """function(params, state, *replicated), a quantity of the whole system."""
        return function(params, state, *replicated)

    def divide(self, topology: Topology, state: State) -> Topology:
        """A topology of the whole system in this layout."""
        return topology
