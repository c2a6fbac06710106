"""Energy readouts of their own for data sets of different levels of theory, on shared features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from ferrojax.data import Frame
from ferrojax.errors import FerrojaxError

READOUTS = "_energy"  # ending of the energy readouts' names in the network


@dataclass(frozen=True)
class Heads:
    """The data sets that have a head; the first head is the main one, which also serves the data sets not named. None: one plain model."""

    names: tuple[str, ...] = ()

    def of(self, dataset: str) -> int:
        """Number of the head that serves a data set."""
        return self.names.index(dataset) if dataset in self.names else 0

    def models(self, params: Any, references: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Each head as an ordinary model: folder (that of the main one is empty), parameters, reference energies of its data sets."""
        for head, name in enumerate(self.names or ("",)):
            own = {dataset: table for dataset, table in references.items() if self.of(dataset) == head}
            yield (f"heads/{name}" if head else ""), take_head(params, head), own


def choose_heads(wanted: Sequence[str] | bool, main: str | None, frames: Sequence[Frame]) -> Heads:
    """Heads as ``model.heads`` and ``model.head`` ask for.

    Args:
        wanted: data sets, or True for all of the frames, False for none.
        main: the head that becomes the model; by default the first.
        frames: training frames.

    Raises FerrojaxError for an unknown data set, one that cannot name a folder, and fewer than two heads.
    """
    if not wanted:
        if main is not None:
            raise FerrojaxError(f"model.head: {main!r} is asked for without heads; add model.heads or leave model.head out.")
        return Heads()
    present = list(dict.fromkeys(frame.dataset for frame in frames))
    names = present if isinstance(wanted, bool) else list(dict.fromkeys(wanted))
    strange = [name for name in names if name not in present]
    if strange:
        raise FerrojaxError(f"model.heads: there is no {strange[0]!r}; the training frames are of {present}.")
    if main is not None and main not in names:
        raise FerrojaxError(f"model.head: there is no {main!r}; the heads are of {names}.")
    if len(names) < 2:
        raise FerrojaxError(f"model.heads: {names} is one data set; name at least two, or leave heads out.")
    unfit = [name for name in names if not name or name.startswith(".") or "/" in name]
    if unfit:
        raise FerrojaxError(f"model.heads: {unfit[0]!r} cannot be the name of a folder; give that source another data.dataset.")
    return Heads(tuple(sorted(names, key=lambda name: name != (main or names[0]))))


def add_heads(params: Any, heads: Heads) -> Any:
    """Parameters with one copy of each energy readout's last matrix for every head, under "heads" and with a leading axis of heads.

        E = Σ_layers Σ_i silu(h_i) · w_head

    Only these matrices differ between heads; features, charges and polarizability are shared (as Batatia et al.,
    arXiv:2401.00096, fine-tune on several levels of theory).
    """
    if not heads.names:
        return params
    readouts = [name for name in params["params"] if name.endswith(READOUTS)]
    shared = {name: _without_last(layer) if name in readouts else layer for name, layer in params["params"].items()}
    copies = {name: {"out": jnp.stack([params["params"][name]["out"]] * len(heads.names))} for name in readouts}
    return {"params": shared, "heads": copies}


def take_head(params: Any, head: int | jax.Array) -> Any:
    """Parameters of an ordinary model with one of the heads; those without heads as they are. Under vmap, one head a structure."""
    if "heads" not in params:
        return params
    own = {name: layer | {"out": params["heads"][name]["out"][head]} for name, layer in params["params"].items() if name in params["heads"]}
    return {"params": params["params"] | own}


def _without_last(layer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in layer.items() if name != "out"}
