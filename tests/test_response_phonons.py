"""Phonons: rigid ions by the literature, a trained potential by phonopy's finite displacements, derivatives by structures relaxed anew."""

import functools
import json

import jax.numpy as jnp
import numpy as np
import phonopy
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.io import write
from lead_titanate import MODEL, lead_titanate_cell
from phonopy.structure.atoms import PhonopyAtoms
from test_response_flexo import CHLORINE, ROCKSALT, SODIUM, rocksalt
from toy_model import ToyModel

from ferrojax import cli
from ferrojax.calculator import FerrojaxCalculator
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.response.dispersion import bands, density_of_states, symmetry_lines
from ferrojax.response.phonons import Phonons
from ferrojax.response.phonopy_files import displaced_along, force_constants, save_phonopy

GAMMA = np.zeros((1, 3))


@functools.cache
def zincblende():
    """A stable crystal of the toy model in a field, at rest."""
    model = ToyModel()
    model.params |= {"repulsion": 1.0, "well": 4.0}
    field = np.array([0.0, 0.1, 0.05])
    state = model.prepare(bulk("MgF", "zincblende", a=5.0), skin=0.5)
    return model, relax(make_enthalpy(model), model.params, state, field, cell=False, force_tolerance=1e-9).state, field


def test_rocksalt_with_and_without_the_field_of_the_wave(claim):
    """PHYSICS.md 2.4 and 4.4: 5.1601 and 9.9766 THz; the direction does not matter in a cubic crystal."""
    phonons = Phonons(ROCKSALT, ROCKSALT.params, ROCKSALT.prepare(rocksalt(5.582567)), masses=[SODIUM, CHLORINE])
    waves = np.zeros((3, 3))
    optical = phonons.frequencies(waves, np.array([[0, 0, 0], [1, 0, 0], [0.3, -0.5, 0.2]]))
    np.testing.assert_allclose(optical[:, :3], 0, atol=1e-5)
    np.testing.assert_allclose(optical[:, 3:], [[5.1601] * 3, *[[5.1601, 5.1601, 9.9766]] * 2], atol=1e-4)
    claim("D-nacl-lo", abs(optical[1, 5] - 9.9766))
    near = phonons.frequencies([[1e-4, 0, 1e-4]])
    assert near[0, -1] == pytest.approx(9.9766, abs=1e-3)  # and the limit is reached


def test_waves_of_the_next_zones_are_the_same():
    """Same frequencies, and eigenvectors turned by exp(iG·r)."""
    model, state, field = zincblende()
    phonons = Phonons(model, model.params, state, field)
    q, shift = np.array([0.2, -0.35, 0.1]), np.array([1, -2, 0])
    one, other = phonons.force_constants(q), phonons.force_constants(q + shift)
    places = state.to_ase().get_scaled_positions(wrap=False)
    turn = np.exp(2j * np.pi * places @ shift)
    np.testing.assert_allclose(other, one * turn.conj()[:, None, None, None] * turn[:, None], atol=1e-10)
    np.testing.assert_allclose(phonons.frequencies(q[None]), phonons.frequencies(-q[None]), atol=1e-8)


def central(values):
    """Slope by fourth-order differences."""
    return (8 * (values(1) - values(-1)) - values(2) + values(-2)) / 12


@pytest.mark.slow
def test_derivatives_of_frequencies():
    """By strain and field, the atoms following, against phonons of structures relaxed anew."""
    model, state, field = zincblende()
    wave, enthalpy = [0.21, -0.34, 0.1], make_enthalpy(model)
    phonons = Phonons(model, model.params, state, field)
    by_strain, by_field = phonons.derivatives(wave)
    assert phonons.gruneisen(wave).shape == (6, 6)

    def squares(strain, shift):
        atoms = state.to_ase()
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        inside = np.linalg.solve(np.eye(3) + strain, field + shift)
        rest = relax(enthalpy, model.params, model.prepare(atoms, skin=0.5), inside, cell=False, force_tolerance=1e-9).state
        values = Phonons(model, model.params, rest, inside).frequencies([wave])[0]
        return np.sign(values) * values**2

    h = 1e-3
    for column, (a, b) in ((0, (0, 0)), (3, (1, 2))):
        strain = np.zeros((3, 3))
        strain[a, b] = strain[b, a] = h if a == b else h / 2
        slope = central(lambda k, strain=strain: squares(k * strain, 0)) / h
        np.testing.assert_allclose(by_strain[:, column], slope, atol=1e-6 * np.abs(by_strain).max())
    shift = np.array([0.0, 0.0, h])
    slope = central(lambda k: squares(np.zeros((3, 3)), k * shift)) / h
    np.testing.assert_allclose(by_field[:, 2], slope, atol=1e-6 * np.abs(by_field).max())


