"""Bent films: supercells held in a sine shape, the long-wave tensor, and cells of any height for the same film."""

import functools

import numpy as np
import pytest
from ase import Atoms
from toy_model import ToyModel
from wave_dipole import hessian_of, wave_dipole

from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.response.bending import film_bending
from ferrojax.response.flexo import flexo_tensors
from ferrojax.units import E_PER_A

MODEL = ToyModel()
MODEL.params |= {"repulsion": 1.0, "well": 4.0}
IN_PLANE = np.diag([1.0, 1.0, 0.0])


def rocksalt_film(layers, height, shift=0.0):
    """Squares of MgF on one another, cations over anions."""
    a, corner = 3.3, [0.0, 1.65]
    sites = [(corner[(k + n) % 2], corner[(k + n) % 2], 2.3 * n + shift) for n in range(layers) for k in range(2)]
    return Atoms("MgF" * layers, positions=sites, cell=[a, a, height], pbc=True)


@functools.cache
def relaxed(layers, height, shift=0.0):
    state = MODEL.prepare(rocksalt_film(layers, height, shift), skin=1.0)
    found = relax(make_enthalpy(MODEL), MODEL.params, state, cell=IN_PLANE, force_tolerance=1e-8, stress_tolerance=1e-10)
    return found.state


def supercell(state, cells):
    """Moment (e) and rigidity (eV) of the least energy of a supercell whose mean amplitude of u_z is one, from its second derivatives."""
    long, q = state.to_ase().repeat((cells, 1, 1)), 2 * np.pi / (cells * float(state.cell[0, 0]))
    area = float(state.cell[0, 0] * state.cell[1, 1]) * cells
    prepared, hessian = hessian_of(MODEL, MODEL.params, long)
    wave = np.exp(1j * q * long.positions[:, 0])
    held = np.stack([part[:, None] * np.eye(3)[2] for part in (wave.real, wave.imag)]).reshape(2, -1) / len(long)
    whole = np.block([[hessian, held.T], [held, np.zeros((2, 2))]])
    moved = np.linalg.lstsq(whole, np.concatenate([np.zeros(len(hessian)), [0.5, 0.0]]), rcond=1e-10)[0][:-2]
    amplitude = 2 * abs(wave.conj() @ moved.reshape(-1, 3)[:, 2]) / len(long)  # of a real wave
    dipole = wave_dipole(MODEL, MODEL.params, prepared, moved.reshape(-1, 3).astype(complex), np.array([q, 0.0, 0.0]))[2]
    mean = wave.conj() @ moved.reshape(-1, 3)[:, 2] / len(long)
    return (-dipole / (area * q**2 * mean)).real, 0.5 * moved @ hessian @ moved / (area * q**4 * amplitude**2 / 4)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [1, 2])
def test_supercells_held_in_a_sine_shape(claim, layers):
    """At each wave the same moment and rigidity as the supercell of that length; nothing is shared but the potential."""
    state = relaxed(layers, 16.0)
    found = film_bending(MODEL, MODEL.params, state, cells=(6, 8))
    for k, cells in enumerate((6, 8)):
        moment, rigidity = supercell(state, cells)
        assert rigidity == pytest.approx(found.rigidities[k], rel=1e-6)
        claim("D-bent-film", abs(found.moments[k] / moment - 1))


@pytest.mark.slow
def test_limit_is_the_long_wave_tensor_and_weights_drop_out():
    """Without net force the sublattices' shares do not count, and waves of any length tend to the tensor."""
    state = relaxed(2, 16.0)
    by_mass, equal = (flexo_tensors(MODEL, MODEL.params, state, weights=w).type_one[2, 2, 0, 0] for w in ("mass", "equal"))
    assert by_mass == pytest.approx(equal, rel=1e-4)  # the film is free of tension but for the tolerance of its relaxation
    short = film_bending(MODEL, MODEL.params, state, cells=(24, 32, 48)).short
    assert short == pytest.approx(by_mass / E_PER_A * 16.0, rel=1e-3)


@pytest.mark.slow
def test_film_alone_does_not_know_its_cell():
    """Moment and rigidity are of the film: of any height of the cell, of any place in it, along either axis; thicker is stiffer."""
    thin, low = (film_bending(MODEL, MODEL.params, relaxed(n, 16.0)) for n in (1, 2))
    high = film_bending(MODEL, MODEL.params, relaxed(2, 24.0))
    assert high.short != pytest.approx(low.short, rel=0.01)
    assert high.moment == pytest.approx(low.moment, rel=1e-3)  # the polynomial in q² ends at q⁴
    assert high.rigidity == pytest.approx(low.rigidity, rel=1e-4)
    assert 10 * thin.rigidity < low.rigidity
    across = film_bending(MODEL, MODEL.params, relaxed(2, 16.0, shift=14.5), axis=1)
    assert (across.moment, across.rigidity) == pytest.approx((low.moment, low.rigidity), rel=1e-5)


@pytest.mark.slow
def test_refuses_what_is_not_a_free_film():
    state = relaxed(1, 16.0)
    cases = [
        ({"state": MODEL.prepare(rocksalt_film(1, 16.0), skin=1.0)}, "tension of"),
        ({"state": relaxed(2, 16.0).replace(cell=relaxed(2, 16.0).cell * np.array([1.0, 1.0, 0.35]))}, "Å of vacuum"),
        ({"state": state.replace(cell=state.cell.at[2, 0].set(1.0))}, "lie across z"),
        ({"cells": (8,)}, "two or more different"),
        ({"axis": 2}, "axis 2"),
    ]
    for changed, message in cases:
        with pytest.raises(FerrojaxError, match=message):
            film_bending(**{"model": MODEL, "params": MODEL.params, "state": state, **changed})
