"""What effective Hamiltonians say to bad input, runaway modes and too few steps."""

from __future__ import annotations

import jax.numpy as jnp
import pytest
from random_lattice import CELL, NO_FIELD, NO_STRAIN, parameters

from ferrojax.effective import (
    LatticeBoundary,
    load_parameters,
    make_enthalpy,
    minimise,
    stationary,
    stripes,
    uniform_state,
    wall_lattice,
    well,
)
from ferrojax.effective.enthalpy import check_memory
from ferrojax.errors import FerrojaxError
from ferrojax.units import GPA


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_enthalpy((0, 2, 2)), "at least 1"),
        (lambda: make_enthalpy((2, 2)), "three whole numbers"),
        (lambda: make_enthalpy((2.5, 2, 2)), "three whole numbers"),
        (lambda: make_enthalpy((2, 2, 2), LatticeBoundary((0.0, 0.0, 1.5))), "from 0"),
        (lambda: make_enthalpy((2, 2, 2), LatticeBoundary((float("nan"), 0.0, 0.0))), "from 0"),
        (lambda: make_enthalpy((2, 2, 2), LatticeBoundary(dead_layers=-1)), "0 or more"),
        (lambda: make_enthalpy((2, 2, 2), LatticeBoundary((0.0, 0.0, 0.5), dead_layers=1)), "set depolarization"),
        (lambda: make_enthalpy((2, 2, 2))(parameters(), uniform_state((2, 2, 3)), NO_STRAIN, NO_FIELD), "modes has shape"),
        (lambda: check_memory((100_000, 100_000, 10)), "GiB"),
        (lambda: stripes((6, 1, 1), (0, 0, 0.1), 4), "period"),
        (lambda: wall_lattice(jnp.ones(3), 9, "cell"), "even number"),
        (lambda: wall_lattice(jnp.ones(3), 8, "corner"), "'cell' boundary"),
        (lambda: well(load_parameters("batio3-wc"), (0, 0, 0)), "direction"),
        (lambda: well(load_parameters("batio3-wc").under_pressure(60 * GPA), (0, 0, 1)), "cubic cell is stable"),
        (lambda: well(load_parameters("batio3-wc").under_pressure(-5 * GPA), (0, 0, 1)), "takes over at a pressure of -4.5"),
        (lambda: minimise(CELL, parameters(), uniform_state((1, 1, 1)), clamp="loose"), "clamp"),
        (lambda: stationary(make_enthalpy((12, 12, 12)), parameters(), uniform_state((12, 12, 12))), "unknowns"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(FerrojaxError, match=message):
        make()


def test_a_mode_that_runs_away_is_reported():
    unbound = load_parameters("batio3-lda").replace(alpha=jnp.array(-10.0))
    with pytest.raises(FerrojaxError, match="ran away"):
        minimise(CELL, unbound, uniform_state((1, 1, 1), (0.0, 0.0, 0.3)), max_steps=50)


def test_too_few_steps_are_reported():
    with pytest.raises(FerrojaxError, match="not converged after 2 steps"):
        minimise(CELL, parameters(), uniform_state((1, 1, 1), (0.0, 0.0, 0.1)), max_steps=2)
