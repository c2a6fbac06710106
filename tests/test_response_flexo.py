"""Flexoelectric tensors: chains by hand, rocksalt by the literature's lattice sums, and supercells that are bent in earnest."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from lead_titanate import lead_titanate_cell
from rigid_ions import RigidIons, Springs
from toy_model import ToyModel
from wave_dipole import hessian_of, wave_dipole

from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.response.bloch import with_images
from ferrojax.response.flexo import flexo_tensors, flexoelectricity, long_wave, type_two
from ferrojax.response.tensors import response_tensors
from ferrojax.units import E_PER_A, EPSILON_0, GPA

NO_FIELD, ZERO = jnp.zeros(3), jnp.zeros((3, 3))
SODIUM, CHLORINE = 22.98977, 35.453
# PHYSICS.md 4.4: Na-Cl and Cl-Cl (A eV, ρ Å, C eV Å⁶), masses above, images to ±6 primitive cells.
ROCKSALT = RigidIons({11: 1.0, 17: -1.0}, {(11, 17): (2314.7, 0.2903, 0.0), (17, 17): (1227.2, 0.3214, 29.06)}, 10.0, images=6)


def rocksalt(a):
    return Atoms("NaCl", positions=[[0, 0, 0], [a / 2, 0, 0]], cell=a / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), pbc=True)


def cubic(tensor):
    """(L, T, S) of a cubic type-II tensor."""
    return np.array([tensor[0, 0, 0, 0], tensor[0, 0, 1, 1], tensor[0, 1, 0, 1]])


def test_diatomic_chain(claim):
    """μ = Z/(2ka) (m2 T1 - m1 T2)/M with T_κ = ka²/4 + k_κκ a², PHYSICS.md 4.4; springs that pull alike in all directions."""
    a, side, k, k11, k22, charge = 3.0, 6.0, 2.3, 0.4, 0.9, 1.3
    model = Springs({(11, 17, a / 2): k, (11, 11, a): k11, (17, 17, a): k22}, {11: charge, 17: -charge}, cutoff=3.2)
    state = model.prepare(Atoms("NaCl", positions=[[0, 0, 0], [a / 2, 0, 0]], cell=[a, side, side], pbc=True))
    found = flexo_tensors(model, model.params, state, weights=np.array([SODIUM, CHLORINE]))
    first, second = (k * a**2 / 4 + own * a**2 for own in (k11, k22))
    expected = charge / (2 * k * a) * (CHLORINE * first - SODIUM * second) / (SODIUM + CHLORINE)
    longitudinal, transverse = found.type_one[0, 0, 0, 0], found.type_one[1, 1, 0, 0]
    claim("D-flexo-chain", max(abs(mu / E_PER_A * side**2 / expected - 1) for mu in (longitudinal, transverse)))
    np.testing.assert_allclose(found.frozen, 0, atol=1e-12)


def test_rocksalt_by_lattice_sums(claim):
    """The numbers of PHYSICS.md 4.4: sublattice forces, sum rule, both conventions, flexocoupling."""
    state = ROCKSALT.prepare(rocksalt(5.582567))
    energy = make_enthalpy(ROCKSALT)(ROCKSALT.params, state, ZERO, NO_FIELD)
    assert float(energy) == pytest.approx(-8.108926, abs=1e-6)
    shares = jnp.array([SODIUM, CHLORINE]) / (SODIUM + CHLORINE)
    response = jax.jit(lambda shares: long_wave(ROCKSALT, ROCKSALT.params, with_images(state), NO_FIELD, shares))
    wave = response(shares)
    forces = np.asarray(wave.forces)
    for index, expected in (
        ((0, 0, 0, 0), (7.698553, 8.136835)), ((0, 0, 1, 1), (1.826751, 2.053944)), ((0, 1, 0, 1), (1.811991, 2.068704)),
    ):  # fmt: skip
        np.testing.assert_allclose(forces[:, *index], expected, atol=1e-6)
    np.testing.assert_allclose(elastic_of(wave.forces, float(state.volume))[[0, 0], [0, 0], [0, 1], [0, 1]], (58.3307, 14.2948), atol=2e-4)
    total = np.asarray(type_two(wave.total))
    by_mass = np.abs(cubic(total * E_PER_A) - (0.035623, 0.006562, 0.007278)).max()
    np.testing.assert_allclose(cubic(total) / float(wave.susceptibility[0, 0]) / EPSILON_0, (1.469, 0.2707, 0.3002), atol=1e-3)
    equal = type_two(response(jnp.array([0.5, 0.5])).total) * E_PER_A
    claim("D-flexo-nacl", max(by_mass, np.abs(cubic(equal) - (-0.005313, -0.003470, -0.002754)).max()))
    assert float(wave.susceptibility[0, 0]) + 1 == pytest.approx(3.7381, abs=1e-4)


def elastic_of(forces, volume):
    """C_αγβδ = [αβ,γδ] + [βγ,αδ] - [βδ,αγ] with [αβ,γδ] = Σ_κ T_κ/Ω (Born and Huang), GPa."""
    brackets = np.asarray(jnp.sum(forces, 0)) / volume / GPA
    return np.einsum("abgd->agbd", brackets) + np.einsum("bgad->agbd", brackets) - np.einsum("bdag->agbd", brackets)


def test_sublattice_forces_sum_to_the_elastic_tensor(claim):
    """Σ_κ T_κ against the second derivative of the energy by strain, at the lattice constant without stress, to 1e-8.

    Pairs within a sphere: those of a parallelepiped of cells are not cubic and leave some shear stress at any lattice constant.
    """
    model = RigidIons({11: 1.0, 17: -1.0}, {(11, 17): (2314.7, 0.2903, 0.0), (17, 17): (1227.2, 0.3214, 29.06)}, 14.0)
    enthalpy, state = make_enthalpy(model), model.prepare(rocksalt(5.582567), skin=0.1)

    def energy(a, strain):
        scale = a / 5.582567
        return enthalpy(model.params, state.replace(positions=state.positions * scale, cell=state.cell * scale), strain, NO_FIELD)

    a, slope, curvature = 5.582567, jax.jit(jax.grad(energy)), jax.jit(jax.grad(jax.grad(energy)))
    for _ in range(4):
        a = a - float(slope(a, ZERO) / curvature(a, ZERO))
    rest = state.replace(positions=state.positions * (a / 5.582567), cell=state.cell * (a / 5.582567))
    second = np.asarray(jax.jit(jax.hessian(lambda e: energy(a, (e + e.T) / 2)))(ZERO)) / float(rest.volume) / GPA
    wave = jax.jit(lambda: long_wave(model, model.params, with_images(rest), NO_FIELD, jnp.array([0.4, 0.6])))()
    claim("D-flexo-sum-rule", np.abs(elastic_of(wave.forces, float(rest.volume)) - second).max() / second.max())
    np.testing.assert_allclose(second[[0, 0, 1], [0, 0, 2], [0, 1, 1], [0, 1, 2]], (58.33, 14.29, 14.29), rtol=1e-3)


@functools.cache
def zincblende():
    """Cations and anions off inversion centres, with charges that flow; conventional cell."""
    model = ToyModel()
    model.params |= {"repulsion": 1.0, "well": 4.0}  # with the strengths of rock salt it would not be stable
    return model, bulk("MgF", "zincblende", a=5.0, cubic=True)


def bent(model, params, atoms, direction, cells):
    """-P/(q² U) of the wave that body forces m_κ û exp(iq·z) raise in ``cells`` cells, P from the bonds of the bent crystal; e/Å."""
    long, q = atoms.repeat((1, 1, cells)), 2 * np.pi / (cells * atoms.cell[2, 2])
    state, hessian = hessian_of(model, params, long)
    mass, phase = long.get_masses(), np.exp(1j * q * long.positions[:, 2])
    force = (mass * phase)[:, None] * np.eye(3)[direction]
    moved = np.linalg.lstsq(hessian, force.reshape(-1), rcond=1e-10)[0].reshape(-1, 3)
    amplitude = (mass * phase.conj()) @ moved[:, direction] / mass.sum()
    total = wave_dipole(model, params, state, moved, np.array([0.0, 0.0, q]))
    return -total / (long.get_volume() * q**2 * amplitude)


@pytest.mark.slow
def test_crystal_off_inversion_centres_against_bent_supercells(claim):
    """Zincblende with charge flow: internal-strain and lattice parts together; the error falls as q²."""
    model, atoms = zincblende()
    found = flexo_tensors(model, model.params, model.prepare(atoms))
    expected = found.type_one[:, 0, 2, 2] / E_PER_A
    assert min(abs(cubic(part)[2]) for part in (found.mixed, found.lattice)) > 0.1 * abs(cubic(found.total)[2])
    near, far = (bent(model, model.params, atoms, 0, cells) for cells in (6, 9))
    assert abs(near[1].imag) > abs(near[0].real)  # the piezoelectric part, of first order
    error = [abs(x[0].real / expected[0] - 1) for x in (near, far)]
    assert error[1] < 0.02 and error[0] / error[1] == pytest.approx(9**2 / 6**2, rel=0.1)
    extrapolated = (far[0].real * 9**2 - near[0].real * 6**2) / (9**2 - 6**2)
    claim("D-flexo-off-centre", abs(extrapolated / expected[0] - 1))


@pytest.mark.slow
def test_slopes_by_strain_field_and_parameters_are_those_of_the_whole_calculation(claim):
    """dμ/d(strain, field, parameter) against a structure relaxed anew, its tensor computed anew."""
    model, atoms = zincblende()
    primitive = bulk("MgF", "zincblende", a=5.0)
    enthalpy, state = make_enthalpy(model), model.prepare(primitive, skin=0.5)
    shares = jnp.array([0.7, 0.3])
    images = with_images(state)

    def at(z, state):
        strain = jnp.array([[z[0], z[1], 0], [z[1], 0, 0], [0, 0, 0]])
        params = {**model.params, "flow": model.params["flow"] * (1 + z[3])}
        return flexoelectricity(model, params, state, strain, jnp.array([0.0, 0.0, z[2]]), shares).total

    slopes = jax.jit(jax.jacfwd(at))(jnp.zeros(4), images)
    again = jax.jit(at)
    for k, h in enumerate((1e-3, 1e-3, 1e-2, 1e-3)):
        values = {}
        for step in (-2, -1, 1, 2):
            z = jnp.zeros(4).at[k].set(step * h)
            strain = np.array([[z[0], z[1], 0], [z[1], 0, 0], [0, 0, 0]])
            params = {**model.params, "flow": model.params["flow"] * (1 + z[3])}
            strained = primitive.copy()
            strained.set_cell(primitive.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            field = np.array([0.0, 0.0, z[2]])
            rest = relax(enthalpy, params, model.prepare(strained, skin=0.5), field, cell=False, force_tolerance=1e-9).state
            back = rest.positions @ np.linalg.inv(np.eye(3) + strain)  # the same atoms, the strain taken off
            values[step] = again(z, images.replace(positions=jnp.asarray(back)))
        slope = (8 * (values[1] - values[-1]) - values[2] + values[-2]) / (12 * h)
        claim("D-flexo-gradient", np.abs(slopes[..., k] - slope).max() / np.abs(slope).max())


@pytest.mark.slow
def test_trained_potential_against_bent_supercells(claim):
    """Tetragonal PbTiO3: a transverse wave in 1 x 1 x n cells; 16 cells are still some per cent off, by q², so 8, 12 and 16 go to zero."""
    model, params, _, state = lead_titanate_cell()
    expected = flexo_tensors(model, params, state).type_one[0, 0, 2, 2] / E_PER_A
    cells = np.array([8, 12, 16])
    values = [bent(model, params, state.to_ase(), 0, n)[0].real for n in cells]
    limit = np.linalg.solve(np.stack([cells**0.0, 1.0 / cells**2, 1.0 / cells**4], 1), values)[0]
    assert abs(values[2] / expected - 1) < 0.1
    claim("D-flexo-supercell", 100 * abs(limit / expected - 1))


@pytest.mark.slow
def test_trained_potential_obeys_the_sum_rule():
    """Elastic constants of PbTiO3, relaxed-ion, from the forces of waves and from the energy of strained cells."""
    model, params, _, state = lead_titanate_cell()
    shares = jnp.ones(5) / 5
    wave = jax.jit(lambda: long_wave(model, params, with_images(state), NO_FIELD, shares))()
    voigt = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    by_waves = elastic_of(wave.forces, float(state.volume))
    by_strain = response_tensors(make_enthalpy(model), params, state).elastic
    np.testing.assert_allclose([[by_waves[a][b] for b in voigt] for a in voigt], by_strain, atol=1e-6 * by_strain.max())


@pytest.mark.slow
def test_tensors_turn_with_the_crystal_and_obey_its_symmetry():
    """Zincblende (-43m): μ of rank four is that of a cube; a rotated crystal has the rotated tensor."""
    model, _ = zincblende()
    primitive = bulk("MgF", "zincblende", a=5.0)
    found = flexo_tensors(model, model.params, model.prepare(primitive))
    longitudinal, transverse, shear = cubic(found.total)
    coupling = np.array([longitudinal, transverse, shear]) / E_PER_A / (found.eps[0, 0] - 1) / EPSILON_0
    np.testing.assert_allclose(cubic(found.coupling), coupling, rtol=1e-9)
    assert found.open_circuit((2, 0, 0)) == pytest.approx(longitudinal / found.eps[0, 0], rel=1e-9)
    assert "nC/m" in found.table()
    for a in range(3):
        b = (a + 1) % 3
        assert found.total[a, a, a, a] == pytest.approx(longitudinal, rel=1e-8)
        assert found.total[a, a, b, b] == pytest.approx(transverse, rel=1e-8)
        assert found.total[a, b, a, b] == pytest.approx(shear, rel=1e-8)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    turned = primitive.copy()
    turned.set_cell(primitive.cell.array @ turn.T, scale_atoms=True)
    rotated = flexo_tensors(model, model.params, model.prepare(turned)).total
    np.testing.assert_allclose(rotated, np.einsum("ai,bj,ck,dl,ijkl->abcd", *[turn] * 4, found.total), atol=1e-9)


def test_type_two_is_the_polarization_of_a_strain_gradient():
    """The same P of a random displacement field from both forms, by its second derivatives and by its strain gradient."""
    rng = np.random.default_rng(0)
    first, bend = rng.normal(size=(3, 3, 3, 3)), rng.normal(size=(3, 3, 3))
    first, bend = first + first.swapaxes(2, 3), bend + bend.swapaxes(1, 2)  # bend: ∂²u_b/∂r_c∂r_d
    gradient = (np.einsum("bcd->bcd", bend) + np.einsum("cbd->bcd", bend)) / 2  # ∂ε_bc/∂r_d
    by_strain = np.einsum("adbc,bcd->a", type_two(jnp.asarray(first)), gradient)
    np.testing.assert_allclose(by_strain, np.einsum("abcd,bcd->a", first, bend), atol=1e-12)


def test_refusals():
    model, atoms = zincblende()
    state = model.prepare(atoms)
    with pytest.raises(FerrojaxError, match="'mass', 'equal'"):
        flexo_tensors(model, model.params, state, weights="heavy")
    with pytest.raises(FerrojaxError, match="float64"):
        flexo_tensors(model, model.params, model.prepare(atoms, np.float32))
    with pytest.raises(FerrojaxError, match="not at rest"):
        flexo_tensors(model, model.params, state.replace(positions=state.positions.at[0, 0].add(0.05)))
