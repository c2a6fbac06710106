"""Which padded shapes a set of structures shares, so that few of them are compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WASTE = 0.15  # shapes are joined, whatever their number, while padding costs less than this share of the work: compiling costs too


class Shape(NamedTuple):
    """Padded sizes of a bucket; structures with Born labels need three more gradients and stay apart."""

    atoms: int
    slots: int
    kgrid: tuple[int, int, int]
    born: bool

    @property
    def cost(self) -> float:
        """Relative work: pairs, plus the reciprocal sum at a 64th of a pair for each atom and half-box vector."""
        n1, n2, n3 = self.kgrid
        return self.atoms * (self.slots + (n1 + 1) * (2 * n2 + 1) * (2 * n3 + 1) / 64)

    def join(self, other: Shape) -> Shape:
        """The smallest shape that holds both."""
        kgrid = tuple(max(a, b) for a, b in zip(self.kgrid, other.kgrid))
        return Shape(max(self.atoms, other.atoms), max(self.slots, other.slots), kgrid, self.born)  # type: ignore[arg-type]


def plan_buckets(shapes: Sequence[Shape], max_buckets: int) -> list[tuple[Shape, np.ndarray]]:
    """Buckets as (shape, places of its structures), at most ``max_buckets`` with and as many without Born labels.

    Greedy: the two neighbours, in order of size, that are cheapest to pad to a common shape are
    joined until few enough are left and a further join would waste work.
    """
    plan = []
    for born in (False, True):
        groups: dict[Shape, list[int]] = {}
        for i, shape in enumerate(shapes):
            if shape.born == born:
                groups.setdefault(shape, []).append(i)
        plan += _join_cheapest(groups, max_buckets)
    return [(shape, np.sort(np.asarray(places))) for shape, places in plan]


def _join_cheapest(groups: dict[Shape, list[int]], limit: int) -> list[tuple[Shape, list[int]]]:
    buckets = sorted(groups.items())
    work = sum(shape.cost * len(places) for shape, places in buckets)
    budget = WASTE * work
    while len(buckets) > 1:
        # Neighbours in order of size only: nearly as good as all pairs, and quick for hundreds of shapes.
        extra, i = min((_extra(buckets[i], buckets[i + 1]), i) for i in range(len(buckets) - 1))
        budget -= extra
        if budget < 0 and len(buckets) <= limit:
            break
        (small, few), (large, more) = buckets[i : i + 2]
        buckets = sorted([*buckets[:i], (small.join(large), few + more), *buckets[i + 2 :]])
    return buckets


def _extra(a: tuple[Shape, list[int]], b: tuple[Shape, list[int]]) -> float:
    joined = a[0].join(b[0]).cost
    return sum((joined - shape.cost) * len(places) for shape, places in (a, b))
