"""A real potential with a dozen readout weights, and frames it can be fitted to, for tests of learning."""

from __future__ import annotations

import functools
from dataclasses import replace

import jax
import numpy as np
from random_model import polar_perovskite

from ferrojax.data import Frame
from ferrojax.potential import Model, preset

SIZES = {"channels": 3, "hidden": 6, "radial": 3, "embedding": 2}
INFO = {"reference_energies": {"small": {"Pb": -3.0, "Ti": -5.0, "O": -2.0}}}


@functools.cache
def small_model(seed: int = 1, name: str = "fast") -> tuple[Model, dict]:
    """A potential of three channels, every parameter random and not small, float64; without compiling its initialisation."""
    model = Model(preset(name, ("Pb", "Ti", "O"), cutoff=3.4, eps_inf=5.0, **SIZES))
    shapes, tree = jax.tree.flatten(jax.eval_shape(model.init, jax.random.key(0)))
    rng = np.random.default_rng(seed)
    return model, jax.tree.unflatten(
        tree, [rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[-2] if leaf.ndim > 1 else 1) for leaf in shapes]
    )


def frames(count: int, seed: int = 0, repeat=(1, 1, 1), labels: bool = True) -> list[Frame]:
    """Rattled perovskites; every fourth without stress, every fifth without energy."""
    rng = np.random.default_rng(seed)
    made = [Frame(polar_perovskite(repeat, seed=1000 * seed + k), dataset="small", source=f"frame {k}") for k in range(count)]
    if not labels:
        return made
    for k, frame in enumerate(made):
        n = len(frame.atoms)
        stress = rng.normal(size=(3, 3)) * 0.02
        given = {"energy": -14.0 * n / 5 + rng.normal(), "forces": rng.normal(size=(n, 3)), "stress": (stress + stress.T) / 2}
        given.pop("stress" if k % 4 == 3 else "energy" if k % 5 == 4 else "", None)
        made[k] = replace(frame, **given)
    return made
