"""Untrained models with every parameter randomised, and a skewed cell to try them on."""

from __future__ import annotations

import functools

import jax
import numpy as np
from ase import Atoms

from ferrojax.potential.config import preset
from ferrojax.potential.model import Model

PRESETS = ("fast", "accurate")


@functools.cache
def random_model(name: str, **changes) -> tuple[Model, dict]:
    """A model of a preset for Pb, Ti, O with ε∞ = 5 and float64 parameters, none of them zero."""
    model = Model(preset(name, ("Pb", "Ti", "O"), **{"cutoff": 4.2, "eps_inf": 5.0, **changes}))
    params = model.init(jax.random.key(1))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    noisy = [leaf.astype(np.float64) + 0.1 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves)]
    return model, jax.tree.unflatten(tree, noisy)


def polar_perovskite(repeat: tuple[int, int, int] = (1, 1, 1), seed: int = 0, rattle: float = 0.08) -> Atoms:
    """PbTiO3 in a triclinic cell, polar and rattled."""
    cell = np.array([[3.9, 0.15, -0.1], [0.3, 3.8, 0.2], [-0.2, 0.25, 4.2]])
    ideal = [[0, 0, 0], [0.5, 0.5, 0.55], [0.5, 0.5, 0], [0, 0.5, 0.48], [0.5, 0, 0.47]]
    atoms = Atoms("PbTiO3", scaled_positions=ideal, cell=cell, pbc=True).repeat(repeat)
    atoms.positions += np.random.default_rng(seed).normal(0, rattle, atoms.positions.shape)
    return atoms