def test_displaced_along_a_mode_the_energy_rises_as_its_frequency_says():
    """½ Σ m (2πν u)² of a wave at the zone boundary, from the energy of the supercell."""
    model, state, _ = zincblende()
    state = model.prepare(bulk("MgF", "zincblende", a=5.0))
    phonons = Phonons(model, model.params, state)
    frequencies = phonons.frequencies([[0.5, 0, 0]])[0]
    for mode in (0, 4):
        moved, still = (displaced_along(phonons, [0.5, 0, 0], mode, amplitude) for amplitude in (2e-3, 0.0))
        energies = [float(make_enthalpy(model)(model.params, model.prepare(x), jnp.zeros((3, 3)), jnp.zeros(3))) for x in (moved, still)]
        inertia = np.sum(moved.get_masses()[:, None] * (moved.positions - still.positions) ** 2)
        assert energies[0] - energies[1] == pytest.approx(0.5 * inertia * (frequencies[mode] / 15.633304) ** 2, rel=1e-4)
    with pytest.raises(FerrojaxError, match="fits into no supercell"):
        displaced_along(phonons, [0.1234, 0, 0])
    with pytest.raises(FerrojaxError, match="no mode 6"):
        displaced_along(phonons, [0.5, 0, 0], 6)


def test_bands_and_density_of_states(tmp_path):
    """seekpath's lines, files that others open, and as many states as modes."""
    model, _, _ = zincblende()
    phonons = Phonons(model, model.params, model.prepare(bulk("MgF", "zincblende", a=5.0)))
    assert [line[0][0] for line in symmetry_lines(phonons)][0] == "Γ"
    found = bands(phonons, [[("X", (0.5, 0, 0.5)), ("Γ", (0, 0, 0)), ("L", (0.5, 0.5, 0.5))]], points=9)
    assert found.frequencies.shape == (2, 9, 6) and found.labels == [("X", "Γ"), ("Γ", "L")]
    at_gamma = found.frequencies[0, -1]
    assert at_gamma[5] > at_gamma[4] + 0.1 and at_gamma[4] == pytest.approx(at_gamma[3], abs=1e-6)  # LO above TO
    states = density_of_states(phonons, (4, 4, 4))
    assert np.trapezoid(states.density, states.frequency) == pytest.approx(6, rel=1e-3)
    found.plot(tmp_path / "bands.png", states)
    found.save(tmp_path / "band.yaml")
    found.save(tmp_path / "bands.csv")
    states.save(tmp_path / "total_dos.dat")
    read = yaml.safe_load((tmp_path / "band.yaml").read_text())
    assert read["nqpoint"] == 18 and read["phonon"][3]["band"][1]["frequency"] == found.frequencies[0, 3, 1]
    assert np.loadtxt(tmp_path / "total_dos.dat").shape == (600, 2)
    assert (tmp_path / "bands.png").stat().st_size > 10_000


