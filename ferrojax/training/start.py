"""What a training starts from: a new model, or one trained before, with elements added."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from ferrojax.data import Frame
from ferrojax.errors import FerrojaxError
from ferrojax.potential import Model, ModelConfig, load
from ferrojax.potential.config import PRESETS, usual_charges
from ferrojax.potential.readout import set_polarizability
from ferrojax.training.config import PotentialConfig, TrainConfig
from ferrojax.training.sources import build_model
from ferrojax.units import EPSILON_0

FREE = ("elements", "formal_charges", "preset")  # not settings of the network


@dataclass(frozen=True)
class Start:
    """Model and first parameters; what to tell the user; what is known of the model it was before."""

    model: Model
    params: Any
    notes: tuple[str, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def references(self) -> dict[str, dict[str, float]]:
        """Reference energies from before, {data set: {element: eV}}."""
        return self.info.get("reference_energies", {})

    @property
    def provenance(self) -> dict[str, Any]:
        """Data sets that trainings before saw, and the provenance of the last of them."""
        earlier = self.info.get("provenance", {})
        seen = sorted({*earlier.get("datasets", []), *earlier.get("pretrained_on", [])})
        return {"pretrained_on": seen} | ({"earlier": earlier} if earlier else {})


def inherit_settings(config: PotentialConfig) -> PotentialConfig:
    """The model section with preset, changes and, unless given, eps_inf of the model that ``start_from`` names.

    Raises FerrojaxError if preset or changes ask for another network.
    """
    if config.start_from is None:
        return config
    known = load(config.start_from)[0].config
    given = ({"preset": config.preset} if "preset" in config.model_fields_set else {}) | config.changes
    for name, value in given.items():
        if getattr(known, name, None) != value:
            raise FerrojaxError(
                f"model.{name}: {value} is asked for, but the model of model.start_from has {getattr(known, name, 'no such setting')}; "
                "leave it out, or start_from."
            )
    usual = ModelConfig(known.elements, known.formal_charges, **PRESETS.get(known.preset, {}))  # type: ignore[arg-type]
    names = {f.name for f in fields(known)} - {*FREE, "eps_inf"}
    changes = {name: getattr(known, name) for name in sorted(names) if getattr(known, name) != getattr(usual, name)}
    eps_inf = config.eps_inf if "eps_inf" in config.model_fields_set else known.eps_inf
    return config.model_copy(update={"preset": known.preset, "eps_inf": eps_inf, "changes": changes})


def starting_point(config: PotentialConfig, frames: list[Frame], seed: int) -> Start:
    """Model and parameters that the section asks for: random ones, or those of ``start_from``.

    A new model polarizes as ``eps_inf`` says in the mean of the frames, so that without labels its electrons are not a silent guess.
    A model to start from keeps its elements, whether the frames have them or not. Elements it does not know
    are added to it: random rows for them, everything else as it was, so what it predicts without them stays the same.

    Raises FerrojaxError if the section leaves out elements of that model, or changes their charges.
    """
    if config.start_from is None:
        model = build_model(config, frames)
        return Start(model, _level_electrons(model, model.init(jax.random.key(seed)), frames))
    known, params, info = load(config.start_from)
    model = Model(replace(_with_elements(known.config, config, frames), eps_inf=config.eps_inf))
    if model.config.elements != known.config.elements:
        params = grow(params, model.init(jax.random.key(seed)))
    return Start(model, jax.tree.map(jnp.asarray, params), _notes(config, known.config, model.config), info)


def grow(params: Any, fresh: Any) -> Any:
    """``fresh`` parameters, overwritten by ``params`` where these reach: new elements come last on their axes."""
    old, new = flatten_dict(params), flatten_dict(fresh)
    return unflatten_dict({name: _overwritten(jnp.asarray(new[name]), old[name]) for name in new})


def untrained(config: TrainConfig, frames: list[Frame]) -> tuple[str, ...]:
    """What to tell the user of a new model's parts that ``frames``, trained on, say nothing of."""
    labelled = any(frame.polarizability is not None for frame in frames) and config.loss.settings.weights["polarizability"] > 0
    if labelled or config.model.start_from is not None:
        return ()
    return (f"NOTE: no label trains the polarizability: that of the model stays near eps_inf = {config.model.eps_inf:g}",)


def _level_electrons(model: Model, params: Any, frames: list[Frame]) -> Any:
    """The same atomic polarizability α for every element, so that the frames' mean volume per atom gives ε∞ = 1 + α/(ε0 V)."""
    volume = np.mean([frame.atoms.cell.volume / len(frame.atoms) for frame in frames])
    return set_polarizability(params, max((model.config.eps_inf - 1.0) * volume * EPSILON_0, 1e-3))  # softplus reaches no zero


def _overwritten(new: jax.Array, old: Any) -> jax.Array:
    return new.at[tuple(map(slice, old.shape))].set(jnp.asarray(old, new.dtype))


def _notes(config: PotentialConfig, known: ModelConfig, now: ModelConfig) -> tuple[str, ...]:
    """What differs from the model that was named."""
    notes, added = [], now.elements[len(known.elements) :]
    if added:
        notes.append(f"NOTE: {config.start_from} does not know {', '.join(added)}: added with random parameters that training has to mend")
    if now.eps_inf != known.eps_inf:
        notes.append(f"NOTE: eps_inf is {now.eps_inf:g} instead of {known.eps_inf:g}: the long-range energy starts from other values")
    return tuple(notes)


def _with_elements(known: ModelConfig, config: PotentialConfig, frames: list[Frame]) -> ModelConfig:
    """The known configuration, with the elements wanted that it lacks at the end; others unchanged."""
    wanted = config.elements or sorted({*known.elements, *(symbol for frame in frames for symbol in frame.atoms.symbols)})
    absent = sorted(set(known.elements) - set(wanted))
    if absent:
        raise FerrojaxError(f"model.elements: the model of model.start_from also knows {absent}; name them too, or leave elements out.")
    elements = (*known.elements, *(element for element in wanted if element not in known.elements))
    if elements == known.elements and not config.formal_charges:
        return known
    # The embedding keeps its width, which fewer elements than channels limit: a wider one would be another network.
    width = min(known.embedding, len(known.elements))
    return replace(known, elements=elements, formal_charges=_charges(known, elements, config.formal_charges), embedding=width)


def _charges(known: ModelConfig, elements: tuple[str, ...], given: dict[str, int]) -> tuple[float, ...]:
    """Formal charge of each element: that of the known model, else the one given, else the usual one."""
    charges = dict(zip(known.elements, known.formal_charges))
    stray = sorted(set(given) - set(elements))
    if stray:
        raise FerrojaxError(f"model.formal_charges: {stray} are not among the elements {list(elements)}; remove them.")
    for element, charge in given.items():
        if charges.setdefault(element, float(charge)) != charge:
            raise FerrojaxError(
                f"model.formal_charges: {element} is {charge:+g}, but {charges[element]:+g} in the model of model.start_from; "
                "leave it out: the charge head belongs to that charge."
            )
    added = tuple(element for element in elements if element not in charges)
    charges |= dict(zip(added, usual_charges(added)))
    return tuple(charges[element] for element in elements)
