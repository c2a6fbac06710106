"""LO-TO splitting by construction: a long longitudinal wave is stiffer by 4π k_e |q̂·Z*u|²/(V ε∞).

The Ewald term sees ρ/√ε∞ and div P = -ρ, so its curvature alone is non-analytic at q → 0;
the short-range part, the second-order change of the charges and higher multipoles are
analytic and even in q for a real pattern u, so they leave at q = 0 with 1/n².
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_model import polar_perovskite, random_model

from ferrojax.electrostatics.ewald import ewald_energy
from ferrojax.enthalpy import make_enthalpy
from ferrojax.potential import load
from ferrojax.response.first import born_charges
from ferrojax.units import COULOMB

TRAINED = sorted(Path(__file__).parent.parent.glob("experiments/*/*/model/config.json"))


def curvatures(model, params, atoms, pattern, cells):
    """Per cell, d²/ds² of (enthalpy, Ewald energy) for displacements s·u cos(q·r), q = b3/cells; q = 0 for one cell."""
    long = atoms.repeat((1, 1, cells))
    q = 2 * np.pi * atoms.cell.reciprocal()[2] / cells if cells > 1 else np.zeros(3)
    wave = jnp.asarray(np.tile(pattern, (cells, 1)) * np.cos(long.positions @ q)[:, None])
    state, enthalpy = model.prepare(long, np.float64), make_enthalpy(model)

    def energies(s):
        moved = state.replace(positions=state.positions + s * wave)
        charges = model.terms(params, moved).charges / model.config.eps_inf**0.5
        ewald = ewald_energy(charges, moved.positions, moved.cell, state.topology.kgrid, model.config.smearing)
        return jnp.stack([enthalpy(params, moved, jnp.zeros((3, 3)), jnp.zeros(3)), ewald])

    def slope(s):
        return jax.jvp(energies, (s,), (1.0,))[1]

    second = jax.jit(lambda: jax.jvp(slope, (0.0,), (1.0,))[1])()
    return np.asarray(second) / cells * (2 if cells > 1 else 1)  # the mean of cos² is 1/2


def splitting(model, params, atoms, lengths):
    """Measured splittings (lengths x [enthalpy, Ewald]) of a random pattern, and 4π k_e |q̂·Z*u|²/(V ε∞), eV/Å²."""
    state, pattern = model.prepare(atoms, np.float64), np.random.default_rng(4).normal(size=(len(atoms), 3))
    born = np.asarray(born_charges(make_enthalpy(model), params, state, jnp.zeros(3)))
    normal = atoms.cell.reciprocal()[2] / np.linalg.norm(atoms.cell.reciprocal()[2])
    longitudinal = np.einsum("a,iab,ib->", normal, born, pattern)
    expected = 4 * np.pi * COULOMB * longitudinal**2 / (atoms.get_volume() * model.config.eps_inf)
    uniform = curvatures(model, params, atoms, pattern, 1)
    return np.array([curvatures(model, params, atoms, pattern, n) - uniform for n in lengths]), expected


def check(measured, expected, lengths):
    """Convergence as 1/n² to the expected value; returns the largest deviation at the longest supercell."""
    deviation = measured / expected - 1
    # In the enthalpy the 1/n² terms of both parts may nearly cancel, so its ratio tells nothing.
    ratio = deviation[-2, 1] / deviation[-1, 1]
    np.testing.assert_allclose(ratio, (lengths[-1] / lengths[-2]) ** 2, rtol=0.1)
    limit = (4 * measured[-1] - measured[-2]) / 3  # Richardson, for a doubled length
    np.testing.assert_allclose(limit, expected, rtol=1e-3)
    return np.abs(deviation[-1]).max()


@pytest.mark.slow
def test_untrained_model(claim):
    model, params = random_model("fast")
    assert model.config.eps_inf > 1
    lengths = (8, 16)
    measured, expected = splitting(model, params, polar_perovskite(), lengths)
    deviation = check(measured, expected, lengths)
    assert deviation < 0.01
    claim("A-loto-untrained", deviation)


@pytest.mark.slow
@pytest.mark.skipif(not TRAINED, reason="no trained model under experiments/")
@pytest.mark.parametrize("config", TRAINED, ids=lambda path: "-".join(path.parts[-4:-2]))
def test_trained_models(config, claim):
    model, params, _ = load(config.parent)
    atoms = polar_perovskite()
    atoms.symbols[0] = next(e for e in ("Pb", "Ba", "Sr", "Ca") if e in model.config.elements)
    lengths = (16, 32)
    measured, expected = splitting(model, params, atoms, lengths)
    claim("A-loto-trained", check(measured, expected, lengths))
