"""Verdicts of the PTO-test on averages and frequencies that are made up."""

import numpy as np
import pytest

from ferrojax.pto_test import PtoTestConfig
from ferrojax.pto_test.criteria import judge


def runs(ratios, lost=None, lindemann=0.1):
    means = [{"c/a": ratio, "lindemann": lindemann} for ratio in ratios]
    good = [{"temperature_K": 300.0 + 100 * k, "status": "finished", "means": x} for k, x in enumerate(means)]
    return [run | {"status": "failed", "message": "melted by 3 ps."} if k == lost else run for k, run in enumerate(good)]


REENTRANT = ("tetragonal to cubic at 450 K", "cubic to tetragonal at 550 K", "tetragonal to cubic at 650 K")


@pytest.mark.parametrize(
    "ratios, lost, passed, words",
    [
        ([1.06, 1.05, 1.04, 1.02, 1.00, 1.00], None, (True, True, True), "650 ± 50 K"),
        ([1.06, 1.05, 1.04, 1.03, 1.03, 1.03], None, (True, False, True), "tetragonal from 300 to 800 K"),
        ([1.06, 1.00, 1.00, 1.00, 1.00, 1.00], None, (True, False, True), "350 ± 50 K"),
        ([1.06, 1.05, 1.00, 1.03, 1.00, 1.00], None, (True, False, True), "; ".join(REENTRANT)),
        ([1.32, 1.30, 1.30, 1.30, 1.00, 1.00], None, (False, True, True), "650 ± 50 K"),
        ([1.06, 1.05, 1.04, 1.02, 1.00, 1.00], 4, (True, False, False), "700 K: melted by 3 ps."),
        ([1.06, 1.05, 1.04, 1.02, 1.00, 1.00], 0, (False, False, False), "300 K: melted by 3 ps."),
        ([1.06, 1.05], None, (True, None, None), "2 of 6 temperatures"),
    ],
)
def test_verdicts(ratios, lost, passed, words):
    found = judge(runs(ratios, lost), np.arange(300.0, 801, 100), None, PtoTestConfig().criteria)
    assert tuple(v.passed for v in found[:3]) == passed and found[1].found == words
    assert found[3].passed is None and found[3].word == "undecided"


def test_a_scan_too_coarse_for_the_limits_decides_nothing():
    coarse = [run | {"temperature_K": kelvin} for run, kelvin in zip(runs([1.05, 1.0, 1.0]), (300.0, 600.0, 900.0))]
    found = judge(coarse, (300.0, 600.0, 900.0), None, PtoTestConfig().criteria)[1]
    assert found.passed is None and found.found == "450 ± 150 K"


def test_verdict_on_phonons_and_melting():
    criteria = PtoTestConfig().criteria
    soft, hard = ({"status": "finished", "lowest_per_cm": x, "wave": [0.5, 0.5, 0]} for x in (-35.0, -19.0))
    assert [judge([], [], x, criteria)[3].passed for x in (soft, hard)] == [False, True]
    assert "-35.0 1/cm at q = (0.5 0.5 0)" in judge([], [], soft, criteria)[3].found
    assert judge([], [], {"status": "failed", "message": "no cell"}, criteria)[3].found == "no cell"
    assert judge(runs([1.06, 1.0], lindemann=0.35), [300.0, 400.0], None, criteria)[2].passed is False
