"""State to and from ASE, and the refusal of bad structures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from toy_model import rattled_triclinic

from ferrojax.errors import FerrojaxError
from ferrojax.state import apply_strain, check_cell, from_ase, to_ase


def test_round_trip_through_ase():
    atoms = rattled_triclinic()
    back = to_ase(from_ase(atoms))
    assert (back.numbers == atoms.numbers).all() and all(back.pbc)
    np.testing.assert_array_equal(back.positions, atoms.positions)
    np.testing.assert_array_equal(back.cell.array, atoms.cell.array)


def test_padding_atoms_are_left_out():
    state = from_ase(rattled_triclinic())
    padded = state.replace(positions=jnp.pad(state.positions, ((0, 3), (0, 0))), numbers=jnp.pad(state.numbers, (0, 3)))
    np.testing.assert_array_equal(to_ase(padded).positions, np.asarray(state.positions))


def test_dtype_and_pytree():
    state = from_ase(rattled_triclinic(), np.float32)
    assert state.positions.dtype == state.cell.dtype == jnp.float32
    doubled = jax.jit(lambda s: s.replace(positions=2 * s.positions))(state)
    np.testing.assert_array_equal(doubled.positions, 2 * state.positions)


def test_strain_matches_ase_cell_scaling():
    atoms = rattled_triclinic()
    strain = np.array([[0.02, 0.01, 0.0], [-0.005, 0.0, 0.03], [0.0, 0.004, -0.01]])
    strained = apply_strain(from_ase(atoms), jnp.asarray(strain))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain).T, scale_atoms=True)
    np.testing.assert_allclose(strained.positions, atoms.positions, atol=1e-13)
    np.testing.assert_allclose(strained.cell, atoms.cell.array, atol=1e-13)


BAD = {
    "no atoms": Atoms(cell=np.eye(3) * 4, pbc=True),
    "pbc": Atoms("O", cell=np.eye(3) * 4, pbc=(True, True, False)),
    "flat": Atoms("O", cell=[[4, 0, 0], [0, 4, 0], [4, 4, 1e-6]], pbc=True),
    "left-handed": Atoms("O", cell=[[0, 4, 0], [4, 0, 0], [0, 0, 4]], pbc=True),
    "position of atom 1": Atoms("O2", positions=[[0, 0, 0], [np.nan, 0, 0]], cell=np.eye(3) * 4, pbc=True),
}


@pytest.mark.parametrize("words", BAD)
def test_bad_structures_are_refused_by_name(words):
    with pytest.raises(FerrojaxError, match=f"frame 7.*{words}"):
        from_ase(BAD[words], name="frame 7")


@pytest.mark.parametrize("cell", [np.eye(2), np.full((3, 3), np.nan)])
def test_malformed_cells_are_refused(cell):
    with pytest.raises(FerrojaxError, match="three finite row vectors"):
        check_cell(cell, 1, "cell.vasp")
