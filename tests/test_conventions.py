"""One test for every line of docs/conventions.md, of the name of the line: here those on units and models."""

from __future__ import annotations

import re
from pathlib import Path

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.constants as codata
from random_model import polar_perovskite, random_model
from toy_enthalpy import FIELD, NO_FIELD, NO_STRAIN, STRESS, TOY, prepared

from ferrojax import units
from ferrojax.data import reference_energy
from ferrojax.data.frame import Frame
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.potential import preset
from ferrojax.topology import with_topology
from ferrojax.training.evaluate import evaluate

PAGE = Path(__file__).parent.parent / "docs" / "conventions.md"
LINES = [name for name in re.findall(r"^\| ([a-z-]+) \|", PAGE.read_text(encoding="utf-8"), re.M) if name != "name"]
FILES = sorted(Path(__file__).parent.glob("test_conventions*.py"))
NETWORK, WEIGHTS = random_model("fast")


def test_every_line_has_its_test_and_every_test_its_line():
    assert len(LINES) == len(set(LINES)) > 20
    source = "".join(file.read_text(encoding="utf-8") for file in FILES)
    tests = [name for name in re.findall(r"^def test_(\w+)", source, re.M) if not name.startswith("every_line_")]
    assert sorted(tests) == sorted(line.replace("-", "_") for line in LINES)


def padded(model, state):
    """The state with two padding atoms."""
    positions, numbers = jnp.pad(state.positions, ((0, 2), (0, 0))), jnp.pad(state.numbers, (0, 2))
    bare = state.replace(positions=positions, numbers=numbers, topology=None)
    k_cutoff = state.topology.k_cutoff
    return with_topology(bare, model.config.cutoff, k_cutoff=k_cutoff)


def test_units():
    assert pytest.approx(codata.e / (4 * np.pi * codata.epsilon_0) * 1e10, rel=1e-8) == units.COULOMB
    assert pytest.approx(codata.epsilon_0 / codata.e * 1e-10, rel=1e-8) == units.EPSILON_0
    assert pytest.approx(codata.k / codata.e, rel=1e-8) == units.BOLTZMANN
    assert pytest.approx(1e9 / codata.e * 1e-30, rel=1e-8) == units.GPA
    assert pytest.approx(ase.units.fs, rel=1e-7) == units.FEMTOSECOND


def test_polarization_unit():
    assert pytest.approx(codata.e * 1e20, rel=1e-10) == units.E_PER_A2


def test_charge_flow():
    state = NETWORK.prepare(polar_perovskite(), dtype=np.float64)
    terms = jax.jit(NETWORK.terms)(WEIGHTS, state)
    charges = np.asarray(NETWORK.formal_charges(state)).copy()
    for i, row in enumerate(np.asarray(terms.flow)):
        for j, g in zip(np.asarray(state.topology.neighbors)[i], row):
            charges[i] -= g
            charges[j] += g
    np.testing.assert_allclose(terms.charges, charges, atol=1e-12)
    assert np.abs(charges - np.asarray(NETWORK.formal_charges(state))).max() > 1e-3


def test_formal_charges():
    with pytest.raises(FerrojaxError, match="integers"):
        preset("fast", ("Pb",), (1.5,))
    state = padded(NETWORK, NETWORK.prepare(polar_perovskite(), dtype=np.float64))
    np.testing.assert_array_equal(NETWORK.formal_charges(state), [2, 4, -2, -2, -2, 0, 0])


def test_reference_energies():
    state = NETWORK.prepare(polar_perovskite(), dtype=np.float64)
    enthalpy = float(jax.jit(make_enthalpy(NETWORK))(WEIGHTS, state, NO_STRAIN, NO_FIELD))
    table = {"made up": {"Pb": -103.0, "Ti": -207.0, "O": -404.5}}
    frame = Frame(polar_perovskite(), energy=enthalpy - 103.0 - 207.0 - 3 * 404.5, dataset="made up")
    assert enthalpy + reference_energy(frame, table) == pytest.approx(frame.energy, abs=1e-9)
    errors = evaluate(NETWORK, WEIGHTS, {"reference_energies": table}, [frame], dtype=np.float64)
    assert errors["energy"]["rmse"] == pytest.approx(0, abs=1e-6)  # meV/atom


def test_padding():
    state = prepared()
    for bare, filled in zip(STRESS(state, FIELD), STRESS(padded(TOY, state), FIELD)):
        np.testing.assert_allclose(filled, jnp.pad(bare, ((0, 2), (0, 0))) if bare.shape == (8, 3) else bare, atol=1e-10)
    network = NETWORK.prepare(polar_perovskite(), dtype=np.float64)
    terms = jax.jit(NETWORK.terms)
    bare, filled = terms(WEIGHTS, network), terms(WEIGHTS, padded(NETWORK, network))
    assert float(filled.short_range) == pytest.approx(float(bare.short_range), abs=1e-10)
    np.testing.assert_allclose(filled.charges, jnp.pad(bare.charges, (0, 2)), atol=1e-10)


def test_precision():
    for dtype in (np.float32, np.float64):
        state = NETWORK.prepare(polar_perovskite(), dtype=dtype)
        energy = jax.eval_shape(make_enthalpy(NETWORK), WEIGHTS, state, jnp.zeros((3, 3), dtype), jnp.zeros(3, dtype))
        assert energy.dtype == dtype
