"""Response tensors against differences of structures relaxed anew, the numbers of the literature, and identities of thermodynamics."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from lead_titanate import MODEL as TRAINED
from response_differences import differences, errors
from toy_model import ToyModel, rattled_triclinic

from ferrojax import effective
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium import linear, relax, soft_mode
from ferrojax.errors import FerrojaxError
from ferrojax.potential import load
from ferrojax.response.born_file import save_born
from ferrojax.response.invariance import asymmetry, average, full_tensor
from ferrojax.response.tensors import response_tensors
from ferrojax.units import E_PER_A2, EPSILON_0, GPA

FIELD = np.array([0.02, -0.01, 0.03])
ZERO, NO_FIELD = jnp.zeros((3, 3)), jnp.zeros(3)
PEROVSKITE = [(0, 0, 0.094), (0.5, 0.5, 0.556), (0.5, 0.5, 0.978), (0.5, 0, 0.473), (0, 0.5, 0.473)]


@functools.cache
def toy():
    """A triclinic crystal without any symmetry, in a field, in a cell under stress."""
    model = ToyModel()
    enthalpy = make_enthalpy(model)
    start = model.prepare(rattled_triclinic(), skin=1.0)
    found = relax(enthalpy, model.params, start, FIELD, cell=False, force_tolerance=1e-10)
    return enthalpy, model.params, found.state


@functools.cache
def trained():
    """Tetragonal PbTiO3 of five atoms and the trained potential."""
    model, params, _ = load(TRAINED)
    enthalpy = make_enthalpy(model)
    atoms = Atoms("PbTiO3", scaled_positions=PEROVSKITE, cell=[3.874, 3.874, 4.2], pbc=True)
    start = model.prepare(atoms, dtype=np.float64, skin=1.0)
    found = relax(enthalpy, params, start, force_tolerance=1e-10, stress_tolerance=1e-11, symmetric=True)
    return enthalpy, params, found.state


@functools.cache
def tensors(case):
    enthalpy, params, state, *strain = {"toy": toy, "trained": trained, "lattice": lattice}[case]()
    return response_tensors(enthalpy, params, state, *strain, field=FIELD if case == "toy" else None)


@pytest.mark.slow
def test_every_relaxed_tensor_against_states_relaxed_anew():
    """All six, without symmetry, in a field and under stress, where proper and improper, Birch and second derivative all differ."""
    enthalpy, params, state = toy()
    found = errors(tensors("toy"), differences(enthalpy, params, state, FIELD))
    # 1e-9 eV/Å is left of the forces, which over the step in strain is 2e-6 of the strains' effect.
    assert max(found.values()) <= 1e-5, found
    assert np.abs(tensors("toy").birch() - tensors("toy").elastic).max() > 1
    assert np.abs(tensors("toy").improper() - tensors("toy").e).max() > 0.01


@pytest.mark.slow
def test_trained_potential_against_states_relaxed_anew(claim):
    """Relaxed P(E), P(ε) and σ(ε) of tetragonal PbTiO3, each tensor relative to its largest component."""
    enthalpy, params, state = trained()
    found = errors(tensors("trained"), differences(enthalpy, params, state, np.zeros(3)))
    claim("D-response-fd", max(found.values()))
    assert tensors("trained").group == "P4mm (99)" and tensors("trained").asymmetry < 1e-6


# Tetragonal PbTiO3 of the effective Hamiltonian, P along z, as printed: lattice susceptibilities, e (C/m²), C (GPa), d (pC/N).
PRINTED = {
    ("chi", 0, 0): "358.48", ("chi", 2, 2): "12.176", ("chi_free", 0, 0): "774.48", ("chi_free", 2, 2): "33.72",
    ("e", 2, 2): "4.1795", ("e", 2, 0): "0.5013", ("e", 0, 4): "24.466",
    ("elastic", 0, 0): "299.83", ("elastic", 0, 1): "129.91", ("elastic", 0, 2): "112.81", ("elastic", 2, 2): "140.13",
    ("elastic", 3, 3): "162.52", ("elastic", 5, 5): "351.11", ("d", 2, 2): "48.41", ("d", 2, 0): "-11.54", ("d", 0, 4): "150.5",
}  # fmt: skip


@functools.cache
def lattice():
    """One cell of PbTiO3 in its tetragonal well."""
    params = effective.load_parameters("pbtio3-lda")
    found = effective.well(params, (0, 0, 1))
    return effective.make_enthalpy((1, 1, 1)), params, effective.prepare(params, found.state), found.strain


def test_effective_hamiltonian_against_the_printed_numbers(claim):
    """Beyond half a unit of the last digit printed, relative; the electrons' share, which those numbers leave out, taken off."""
    params, found, worst = lattice()[1], tensors("lattice"), 0.0
    for (name, i, j), text in PRINTED.items():
        value = getattr(found, name)[i, j] - (found.chi_clamped[i, j] if name.startswith("chi") else 0.0)
        rounding = 0.5 * 10.0 ** -len(text.split(".")[1])
        worst = max(worst, (abs(value - float(text)) - rounding) / abs(float(text)))
    claim("D-response-heff", max(worst, 0.0))
    np.testing.assert_allclose(found.chi_clamped, (float(params.eps_inf) - 1) * np.eye(3), atol=1e-12)
    assert found.group == "P4mm (99)" and found.asymmetry < 1e-9 and "C/m²" in found.table()


