"""A committee: models of one kind, trained from different random parameters, and where they disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from ferrojax.data.reference import choose_references
from ferrojax.errors import FerrojaxError
from ferrojax.learning.deviation import Deviation
from ferrojax.potential import Model, load
from ferrojax.state import State
from ferrojax.training.loss import predict


class Committee(struct.PyTreeNode):
    """Parameter sets of one model on a leading axis; their spread is the uncertainty.

        committee = Committee.load(["runs/a/best", "runs/b/best", "runs/c/best", "runs/d/best"])
        deviations = evaluate(committee, structures)          # many structures, in padded batches
        deviation = jax.jit(committee.deviation)(state)       # one state, as in dynamics

    offsets: reference energies of each member by element, eV, less their mean: members place the zero of energy differently.
    """

    params: Any
    offsets: Float[Array, "members elements"]
    model: Model = struct.field(pytree_node=False)
    atoms_per_batch: ClassVar[int] = 512  # a committee of four then needs as much memory as an evaluation does

    @classmethod
    def load(cls, folders: Sequence[str | Path], dataset: str | None = None) -> Committee:
        """The models of two or more folders; ``dataset``: whose reference energies, by default the only one there is.

        Raises FerrojaxError for fewer than two, and for models that differ in more than their parameters.
        """
        members = [load(folder) for folder in folders]
        for folder, (model, _, _) in zip(folders, members):
            if model != members[0][0]:
                raise FerrojaxError(
                    f"committee: {folder} and {folders[0]} differ in {_difference(model, members[0][0])}; "
                    "train all members with one model section and different seeds."
                )
        return cls.of(members[0][0], [params for _, params, _ in members], [info for _, _, info in members], dataset)

    @classmethod
    def of(
        cls, model: Model, params: Sequence[Any], infos: Sequence[Mapping[str, Any]] | None = None, dataset: str | None = None
    ) -> Committee:
        """Of parameter sets in memory, and the info of each (without it, the zeros of energy are taken as one). Errors as ``load``."""
        if len(params) < 2:
            raise FerrojaxError(f"committee: {len(params)} model cannot disagree; give at least two, better four.")
        tables = [choose_references(info, dataset) for info in infos or [{}] * len(params)]
        offsets = np.array([[table.get(element, 0.0) for element in model.config.elements] for table in tables])
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
        return cls(stacked, jnp.asarray(offsets - offsets.mean(0)), model)

    def deviation(self, state: State) -> Deviation:
        """Spread of the members for one state with topology: √<|x - <x>|²>, the mean over members; jit-safe."""
        values = jax.vmap(lambda params: predict(self.model, params, state, born=False))(self.params)
        real = state.numbers > 0
        zeros = self.offsets.astype(state.cell.dtype)[:, self.model.species(state)] @ real.astype(state.cell.dtype)
        energies = (values["energy"] + zeros) / jnp.sum(real)
        return Deviation(jnp.std(energies, 0), jnp.std(values["forces"], 0), jnp.std(values["stress"], 0))


def _difference(one: Model, other: Model) -> str:
    mine, theirs = one.config.to_dict(), other.config.to_dict()
    return ", ".join(f"{name} ({mine[name]} and {theirs[name]})" for name in mine if mine[name] != theirs[name])
