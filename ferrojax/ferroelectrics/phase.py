"""What a polarization says of a crystal: its phase, whether it has one domain, and the variant of each cell."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int

from ferrojax.errors import FerrojaxError

SINGLE = 0.85  # of the length that neighbours have in common: two domains of 71 degrees have a mean of 0.82, of 90 degrees 0.71
ORDERED = 0.5  # of the mean square that neighbours must have in common, or the cells are disordered, not in domains


def polar_phase(mean: Float[np.ndarray, "3"], threshold: float = 0.1) -> str:
    """The phase that a polarization along the pseudo-cubic axes belongs to, in the names of Vanderbilt and Cohen.

    | a ≥ b ≥ c, the components without sign | name |
    |---|---|
    | 0 0 0; a 0 0; a a 0; a a a | cubic, tetragonal, orthorhombic, rhombohedral |
    | a b b, between tetragonal and rhombohedral | monoclinic MA |
    | a a b, between rhombohedral and orthorhombic | monoclinic MB |
    | a b 0, between tetragonal and orthorhombic | monoclinic MC |
    | a b c | triclinic |

    Components up to the threshold count as zero, those that differ by less than it as equal. mean, threshold: C/m². Phys. Rev. B 63, 094108
    (2001).

    Raises FerrojaxError for a threshold that is not above zero.
    """
    _above_zero(threshold)
    a, b, c = np.sort(np.abs(np.asarray(mean, float)))[::-1]
    upper, lower = a - b < threshold, b - c < threshold
    if b <= threshold:
        return "tetragonal" if a > threshold else "cubic"
    if c <= threshold:
        return "orthorhombic" if upper else "monoclinic MC"
    if a - c < threshold:
        return "rhombohedral"
    if not (upper or lower):
        return "triclinic"
    return "monoclinic MA" if b - c < a - b else "monoclinic MB"


def in_common(vectors: Float[np.ndarray, "cells 3"], neighbours: Iterable[Float[np.ndarray, "cells 3"]]) -> float:
    """⟨P·P'⟩ over cells and neighbours, of the squared unit of P: the mean square, less what is random from cell to cell.

    neighbours: for each direction, the vector of the next cell, which is the cell itself in a crystal of one cell along it.
    """
    return float(np.mean([np.vdot(vectors, other) / len(vectors) for other in neighbours]))


def several_domains(vectors: Float[np.ndarray, "cells 3"], common: float, threshold: float = 0.1) -> bool:
    """Whether neighbouring cells agree on a polarization of which the mean keeps less than 85 %.

    common: of ``in_common``. It must be half of the mean square and above the threshold (C/m²), or P is weak or disordered, as above the
    Curie temperature. Domains one cell wide are none.

    Raises FerrojaxError for a threshold that is not above zero.
    """
    _above_zero(threshold)
    square = float(np.vdot(vectors, vectors)) / len(vectors)
    mean = float(np.linalg.norm(vectors.mean(0)))
    return common > max(threshold**2, ORDERED * square) and bool(mean < SINGLE * np.sqrt(common))


def variants(vectors: Float[np.ndarray, "cells 3"], threshold: float = 0.1) -> Int[np.ndarray, "cells 3"]:
    """The direction ⟨001⟩, ⟨011⟩ or ⟨111⟩ nearest to each vector, as signs: (0, 0, -1), (1, 0, 1), ...; zero up to the threshold.

    vectors: along the pseudo-cubic axes. Raises FerrojaxError for a threshold that is not above zero.
    """
    _above_zero(threshold)
    sizes = np.abs(vectors)
    ordered = np.sort(sizes, axis=1)[:, ::-1]
    # The cosine with the best direction of one, two and three components.
    kind = (np.cumsum(ordered, axis=1) / np.sqrt([1.0, 2.0, 3.0])).argmax(1)
    least = np.take_along_axis(ordered, kind[:, None], 1)
    chosen = (sizes >= least) & (np.linalg.norm(vectors, axis=1, keepdims=True) > threshold)
    return np.where(chosen, np.sign(vectors), 0).astype(int)


def _above_zero(threshold: float) -> None:
    if not threshold > 0:
        raise FerrojaxError(f"the threshold of the polarization must be above zero; got {threshold} C/m².")