def test_effective_hamiltonian_against_modes_relaxed_anew(claim):
    """Dipole and stress, first derivatives of F, at modes that Newton's method relaxes anew in each strain and field."""
    enthalpy, params, state, strain = lattice()
    found, volume = tensors("lattice"), float(params.a0) ** 3
    slopes = jax.jit(jax.grad(enthalpy, (2, 3)))

    def observed(z):
        held, field = strain + effective.strain_tensor(jnp.asarray(z[:6])), jnp.asarray(z[6:])
        modes = effective.stationary(enthalpy, params, state, held, field, clamp="fixed", tolerance=1e-12).state
        stress, dipole = slopes(params, modes, held, field)
        return np.concatenate([[stress[i, j] for i, j in effective.lattice.VOIGT], -dipole]) / volume

    step = np.array([1e-4] * 6 + [2e-4] * 3)
    columns = []
    for k in range(9):
        unit = np.eye(9)[k] * step
        near, far = (observed(m * unit) - observed(-m * unit) for m in (1, 2))
        columns.append((8 * near - far) / (12 * step[k]))
    relaxed = np.array(columns).T
    pairs = [
        (found.elastic, relaxed[:6, :6] / GPA),
        (found.e, relaxed[6:, :6] * E_PER_A2),
        (found.e, -relaxed[:6, 6:].T * E_PER_A2),
        (found.chi - found.chi_clamped, relaxed[6:, 6:] / EPSILON_0),
    ]
    claim("D-response-heff-fd", max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs))


def test_open_circuit_is_what_depolarization_gives():
    """C^D of the formula against the lattice relaxed in its own depolarizing field, ε∞ of the parameters screening it."""
    enthalpy, params, state, strain = lattice()
    found = tensors("lattice")
    open_circuit = effective.make_enthalpy((1, 1, 1), effective.LatticeBoundary(depolarization=(1.0, 1.0, 1.0)))
    own = jnp.asarray(found.polarization / E_PER_A2 / EPSILON_0 / float(params.eps_inf))  # the outer field that makes the inner one zero
    held = response_tensors(open_circuit, params, state, strain, own)
    np.testing.assert_allclose(held.elastic, found.elastic_open, rtol=1e-6, atol=1e-6)


