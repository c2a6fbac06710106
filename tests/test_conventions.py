"""One test for every line of docs/conventions.md, found by the name of the line."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.constants as codata
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from random_model import polar_perovskite, random_model
from scipy.special import erf
from toy_model import ToyModel, rattled_triclinic

from ferrojax import units
from ferrojax.data import read_frames, reference_energy
from ferrojax.data.frame import Frame
from ferrojax.dynamics import NVE
from ferrojax.dynamics.barostat import external_energy, external_push, stress_tensor
from ferrojax.dynamics.run import run
from ferrojax.dynamics.system import System
from ferrojax.electrostatics.boundary import Boundary
from ferrojax.electrostatics.ewald import ewald_energy
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.potential import preset
from ferrojax.response import first
from ferrojax.state import apply_strain, from_ase
from ferrojax.topology import edge_vectors, reciprocal_box, with_topology
from ferrojax.training.evaluate import evaluate

PAGE = Path(__file__).parent.parent / "docs" / "conventions.md"
LINES = [name for name in re.findall(r"^\| ([a-z-]+) \|", PAGE.read_text(encoding="utf-8"), re.M) if name != "name"]
FIELD = jnp.array([0.02, -0.01, 0.03])
NO_FIELD, NO_STRAIN = jnp.zeros(3), jnp.zeros((3, 3))
TESTS: dict[str, Callable] = {}


def line(test: Callable) -> Callable:
    """Register a function as the test of the line of that name."""
    TESTS[test.__name__.removesuffix("_line").replace("_", "-")] = test
    return test


def test_every_line_has_its_test_and_every_test_its_line():
    assert len(LINES) == len(set(LINES)) > 20
    assert set(TESTS) == set(LINES)


@pytest.mark.parametrize("name", LINES)
def test_line(name, tmp_path):
    test = TESTS[name]
    test(*([tmp_path] if "folder" in test.__annotations__ else []))


NETWORK, WEIGHTS = random_model("fast")
# The enthalpy defines most lines, whatever the model: a small one compiles faster.
TOY = ToyModel()
PARAMS = TOY.params
ENTHALPY = make_enthalpy(TOY)
ENERGY = jax.jit(partial(ENTHALPY, PARAMS))
STRESS = jax.jit(partial(first.energy_forces_stress, ENTHALPY, PARAMS))
BORN = jax.jit(partial(first.born_charges, ENTHALPY, PARAMS))
MOMENT = jax.jit(partial(first.dipole_moment, ENTHALPY, PARAMS))


def crystal(position: int | None = None, shift: int = 0) -> Atoms:
    """A rattled triclinic crystal; one atom moved by whole vectors of the third lattice vector."""
    atoms = rattled_triclinic()
    if position is not None:
        atoms.positions[position] += shift * atoms.cell[2]
    return atoms


def prepared(**moved: int):
    return TOY.prepare(crystal(**moved))


def padded(model, state):
    """The state with two padding atoms."""
    positions, numbers = jnp.pad(state.positions, ((0, 2), (0, 0))), jnp.pad(state.numbers, (0, 2))
    bare = state.replace(positions=positions, numbers=numbers, topology=None)
    k_cutoff = state.topology.k_cutoff
    return with_topology(bare, model.config.cutoff, k_cutoff=k_cutoff)


@line
def units_line():
    assert pytest.approx(codata.e / (4 * np.pi * codata.epsilon_0) * 1e10, rel=1e-8) == units.COULOMB
    assert pytest.approx(codata.epsilon_0 / codata.e * 1e-10, rel=1e-8) == units.EPSILON_0
    assert pytest.approx(codata.k / codata.e, rel=1e-8) == units.BOLTZMANN
    assert pytest.approx(1e9 / codata.e * 1e-30, rel=1e-8) == units.GPA
    assert pytest.approx(ase.units.fs, rel=1e-7) == units.FEMTOSECOND


@line
def polarization_unit():
    assert pytest.approx(codata.e * 1e20, rel=1e-10) == units.E_PER_A2


@line
def cell_rows():
    atoms = crystal()
    state = from_ase(atoms)
    np.testing.assert_allclose(atoms.get_scaled_positions(wrap=False) @ state.cell, state.positions, atol=1e-12)


@line
def cell_handed():
    atoms = crystal()
    for cell, word in ((atoms.cell[[1, 0, 2]], "left-handed"), (atoms.cell[[0, 0, 2]], "flat")):
        with pytest.raises(FerrojaxError, match=word):
            from_ase(Atoms("O", cell=cell, pbc=True))


@line
def unwrapped():
    atoms = crystal()
    atoms.positions[2] += 7 * atoms.cell[1]
    np.testing.assert_array_equal(from_ase(atoms).positions, atoms.positions)


@line
def edge_vectors_line():
    cell = np.diag([3.0, 9.0, 9.0])
    state = with_topology(from_ase(Atoms("OTi", positions=[[0.2, 0, 0], [1.2, 0, 0]], cell=cell, pbc=True)), 2.5)
    along_x = {round(float(x), 6) for x in np.asarray(edge_vectors(state))[0, np.asarray(state.topology.mask)[0], 0]}
    assert along_x == {1.0, -2.0}  # from O to Ti, and to the Ti one cell to the left


@line
def strain():
    strained = apply_strain(from_ase(crystal()), jnp.zeros((3, 3)).at[0, 1].set(0.1))
    atoms = crystal()
    np.testing.assert_allclose(strained.positions[:, 0], atoms.positions[:, 0] + 0.1 * atoms.positions[:, 1], atol=1e-12)
    np.testing.assert_allclose(strained.cell[:, 0], atoms.cell[:, 0] + 0.1 * atoms.cell[:, 1], atol=1e-12)


@line
def stress_sign():
    state, step = prepared(), 1e-4
    change = ENERGY(state, step * np.eye(3), NO_FIELD) - ENERGY(state, -step * np.eye(3), NO_FIELD)
    squeezed = crystal()
    squeezed.set_cell(0.9 * squeezed.cell, scale_atoms=True)
    assert np.trace(STRESS(state, NO_FIELD)[2]) == pytest.approx(float(change / (2 * step) / state.volume), rel=1e-5)
    assert np.trace(STRESS(TOY.prepare(squeezed), NO_FIELD)[2]) < 0  # under pressure


@line
def voigt(folder: Path):
    atoms = crystal()
    stress = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) * 1e-3
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((8, 3)), stress=stress)
    write(folder / "a.traj", atoms)
    (frame,) = read_frames(folder / "a.traj")
    np.testing.assert_allclose(frame.stress, np.array([[1, 6, 5], [6, 2, 4], [5, 4, 3]]) * 1e-3)


@line
def deepmd_virial(folder: Path):
    atoms, virial = crystal(), np.arange(9.0).reshape(3, 3) + np.arange(9.0).reshape(3, 3).T
    (folder / "type_map.raw").write_text("Mg\nF\n")
    (folder / "type.raw").write_text("\n".join("0" if z == 12 else "1" for z in atoms.numbers))
    (folder / "set.000").mkdir()
    arrays = {"coord": atoms.positions, "box": atoms.cell.array, "force": np.zeros((8, 3)), "virial": virial}
    for name, array in arrays.items():
        np.save(folder / "set.000" / f"{name}.npy", array.reshape(1, -1))
    np.save(folder / "set.000" / "energy.npy", np.array([-3.0]))
    (frame,) = read_frames(folder)
    np.testing.assert_allclose(frame.stress, -virial / atoms.get_volume(), atol=1e-12)


@line
def field_sign():
    state, small = prepared(), 1e-5 * FIELD
    # The polarizability depends on the positions too, but only in second order of the field.
    push = (STRESS(state, small)[1] - STRESS(state, -small)[1]) / 2
    np.testing.assert_allclose(push, np.einsum("iab,a->ib", BORN(state, NO_FIELD), small), atol=1e-11)
    lone = TOY.prepare(Atoms("Mg", cell=9 * np.eye(3), pbc=True))  # charge +1, no neighbours
    np.testing.assert_allclose(STRESS(lone, FIELD)[1][0], FIELD, atol=1e-12)


@line
def reduced_field():
    state, moved = prepared(), prepared(position=0, shift=2)
    assert np.abs(MOMENT(moved, NO_FIELD) - MOMENT(state, NO_FIELD)).max() > 1
    np.testing.assert_allclose(STRESS(moved, FIELD)[2], STRESS(state, FIELD)[2], atol=1e-12)
    assert np.abs(STRESS(state, FIELD)[2] - STRESS(state, NO_FIELD)[2]).max() > 1e-6


@line
def polarization():
    state = prepared()
    bonds = jnp.einsum("im,imx->x", TOY.terms(PARAMS, state).flow, edge_vectors(state))
    expected = (TOY.formal_charges(state) @ state.positions + bonds) / state.volume
    compiled = jax.jit(partial(first.polarization, ENTHALPY, PARAMS))
    np.testing.assert_allclose(compiled(state, NO_FIELD), expected, atol=1e-13)


@line
def quantum():
    state = prepared()
    jump = MOMENT(prepared(position=0, shift=1), NO_FIELD) - MOMENT(state, NO_FIELD)  # Mg, formal charge +1
    np.testing.assert_allclose(jump / state.volume, first.polarization_quantum(state.cell)[2], atol=1e-12)


@line
def minimum_image():
    cell = jnp.asarray(crystal().cell.array)
    short = jnp.array([0.3, -0.2, 0.4])
    np.testing.assert_allclose(first.minimum_image_dipole(short + 3 * cell[0] - 2 * cell[2], cell), short, atol=1e-12)


@line
def born_index():
    state, step = prepared(), 1e-4
    born = np.asarray(BORN(state, NO_FIELD))
    plus, minus = (MOMENT(state.replace(positions=state.positions.at[1, 2].add(s)), NO_FIELD) for s in (step, -step))
    np.testing.assert_allclose(born[1, :, 2], (plus - minus) / (2 * step), atol=1e-6)
    assert np.abs(born[1] - born[1].T).max() > 1e-3  # else the order of the indices would not show


@line
def charge_flow():
    state = NETWORK.prepare(polar_perovskite(), dtype=np.float64)
    terms = jax.jit(NETWORK.terms)(WEIGHTS, state)
    charges = np.asarray(NETWORK.formal_charges(state)).copy()
    for i, row in enumerate(np.asarray(terms.flow)):
        for j, g in zip(np.asarray(state.topology.neighbors)[i], row):
            charges[i] -= g
            charges[j] += g
    np.testing.assert_allclose(terms.charges, charges, atol=1e-12)
    assert np.abs(charges - np.asarray(NETWORK.formal_charges(state))).max() > 1e-3


@line
def formal_charges():
    with pytest.raises(FerrojaxError, match="integers"):
        preset("fast", ("Pb",), (1.5,))
    state = padded(NETWORK, NETWORK.prepare(polar_perovskite(), dtype=np.float64))
    np.testing.assert_array_equal(NETWORK.formal_charges(state), [2, 4, -2, -2, -2, 0, 0])


@line
def chi_inf():
    state = prepared()
    chi = jax.jit(partial(first.chi_inf, ENTHALPY, PARAMS))(state, NO_FIELD)
    np.testing.assert_allclose(chi, TOY.terms(PARAMS, state).polarizability / (state.volume * units.EPSILON_0), atol=1e-12)


@line
def polarizability_unit():
    state = prepared()
    induced = MOMENT(state, FIELD) - MOMENT(state, NO_FIELD)
    np.testing.assert_allclose(induced, TOY.terms(PARAMS, state).polarizability @ FIELD, atol=1e-12)


@line
def screening():
    state = prepared()
    charges = TOY.terms(PARAMS, state).charges
    bare = ewald_energy(charges, state.positions, state.cell, state.topology.kgrid, TOY.config.smearing)
    energies = [make_enthalpy(ToyModel(eps_inf=eps))(PARAMS, state, NO_STRAIN, NO_FIELD) for eps in (1.0, 5.0)]
    assert float(energies[0] - energies[1]) == pytest.approx(float(bare) * (1 - 1 / 5.0), rel=1e-9)


@line
def smearing():
    side, sigma, r = 30.0, 0.9, 2.0
    cell, positions = side * np.eye(3), np.array([[0.0, 0, 0], [r, 0, 0]])
    kgrid = reciprocal_box(cell, 4.5 / sigma)
    energy = ewald_energy(jnp.array([1.0, -1.0]), jnp.asarray(positions), jnp.asarray(cell), kgrid, sigma)
    isolated = units.COULOMB * (1 / (sigma * np.sqrt(np.pi)) - erf(r / (2 * sigma)) / r)
    images = -2 * np.pi * units.COULOMB * r**2 / (3 * side**3)  # a tin-foil cubic lattice of dipoles; octupoles give 3e-5 more
    assert float(energy) == pytest.approx(isolated + images, abs=1e-4)


@line
def tin_foil():
    # A vacuum boundary would add k_e (2π/3V) M², which jumps when an ion moves by a lattice vector.
    jump = ENERGY(prepared(position=0, shift=1), NO_STRAIN, NO_FIELD) - ENERGY(prepared(), NO_STRAIN, NO_FIELD)
    assert float(jump) == pytest.approx(0, abs=1e-9)


@line
def displacement():
    state = prepared()
    origin = np.asarray(MOMENT(state, NO_FIELD)) - [0, 0, 0.8]  # so that P_z V = 0.8 e Å
    outside = jnp.array([0.0, 0.0, 0.1])  # D/ε0, V/Å
    enthalpy = make_enthalpy(TOY, Boundary(("E", "E", "D"), tuple(origin)))
    forces = jax.jit(partial(first.forces, enthalpy, PARAMS))(state, outside)
    inside = (outside[2] - 0.8 / (state.volume * units.EPSILON_0)) / TOY.config.eps_inf
    expected = STRESS(state, NO_FIELD)[1] + inside * BORN(state, NO_FIELD)[:, 2]
    np.testing.assert_allclose(forces, expected, atol=1e-9)


@line
def reference_energies():
    state = NETWORK.prepare(polar_perovskite(), dtype=np.float64)
    enthalpy = float(jax.jit(make_enthalpy(NETWORK))(WEIGHTS, state, NO_STRAIN, NO_FIELD))
    table = {"made up": {"Pb": -103.0, "Ti": -207.0, "O": -404.5}}
    frame = Frame(polar_perovskite(), energy=enthalpy - 103.0 - 207.0 - 3 * 404.5, dataset="made up")
    assert enthalpy + reference_energy(frame, table) == pytest.approx(frame.energy, abs=1e-9)
    errors = evaluate(NETWORK, WEIGHTS, {"reference_energies": table}, [frame], dtype=np.float64)
    assert errors["energy"]["rmse"] == pytest.approx(0, abs=1e-6)  # meV/atom


@line
def external_stress():
    """The push of a pressure compresses; a deviatoric tension along z lengthens; both as energies of the first cell."""
    cell, identity = prepared().cell, jnp.eye(3)
    volume = jnp.linalg.det(cell)
    np.testing.assert_allclose(external_push(cell, cell, stress_tensor(-0.02, cell.dtype)), -0.02 * volume * identity, rtol=1e-12)
    tension = stress_tensor(jnp.array([-0.01, -0.01, 0.02, 0.0, 0.0, 0.0]), cell.dtype)
    longer = cell @ jnp.diag(jnp.array([1.0, 1.0, 1.01]))
    eta = (1.01**2 - 1) / 2
    assert float(external_energy(longer, cell, tension)) == pytest.approx(-0.02 * eta * float(volume), rel=1e-12)
    assert float(stress_tensor(jnp.arange(6.0), cell.dtype)[1, 2]) == 3.0  # yz is the fourth Voigt component


@line
def first_cell():
    state = prepared()
    stretched = state.cell @ jnp.diag(jnp.array([1.0, 1.0, 1.02]))
    positions = state.positions @ jnp.diag(jnp.array([1.0, 1.0, 1.02]))
    here = System(ENTHALPY, PARAMS, state, state.cell)
    strain = jnp.diag(jnp.array([0.0, 0.0, 0.02]))
    expected = ENTHALPY(PARAMS, state, strain, FIELD)
    assert float(here.energy(positions, FIELD, stretched)) == pytest.approx(float(expected), abs=1e-12)


@line
def recorded_stress():
    state = TOY.prepare(crystal(), skin=1.0)
    record = run(ENTHALPY, PARAMS, state, NVE(dt=0.1), 1, key=jax.random.key(0), temperature=300.0, every=1)
    motion = record.progress.motion
    virial = STRESS(record.state, NO_FIELD)[2]
    kinetic = -motion.momentum.T @ (motion.momentum / motion.mass) / record.state.volume
    np.testing.assert_allclose(record.records.stress[0][:3], jnp.diag(virial + kinetic), atol=1e-12)
    assert float(jnp.trace(kinetic)) < 0


@line
def padding():
    state = prepared()
    for bare, filled in zip(STRESS(state, FIELD), STRESS(padded(TOY, state), FIELD)):
        np.testing.assert_allclose(filled, jnp.pad(bare, ((0, 2), (0, 0))) if bare.shape == (8, 3) else bare, atol=1e-10)
    network = NETWORK.prepare(polar_perovskite(), dtype=np.float64)
    terms = jax.jit(NETWORK.terms)
    bare, filled = terms(WEIGHTS, network), terms(WEIGHTS, padded(NETWORK, network))
    assert float(filled.short_range) == pytest.approx(float(bare.short_range), abs=1e-10)
    np.testing.assert_allclose(filled.charges, jnp.pad(bare.charges, (0, 2)), atol=1e-10)


@line
def precision():
    for dtype in (np.float32, np.float64):
        state = NETWORK.prepare(polar_perovskite(), dtype=dtype)
        energy = jax.eval_shape(make_enthalpy(NETWORK), WEIGHTS, state, jnp.zeros((3, 3), dtype), jnp.zeros(3, dtype))
        assert energy.dtype == dtype
