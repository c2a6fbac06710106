"""Parameter records of the effective Hamiltonian: what they hold and what is refused."""

from __future__ import annotations

from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from ferrojax.effective import load_parameters, load_record, parameter_sets
from ferrojax.errors import FerrojaxError
from ferrojax.units import GPA

FOLDER = files("ferrojax.effective") / "parameters"


@pytest.fixture
def record():
    return yaml.safe_load((FOLDER / "batio3-wc.yaml").read_text())


@pytest.fixture
def saved(tmp_path):
    def save(content):
        path = tmp_path / "mine.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return save


def test_the_five_sets():
    assert parameter_sets() == ["basrtio3-x50", "batio3-lda", "batio3-wc", "knbo3-wc", "pbtio3-lda"]
    for name in parameter_sets():
        assert len(jax.tree.leaves(load_parameters(name))) == 21


def test_a_record_of_ones_own(saved, record):
    mine, package = load_parameters(saved(record)), load_parameters("batio3-wc")
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), mine, package)))
    assert float(package.b11 / package.a0**3) / GPA == pytest.approx(320.63, abs=0.01)  # C11 of BaTiO3
    assert float(package.b12 / package.a0**3) / GPA == pytest.approx(105.65, abs=0.01)


def test_pressure_is_minus_the_stress():
    params = load_parameters("batio3-wc").under_pressure(2 * GPA)
    np.testing.assert_allclose(params.stress, -2 * GPA * np.eye(3))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("parameters", "alpha"), None, "parameters.alpha"),  # missing
        (("parameters", "alfa"), 1.0, "parameters.alfa"),
        (("parameters", "k1"), float("nan"), "parameters.k1"),
        (("parameters", "j"), [1.0, 2.0], "parameters.j"),
        (("parameters", "a0"), -4.0, "parameters.a0"),
        (("parameters", "b44"), -1.0, "elastic tensor is unstable"),
        (("parameters", "b12"), 200.0, "elastic tensor is unstable"),
        (("parameters", "kappa2"), 0.0568, "kappa_total"),
        (("units", "length"), "bohr", "units.length"),
        (("reference", "kappa_total"), -1.5, "kappa_total"),
        (("source",), None, "source"),
    ],
)
def test_bad_records_are_refused(saved, record, place, value, message):
    section = record
    for key in place[:-1]:
        section = section[key]
    if value is None:
        del section[place[-1]]
    else:
        section[place[-1]] = value
    with pytest.raises(FerrojaxError, match=message):
        load_record(saved(record))


def test_files_that_are_no_records(saved, tmp_path):
    with pytest.raises(FerrojaxError, match="choose one of basrtio3-x50, batio3-lda"):
        load_parameters("srtio3")
    with pytest.raises(FerrojaxError, match="cannot be read"):
        load_parameters(tmp_path / "none.yaml")
    with pytest.raises(FerrojaxError, match="not valid YAML"):
        load_parameters(saved("a: [1, 2"))
    with pytest.raises(FerrojaxError, match="record"):
        load_parameters(saved("just words"))