def test_what_has_no_relaxed_response_is_refused():
    enthalpy, params, state, strain = lattice()
    cubic = effective.prepare(params, effective.uniform_state((1, 1, 1)))
    with pytest.raises(FerrojaxError, match=r"no stable minimum.*-3.82 eV/Å², 3.06i THz, moved by mode 0 100 %"):
        response_tensors(enthalpy, params, cubic)
    with pytest.raises(FerrojaxError, match="not at rest, the largest force is .* on mode 0"):
        response_tensors(enthalpy, params, state.at(state.coordinates * 1.1), strain)
    with pytest.raises(FerrojaxError, match="coordinate 0 is not finite"):
        response_tensors(enthalpy, params, state.at(state.coordinates * np.nan), strain)
    with pytest.raises(FerrojaxError, match=r"field has shape \(2,\); give 3 numbers"):
        response_tensors(enthalpy, params, state, strain, np.zeros(2))
    with pytest.raises(FerrojaxError, match=r"strain has shape \(6,\); give 3 x 3 numbers"):
        response_tensors(enthalpy, params, state, np.zeros(6))
    with pytest.raises(FerrojaxError, match="left-handed"):
        response_tensors(enthalpy, params, state.replace(cell=state.cell[jnp.array([1, 0, 2])]), strain)
    with pytest.raises(FerrojaxError, match="float32; enable x64"):
        response_tensors(enthalpy, params, jax.tree.map(lambda x: x.astype(jnp.float32), state), strain)
    with pytest.raises(FerrojaxError, match=r"breaks the symmetry P4mm \(99\) by .* relax the structure"):
        response_tensors(enthalpy, params, state, strain, symmetry_tolerance=-1.0)


def test_soft_mode_frequency_is_that_of_the_zone_centre():
    """2κ of PHYSICS: the cubic cell's stiffness is twice κ_tot = -1.912265 eV/Å², its mass 100 amu: 15.633302 sqrt(K/m) THz."""
    enthalpy, params, *_ = lattice()
    found = soft_mode(enthalpy, params, effective.prepare(params, effective.uniform_state((1, 1, 1))))
    assert found.stiffness == pytest.approx(2 * -1.912265, rel=1e-6)
    assert found.frequency == pytest.approx(-15.633302 * np.sqrt(2 * 1.912265 / 100), rel=1e-6)


def test_averages_over_a_point_group():
    """Fourfold about z: what is left of a random tensor is invariant, and a quarter turn of a vector leaves only z."""
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    group = np.array([np.linalg.matrix_power(quarter, k) for k in range(4)])
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(average(np.array([1.0, 2, 3]), group), [0, 0, 3], atol=1e-15)
    tensor = rng.normal(size=(3, 3, 3, 3))
    assert asymmetry(tensor, group) > 0.1 and asymmetry(average(tensor, group), group) < 1e-14
    c = rng.normal(size=(6, 6))
    full = full_tensor(c, (0, 1))
    assert full[1, 2, 0, 1] == full[2, 1, 1, 0] == c[3, 5] and full[2, 2, 0, 2] == c[2, 4]


def test_json_holds_every_number_with_its_unit(tmp_path):
    found = tensors("lattice")
    found.save(tmp_path / "t.json")
    read = json.loads((tmp_path / "t.json").read_text())
    np.testing.assert_array_equal(read["tensors"]["elastic_open"]["value"], found.elastic_open)
    assert read["tensors"]["elastic_open"]["unit"] == "GPa" and read["tensors"]["d"]["unit"] == "pC/N"
    assert read["volume_A3"] == found.volume and read["rows"] == ["mode 0"]


@pytest.mark.slow
def test_phonopy_reads_the_born_file(tmp_path):
    phonopy = pytest.importorskip("phonopy.file_IO")
    from phonopy.structure.atoms import PhonopyAtoms

    _, _, state = trained()
    found, atoms = tensors("trained"), trained()[2].to_ase()
    save_born(tmp_path / "BORN", found, state)
    assert len((tmp_path / "BORN").read_text().splitlines()) == 2 + 4  # two of the three O are one by symmetry
    primitive = PhonopyAtoms(atoms.symbols, cell=atoms.cell.array, scaled_positions=atoms.get_scaled_positions())
    read = phonopy.parse_BORN(primitive, symprec=1e-3, filename=str(tmp_path / "BORN"))
    np.testing.assert_allclose(read["born"], found.born, atol=1e-6)
    np.testing.assert_allclose(read["dielectric"], np.eye(3) + found.chi_clamped, atol=1e-6)
    assert read["factor"] == pytest.approx(14.399652, rel=1e-5)
    with pytest.raises(FerrojaxError, match="Born charges of 8 atoms, but the structure has 5"):
        save_born(tmp_path / "BORN", tensors("toy"), state)


