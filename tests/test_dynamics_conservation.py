"""Conserved quantities of a real potential, PbTiO3 of 40 atoms, in double precision."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from lead_titanate import lead_titanate

from ferrojax.dynamics import NPT, NVE, NoseHoover
from ferrojax.dynamics.run import run

ENSEMBLES = {
    "B-nve-drift": lambda dt: NVE(dt=dt),
    "B-nvt-drift": lambda dt: NoseHoover(dt=dt, temperature=300.0, tau=50.0),
    "B-npt-drift": lambda dt: NPT(dt=dt, temperature=300.0, stress=-0.01, tau=50.0, tau_cell=500.0),
}


def conserved(name: str, dt: float, femtoseconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Time (ps) and conserved quantity (eV/atom) every 5 fs."""
    enthalpy, params, state = lead_titanate("float64")
    steps = round(femtoseconds / dt)
    records = run(
        enthalpy, params, state, ENSEMBLES[name](dt), steps, key=jax.random.key(2), temperature=300.0, every=round(5 / dt),
        field=(0.0, 0.0, 0.01), keep_positions=False,
    ).records  # fmt: skip
    return records.time / 1000, records.conserved / 40


@pytest.mark.slow
@pytest.mark.parametrize("name", ENSEMBLES)
def test_no_drift_and_fluctuation_of_second_order(name, claim):
    """Slope of a line through 2 ps at 1 fs; the fluctuation shrinks fourfold at half the time step."""
    time, values = conserved(name, 1.0, 2000.0)
    claim(name, abs(np.polyfit(time, values, 1)[0]))
    coarse, fine = (conserved(name, dt, 400.0)[1].std() for dt in (1.0, 0.5))
    claim("B-dt-scaling", abs(coarse / fine / 4 - 1))
