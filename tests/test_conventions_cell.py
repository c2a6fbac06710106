"""Lines of docs/conventions.md on cells, strain and stress."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from toy_enthalpy import ENERGY, ENTHALPY, FIELD, NO_FIELD, PARAMS, STRESS, TOY, crystal, prepared

from ferrojax.data import read_frames
from ferrojax.dynamics import NVE
from ferrojax.dynamics.barostat import external_energy, external_push, stress_tensor
from ferrojax.dynamics.run import run
from ferrojax.dynamics.system import System
from ferrojax.errors import FerrojaxError
from ferrojax.state import apply_strain, from_ase
from ferrojax.topology import edge_vectors, with_topology


def test_cell_rows():
    atoms = crystal()
    state = from_ase(atoms)
    np.testing.assert_allclose(atoms.get_scaled_positions(wrap=False) @ state.cell, state.positions, atol=1e-12)


def test_cell_handed():
    atoms = crystal()
    for cell, word in ((atoms.cell[[1, 0, 2]], "left-handed"), (atoms.cell[[0, 0, 2]], "flat")):
        with pytest.raises(FerrojaxError, match=word):
            from_ase(Atoms("O", cell=cell, pbc=True))


def test_unwrapped():
    atoms = crystal()
    atoms.positions[2] += 7 * atoms.cell[1]
    np.testing.assert_array_equal(from_ase(atoms).positions, atoms.positions)


def test_edge_vectors():
    cell = np.diag([3.0, 9.0, 9.0])
    state = with_topology(from_ase(Atoms("OTi", positions=[[0.2, 0, 0], [1.2, 0, 0]], cell=cell, pbc=True)), 2.5)
    along_x = {round(float(x), 6) for x in np.asarray(edge_vectors(state))[0, np.asarray(state.topology.mask)[0], 0]}
    assert along_x == {1.0, -2.0}  # from O to Ti, and to the Ti one cell to the left


def test_strain():
    strained = apply_strain(from_ase(crystal()), jnp.zeros((3, 3)).at[0, 1].set(0.1))
    atoms = crystal()
    np.testing.assert_allclose(strained.positions[:, 0], atoms.positions[:, 0] + 0.1 * atoms.positions[:, 1], atol=1e-12)
    np.testing.assert_allclose(strained.cell[:, 0], atoms.cell[:, 0] + 0.1 * atoms.cell[:, 1], atol=1e-12)


def test_stress_sign():
    state, step = prepared(), 1e-4
    change = ENERGY(state, step * np.eye(3), NO_FIELD) - ENERGY(state, -step * np.eye(3), NO_FIELD)
    squeezed = crystal()
    squeezed.set_cell(0.9 * squeezed.cell, scale_atoms=True)
    assert np.trace(STRESS(state, NO_FIELD)[2]) == pytest.approx(float(change / (2 * step) / state.volume), rel=1e-5)
    assert np.trace(STRESS(TOY.prepare(squeezed), NO_FIELD)[2]) < 0  # under pressure


def test_voigt(tmp_path):
    atoms = crystal()
    stress = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) * 1e-3
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((8, 3)), stress=stress)
    write(tmp_path / "a.traj", atoms)
    (frame,) = read_frames(tmp_path / "a.traj")
    np.testing.assert_allclose(frame.stress, np.array([[1, 6, 5], [6, 2, 4], [5, 4, 3]]) * 1e-3)


def test_deepmd_virial(tmp_path):
    atoms, virial = crystal(), np.arange(9.0).reshape(3, 3) + np.arange(9.0).reshape(3, 3).T
    (tmp_path / "type_map.raw").write_text("Mg\nF\n")
    (tmp_path / "type.raw").write_text("\n".join("0" if z == 12 else "1" for z in atoms.numbers))
    (tmp_path / "set.000").mkdir()
    arrays = {"coord": atoms.positions, "box": atoms.cell.array, "force": np.zeros((8, 3)), "virial": virial}
    for name, array in arrays.items():
        np.save(tmp_path / "set.000" / f"{name}.npy", array.reshape(1, -1))
    np.save(tmp_path / "set.000" / "energy.npy", np.array([-3.0]))
    (frame,) = read_frames(tmp_path)
    np.testing.assert_allclose(frame.stress, -virial / atoms.get_volume(), atol=1e-12)


def test_external_stress():
    """The push of a pressure compresses; a deviatoric tension along z lengthens; both as energies of the first cell."""
    cell, identity = prepared().cell, jnp.eye(3)
    volume = jnp.linalg.det(cell)
    np.testing.assert_allclose(external_push(cell, cell, stress_tensor(-0.02, cell.dtype)), -0.02 * volume * identity, rtol=1e-12)
    tension = stress_tensor(jnp.array([-0.01, -0.01, 0.02, 0.0, 0.0, 0.0]), cell.dtype)
    longer = cell @ jnp.diag(jnp.array([1.0, 1.0, 1.01]))
    eta = (1.01**2 - 1) / 2
    assert float(external_energy(longer, cell, tension)) == pytest.approx(-0.02 * eta * float(volume), rel=1e-12)
    assert float(stress_tensor(jnp.arange(6.0), cell.dtype)[1, 2]) == 3.0  # yz is the fourth Voigt component


def test_first_cell():
    state = prepared()
    stretched = state.cell @ jnp.diag(jnp.array([1.0, 1.0, 1.02]))
    positions = state.positions @ jnp.diag(jnp.array([1.0, 1.0, 1.02]))
    here = System(ENTHALPY, PARAMS, state, state.cell)
    strain = jnp.diag(jnp.array([0.0, 0.0, 0.02]))
    expected = ENTHALPY(PARAMS, state, strain, FIELD)
    assert float(here.energy(positions, FIELD, stretched)) == pytest.approx(float(expected), abs=1e-12)


def test_recorded_stress():
    state = TOY.prepare(crystal(), skin=1.0)
    record = run(ENTHALPY, PARAMS, state, NVE(dt=0.1), 1, key=jax.random.key(0), temperature=300.0, every=1)
    motion = record.progress.motion
    virial = STRESS(record.state, NO_FIELD)[2]
    kinetic = -motion.momentum.T @ (motion.momentum / motion.mass) / record.state.volume
    np.testing.assert_allclose(record.records.stress[0][:3], jnp.diag(virial + kinetic), atol=1e-12)
    assert float(jnp.trace(kinetic)) < 0