@pytest.mark.slow
def test_clamped_tensors_and_internal_strain_are_derivatives_at_fixed_atoms():
    enthalpy, params, state = toy()
    found, volume = tensors("toy"), float(state.volume)
    rng = np.random.default_rng(0)
    eta, e, u = 1e-3 * rng.normal(size=6), 1e-2 * rng.normal(size=3), 1e-3 * rng.normal(size=state.positions.shape)

    @jax.jit
    def value(a, b, c):
        return enthalpy(
            params, state.at(state.positions + a * u), b * effective.strain_tensor(jnp.asarray(eta)), jnp.asarray(FIELD + c * e)
        )

    def mixed(axes):
        """Second differences of two steps, extrapolated."""
        a, b = np.eye(3)[list(axes)]
        whole, half = (
            sum(s * t * float(value(*(h * s * a + h * t * b))) for s in (1, -1) for t in (1, -1)) / (2 * h) ** 2 for h in (1, 0.5)
        )
        return (4 * half - whole) / 3

    assert mixed((1, 1)) == pytest.approx(volume * GPA * eta @ found.elastic_clamped @ eta, rel=1e-3)
    assert mixed((1, 2)) == pytest.approx(-volume / E_PER_A2 * e @ found.e_clamped @ eta, rel=1e-4)
    assert mixed((2, 2)) == pytest.approx(-volume * EPSILON_0 * e @ found.chi_clamped @ e, rel=1e-6)
    assert mixed((0, 1)) == pytest.approx(-np.einsum("ia,iaj,j", u, found.internal_strain, eta), rel=1e-4)
    assert mixed((0, 2)) == pytest.approx(-np.einsum("a,iab,ib", e, found.born, u), rel=1e-4)
    assert np.abs(found.moved_by_field.sum(0)).max() < 1e-8 and np.abs(found.moved_by_strain.sum(0)).max() < 1e-8


@pytest.mark.parametrize("case", ["lattice", pytest.param("toy", marks=pytest.mark.slow)])
def test_identities_between_the_tensors(case):
    """h = g C^D, e = d C, χ_free - χ = e d/ε0, C^D⁻¹ = S - dᵀ (ε_free)⁻¹ d."""
    found = tensors(case)
    np.testing.assert_allclose(found.g @ found.elastic_open, found.h, atol=1e-6 * np.abs(found.h).max())
    np.testing.assert_allclose(found.d @ found.elastic * 1e-3, found.e, atol=1e-6 * np.abs(found.e).max())
    free = EPSILON_0 * (np.eye(3) + found.chi_free)
    d = found.d / 100
    open_compliance = found.compliance / (GPA * 1e3) - d.T @ np.linalg.solve(free, d)
    np.testing.assert_allclose(np.linalg.inv(open_compliance) / GPA, found.elastic_open, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_the_iterative_solver_gives_the_same(monkeypatch):
    enthalpy, params, state = toy()
    monkeypatch.setattr(linear, "DENSE_LIMIT", 0)
    for module in ("ferrojax.response.blocks", "ferrojax.equilibrium.stability"):
        monkeypatch.setattr(f"{module}.DENSE_LIMIT", 0)
    found = response_tensors(enthalpy, params, state, field=FIELD)
    for name in ("elastic", "e", "chi", "moved_by_strain"):
        expected = getattr(tensors("toy"), name)
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-6 * np.abs(expected).max())
    assert found.softest.stiffness == pytest.approx(tensors("toy").softest.stiffness, rel=1e-6)
    assert found.softest.frequency == pytest.approx(tensors("toy").softest.frequency, rel=1e-6)