@pytest.mark.slow
def test_phonopy_opens_our_files(tmp_path):
    """Its frequencies from POSCAR, FORCE_CONSTANTS and BORN are ours at waves of the supercell, and at Γ along any direction."""
    model, _, _ = zincblende()
    phonons = Phonons(model, model.params, model.prepare(bulk("MgF", "zincblende", a=5.0)))
    save_phonopy(phonons, tmp_path, (2, 2, 3))
    theirs = phonopy.load(
        unitcell_filename=tmp_path / "POSCAR", supercell_matrix=(2, 2, 3), primitive_matrix=np.eye(3), is_compact_fc=False,
        force_constants_filename=tmp_path / "FORCE_CONSTANTS", born_filename=tmp_path / "BORN", symmetrize_fc=False,
    )  # fmt: skip
    waves = np.array([[0.5, 0, 0], [0, 0.5, 1 / 3], [0.5, 0.5, 0], [0, 0, 1 / 3]])
    theirs.run_qpoints(waves)
    np.testing.assert_allclose(theirs.qpoints.frequencies, phonons.frequencies(waves), atol=1e-3)
    theirs.run_qpoints(GAMMA, nac_q_direction=[1, 0, 0])
    direction = 2 * np.pi * np.linalg.inv(np.asarray(phonons.state.cell))[:, 0]
    ours = phonons.frequencies(GAMMA, direction[None])
    np.testing.assert_allclose(theirs.qpoints.frequencies[:, 3:], ours[:, 3:], atol=1e-3)
    constants = force_constants(phonons, (2, 2, 2))
    np.testing.assert_allclose(constants.sum((0, 1, 2, 4)), 0, atol=1e-9)  # acoustic sum rule


@pytest.mark.slow
def test_trained_potential_against_finite_displacements(claim):
    """phonopy displaces atoms by 0.01 Å in 2 x 2 x 2 cells; its frequencies at the waves of that supercell, off Γ."""
    model, params, info, state = lead_titanate_cell()
    atoms = state.to_ase()
    cell = PhonopyAtoms(symbols=atoms.get_chemical_symbols(), cell=atoms.cell.array, scaled_positions=atoms.get_scaled_positions())
    theirs = phonopy.Phonopy(cell, supercell_matrix=np.diag([2, 2, 2]), primitive_matrix=np.eye(3))
    theirs.generate_displacements(distance=0.01)
    calculator = FerrojaxCalculator(model, params, info, dtype=np.float64)
    forces = []
    for displaced in theirs.supercells_with_displacements:
        long = Atoms(displaced.symbols, cell=displaced.cell, scaled_positions=displaced.scaled_positions, pbc=True)
        long.calc = calculator
        forces.append(long.get_forces())
    theirs.forces = forces
    theirs.produce_force_constants()
    waves = np.array([[0.5, 0, 0], [0, 0, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0.5, 0.5, 0.5]])
    theirs.run_qpoints(waves)
    ours = Phonons(model, params, state).frequencies(waves)
    claim("D-phonons-phonopy", np.abs(theirs.qpoints.frequencies - ours).max())


@pytest.mark.slow
def test_commands(tmp_path, monkeypatch, capsys):
    """From a relaxed structure to files; a structure that is not at rest is refused."""
    _, _, _, state = lead_titanate_cell()
    atoms = state.to_ase()
    monkeypatch.chdir(tmp_path)
    write("relaxed.xyz", atoms)
    atoms.positions[1, 2] += 0.05
    write("pushed.xyz", atoms)
    phonons = ["phonons", "relaxed.xyz", "--model", str(MODEL), "--points", "5", "--mesh", "2", "2", "2", "--supercell", "1", "1", "2"]
    assert cli.main([*phonons, "--out", "out"]) == 0
    assert "no unstable mode" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"bands.png", "band.yaml", "bands.csv", "total_dos.dat", "phonopy"}
    assert cli.main(["flexo", "relaxed.xyz", "--model", str(MODEL), "--json", "flexo.json"]) == 0
    assert np.array(json.loads((tmp_path / "flexo.json").read_text())["total"]).shape == (3, 3, 3, 3)
    assert cli.main(["flexo", "pushed.xyz", "--model", str(MODEL)]) == 2
    assert "not at rest" in capsys.readouterr().err


def test_refusals():
    model, state, _ = zincblende()
    with pytest.raises(FerrojaxError, match="not at rest"):
        Phonons(model, model.params, state)  # relaxed in a field
    with pytest.raises(FerrojaxError, match="float64"):
        Phonons(model, model.params, model.prepare(bulk("MgF", "zincblende", a=5.0), np.float32))
    phonons = Phonons(model, model.params, model.prepare(bulk("MgF", "zincblende", a=5.0)))
    with pytest.raises(FerrojaxError, match="no frequency"):
        phonons.gruneisen([0, 0, 0])
