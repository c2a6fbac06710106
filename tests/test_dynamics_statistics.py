"""Ensembles of a real potential against each other and against thermodynamics: PbTiO3, 40 atoms, 300 K."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from lead_titanate import lead_titanate

from ferrojax.dynamics import NPT, Langevin, LangevinNPT, NoseHoover
from ferrojax.dynamics.run import run
from ferrojax.units import BOLTZMANN

pytestmark = pytest.mark.statistical
KELVIN, DT, GPA = 300.0, 2.0, 1 / 160.2176634
PRESSURES = (0.0, 4.0, 8.0)  # GPa
FIELD = 0.01  # V/Å along z


@functools.cache
def records(kind, pressure=0.0, field=0.0, cell_of=None):
    """8 ps every 20 fs after 2 ps, in the cell of the state or in the mean cell of a run at ``cell_of`` GPa."""
    enthalpy, params, state = lead_titanate()
    stress = -pressure * GPA
    integrator = {
        "npt": NPT(dt=DT, temperature=KELVIN, stress=stress, tau=100.0, cell="orthorhombic"),
        "langevin-npt": LangevinNPT(dt=DT, temperature=KELVIN, stress=stress, friction=0.005, friction_cell=0.01, cell="orthorhombic"),
        "langevin": Langevin(dt=DT, temperature=KELVIN, friction=0.01),
        "nose-hoover": NoseHoover(dt=DT, temperature=KELVIN, tau=50.0),
    }[kind]
    if cell_of is not None:
        mean = jnp.asarray(records("npt", cell_of).cell.mean(0), state.cell.dtype)
        state = state.replace(positions=state.positions @ jnp.linalg.solve(state.cell, mean), cell=mean)
    end = run(
        enthalpy, params, state, integrator, 5000, key=jax.random.key(int(pressure) + 7), every=10,
        field=(0.0, 0.0, field), keep_positions=False,
    )  # fmt: skip
    whole = end.records
    return type(whole)(**{name: None if x is None else x[100:] for name, x in vars(whole).items()})


def mean_and_error(values, blocks=8):
    """Mean and its standard error from block averages."""
    means = np.array([block.mean() for block in np.array_split(np.asarray(values, np.float64), blocks)])
    return means.mean(), means.std(ddof=1) / np.sqrt(blocks)


def pressure_of(run):
    return -run.stress[:, :3].mean(1) / GPA


def test_equation_of_state(claim):
    """The pressure found at the mean cell of each constant-pressure run is the pressure that was asked for."""
    volumes = [mean_and_error(records("npt", p).volume) for p in PRESSURES]
    bulk = -np.polyfit([v for v, _ in volumes], PRESSURES, 1)[0]  # dp/dV, GPa/Å³
    assert volumes[0][0] > volumes[1][0] > volumes[2][0] and bulk > 0
    for asked, (_, error) in zip(PRESSURES, volumes, strict=True):
        found, spread = mean_and_error(pressure_of(records("langevin", cell_of=asked)))
        combined = np.hypot(spread, bulk * error)
        assert combined < 0.5  # GPa
        claim("B-npt-equation-of-state", abs(found - asked) / combined)
        inside, noise = mean_and_error(pressure_of(records("npt", asked)))
        assert abs(inside - asked) < 4 * noise + 0.05


def test_barostats_agree(claim):
    one, other = (mean_and_error(records(kind).volume) for kind in ("npt", "langevin-npt"))
    combined = np.hypot(one[1], other[1])
    assert combined / one[0] < 0.005
    claim("B-npt-agreement", abs(one[0] - other[0]) / combined)


@pytest.mark.parametrize("kind", ["langevin", "nose-hoover"])
def test_kinetic_energy_is_chi_squared(kind, claim):
    freedom = 3 * 40 - 3
    thinned = records(kind, cell_of=0.0).temperature[::5] / KELVIN * freedom  # 100 fs apart
    claim("B-nvt-kinetic-distribution", scipy.stats.kstest(thinned, scipy.stats.chi2(freedom).cdf).pvalue)


def test_field_shifts_the_dipole_as_fluctuations_predict(claim):
    """⟨M⟩_E - ⟨M⟩_-E = 2 E (β var M + α), the fluctuation-dissipation theorem."""
    enthalpy, params, state = lead_titanate()
    rest = records("langevin", cell_of=0.0).dipole[:, 2]
    plus, minus = (mean_and_error(records("langevin", field=sign * FIELD, cell_of=0.0).dipole[:, 2]) for sign in (1, -1))
    variance, error = mean_and_error((rest - rest.mean()) ** 2)
    electronic = -float(jax.hessian(lambda e: enthalpy(params, state, jnp.zeros((3, 3), e.dtype), e))(jnp.zeros(3, jnp.float32))[2, 2])
    beta = 1 / (BOLTZMANN * KELVIN)
    predicted, found = 2 * FIELD * (beta * variance + electronic), plus[0] - minus[0]
    combined = np.hypot(2 * FIELD * beta * error, np.hypot(plus[1], minus[1]))
    assert combined < 0.3 * predicted
    claim("B-field-chi", abs(found - predicted) / combined)
