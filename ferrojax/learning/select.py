"""Which structures of a pool to label: trust levels on their uncertainty, then diversity or information, up to a cap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int
from pydantic import Field, model_validator

from ferrojax.errors import FerrojaxError
from ferrojax.learning.deviation import Deviation, Measure, Structures, evaluate, max_forces
from ferrojax.learning.diversity import descriptors, farthest_points
from ferrojax.learning.doptimal import d_optimal
from ferrojax.learning.last_layer import LastLayer
from ferrojax.potential import Model
from ferrojax.sections import Section


class SelectConfig(Section):
    """How structures are chosen in a round.

    low_eV_per_A, high_eV_per_A: trust levels on ε_F; below the low one a structure is accurate, between them a candidate, above failed.
    quantiles: in place of levels, the shares of the pool below the low and the high one; they follow the uncertainty of each round.
    by: "farthest" (most different from each other and from what is labelled), "d-optimal" (most informative on the readout weights; needs
    a last layer), "highest" (largest uncertainty) or "random" (to compare with).
    per_round: labels at most. minimum_distance: to what is labelled and chosen, for "farthest", in standard deviations of the descriptor.
    """

    low_eV_per_A: float | None = Field(None, ge=0)
    high_eV_per_A: float | None = Field(None, gt=0)
    quantiles: tuple[float, float] | None = None
    by: Literal["farthest", "d-optimal", "highest", "random"] = "farthest"
    per_round: int = Field(30, ge=1)
    minimum_distance: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _one_kind_of_level(self) -> SelectConfig:
        levels = [level for level in (self.low_eV_per_A, self.high_eV_per_A) if level is not None]
        if len(levels) != (0 if self.quantiles else 2):
            raise ValueError("needs either low_eV_per_A and high_eV_per_A, or quantiles")
        low, high = self.quantiles or levels
        if not low < high or (self.quantiles and not 0 <= low < high <= 1):
            raise ValueError("needs the low level below the high one, and quantiles between 0 and 1")
        return self


@dataclass(frozen=True)
class Selection:
    """What became of a pool: places of the structures in it, and the levels used.

    accurate, candidate, failed: by ε_F (eV/Å), in ``uncertainty``. chosen: to be labelled, in order.
    """

    accurate: Int[np.ndarray, " accurate"]
    candidate: Int[np.ndarray, " candidate"]
    failed: Int[np.ndarray, " failed"]
    chosen: Int[np.ndarray, " chosen"]
    levels: tuple[float, float]
    uncertainty: Float[np.ndarray, " pool"]

    def __str__(self) -> str:
        low, high = self.levels
        counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in ("accurate", "candidate", "failed"))
        return f"{counts} (levels {1e3 * low:.0f} and {1e3 * high:.0f} meV/Å); {len(self.chosen)} chosen"


def trust_levels(uncertainty: Float[np.ndarray, " pool"], settings: SelectConfig) -> tuple[float, float]:
    """The levels as set, or as quantiles of what is finite. Raises FerrojaxError if nothing is."""
    if settings.quantiles is None:
        assert settings.low_eV_per_A is not None and settings.high_eV_per_A is not None
        return settings.low_eV_per_A, settings.high_eV_per_A
    finite = uncertainty[np.isfinite(uncertainty)]
    if len(finite) == 0:
        raise FerrojaxError("select: no uncertainty is finite; the models cannot evaluate any structure of the pool.")
    low, high = np.quantile(finite, settings.quantiles)
    return float(low), float(high)


def classify(uncertainty: Float[np.ndarray, " pool"], levels: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of accurate (ε < low), candidate and failed (ε > high, or not finite) structures.

    Zhang et al., Comput. Phys. Commun. 253, 107206 (2020).
    """
    accurate = uncertainty < levels[0]
    failed = ~(uncertainty <= levels[1])
    return np.flatnonzero(accurate), np.flatnonzero(~accurate & ~failed), np.flatnonzero(failed)


def select(
    settings: SelectConfig,
    measure: Measure,
    model: Model,
    params: Any,
    pool: Sequence[Atoms],
    labelled: Structures = (),
    last_layer: LastLayer | None = None,
    seed: int = 0,
    deviations: Sequence[Deviation] | None = None,
) -> Selection:
    """Structures of a pool to label next.

    Args:
        measure: gives the uncertainty, a ``Committee`` or a ``LastLayer``. model, params: whose invariants describe structures.
        labelled: what is labelled already. last_layer: for "d-optimal"; by default the measure, if it is one.
        seed: of the random choice. deviations: of the pool, if they are known already.

    Raises FerrojaxError for an empty pool, a structure that the model cannot evaluate, and "d-optimal" without a last layer.
    """
    uncertainty = max_forces(evaluate(measure, pool) if deviations is None else deviations)
    levels = trust_levels(uncertainty, settings)
    accurate, candidate, failed = classify(uncertainty, levels)
    chosen = candidate
    if len(candidate):
        taken = descriptors(model, params, labelled) if len(labelled) and settings.by == "farthest" else None
        found = [pool[k] for k in candidate]
        if settings.by == "farthest":
            described = descriptors(model, params, found)
            places, _ = farthest_points(described, settings.per_round, taken, settings.minimum_distance)
        elif settings.by == "d-optimal":
            places = _informative(found, measure if last_layer is None else last_layer, settings.per_round)
        elif settings.by == "highest":
            places = np.argsort(-uncertainty[candidate], kind="stable")[: settings.per_round]
        else:
            places = np.random.default_rng(seed).permutation(len(candidate))[: settings.per_round]
        chosen = candidate[places]
    return Selection(accurate, candidate, failed, chosen, levels, uncertainty)


def _informative(found: Sequence[Atoms], posterior: Any, count: int) -> np.ndarray:
    if not isinstance(posterior, LastLayer):
        raise FerrojaxError("select: by='d-optimal' needs a last layer; fit one (fit_last_layer) or select by='farthest'.")
    return d_optimal(posterior.rows(found), posterior.precision, count)[0]
