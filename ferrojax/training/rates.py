"""Learning-rate factors of parameters chosen by name; zero freezes."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import jax

from ferrojax.errors import FerrojaxError


def parameter_names(params: Any) -> list[str]:
    """Names of the arrays, in the order of ``jax.tree.leaves``: "embedding", "first_product/mix", "heads/first_energy/out"."""
    return [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def rate_factors(params: Any, rates: Mapping[str, float]) -> Any:
    """Factor on the learning rate of each parameter, a tree of floats like ``params``; 0 freezes.

    ``rates`` maps patterns with wildcards (``*`` also spans "/") to factors. Of several that match
    the last counts, so {"*": 0, "*_energy/*": 1} trains the energy readouts alone; 1 where none does.

    Raises FerrojaxError for a pattern that matches nothing, and if nothing is left to train.
    """
    names = parameter_names(params)
    for pattern in rates:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise FerrojaxError(f"optimizer.rates: {pattern!r} matches no parameter; there are {', '.join(names)}.")
    factors = jax.tree_util.tree_map_with_path(lambda path, _: _factor(_name(path), rates), params)
    if not any(jax.tree.leaves(factors)):
        raise FerrojaxError("optimizer.rates: every parameter is frozen; leave some of them a factor above 0.")
    return factors


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/").removeprefix("params/")


def _factor(name: str, rates: Mapping[str, float]) -> float:
    return ([1.0] + [rate for pattern, rate in rates.items() if fnmatchcase(name, pattern)])[-1]
