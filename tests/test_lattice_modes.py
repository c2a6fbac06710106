"""Modes of the effective Hamiltonian out of the frames of its trajectories."""

import numpy as np
import pytest

from ferrojax import effective
from ferrojax import ferroelectrics as fe
from ferrojax.errors import FerrojaxError
from ferrojax.units import E_PER_A2


def test_modes_of_a_lattice_frame():
    params = effective.load_parameters("batio3-wc")
    modes = np.random.default_rng(0).normal(0, 0.2, (3, 2, 4, 3))
    state = effective.LatticeState(modes, tilts=modes[::-1], cell=np.diag([3.0, 2.0, 4.0]) * float(params.a0), mass=np.ones(3))
    atoms = state.to_ase()
    frame = fe.Snapshot(atoms.positions + np.asarray(state.coordinates), 1.01 * atoms.cell.array, atoms.numbers, 0)
    np.testing.assert_allclose(fe.lattice_modes(frame, params), modes, atol=1e-12)
    expected = modes.sum((0, 1, 2)) * float(params.charge) / (24 * float(params.a0) ** 3) * E_PER_A2
    np.testing.assert_allclose(fe.lattice_polarization(modes, params).mean((0, 1, 2)), expected, rtol=1e-12)
    with pytest.raises(FerrojaxError, match="50 rows .* are no lattice"):
        fe.lattice_modes(fe.Snapshot(np.zeros((50, 3)), atoms.cell.array, np.zeros(50, int), 0), params)
    with pytest.raises(FerrojaxError, match="no lattice of"):
        fe.lattice_modes(fe.Snapshot(atoms.positions, atoms.cell.array, np.ones(48, int), 0), params)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_modes_of_a_lattice_stretched_by_more_than_half_a_cell(rows):
    """Sixteen cells of PbTiO3 6 % longer than at zero strain are as long as seventeen."""
    params = effective.load_parameters("pbtio3-lda")
    modes = np.random.default_rng(0).normal(0, 0.2, (2, 2, 16, 3))
    more = {"acoustic": modes[::-1] + 5.0, "tilts": modes[:, ::-1]}
    kinds = dict(list(more.items())[: rows - 1])
    state = effective.LatticeState(modes, cell=np.diag([2.0, 2.0, 16.0]) * float(params.a0), mass=np.ones(3), **kinds)
    atoms = state.to_ase()
    frame = fe.Snapshot(atoms.positions + np.asarray(state.coordinates), atoms.cell.array * [0.99, 0.99, 1.06], atoms.numbers, 0)
    np.testing.assert_allclose(fe.lattice_modes(frame, params), modes, atol=1e-12)
    with pytest.raises(FerrojaxError, match=r"64 rows in a box of .* give the run's parameters"):
        fe.lattice_modes(fe.Snapshot(1.4 * atoms.positions[:64], atoms.cell.array, atoms.numbers[:64], 0), params)
