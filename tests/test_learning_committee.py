"""The committee's deviations against a loop over its members."""

import jax
import numpy as np
import pytest
from small_model import INFO, SIZES, small_model
from training_toy import perovskite, toy

from ferrojax.calculator import FerrojaxCalculator
from ferrojax.errors import FerrojaxError
from ferrojax.learning.committee import Committee
from ferrojax.learning.deviation import evaluate, max_forces
from ferrojax.potential import Model, preset, save_model

INFOS = [{"reference_energies": {"x": {"Ba": shift, "Ti": 2 * shift, "O": -shift}}} for shift in (0.0, 0.03, -0.01)]


@pytest.fixture(scope="module")
def members():
    model = toy()
    return model, [jax.tree.map(np.asarray, model.init(jax.random.key(seed))) for seed in range(3)]


def test_deviations_of_a_pool_are_those_of_a_loop_over_members(members):
    model, params = members
    rng = np.random.default_rng(0)
    pool = [perovskite(repeat, rng) for repeat in ((1, 1, 1), (2, 1, 1), (1, 1, 1))]
    found = evaluate(Committee.of(model, params, INFOS), pool, dtype=np.float64, max_buckets=1)
    calculators = [FerrojaxCalculator(model, p, info, dtype=np.float64) for p, info in zip(params, INFOS)]
    for atoms, deviation in zip(pool, found):
        energies, forces, stress = [], [], []
        for calculator in calculators:
            atoms.calc = calculator
            energies.append(atoms.get_potential_energy() / len(atoms))
            forces.append(atoms.get_forces())
            stress.append(atoms.get_stress(voigt=False))
        spread = np.asarray(forces) - np.mean(forces, 0)
        eps = np.sqrt(np.mean(np.sum(spread**2, -1), 0))  # √<|F_i - <F_i>|²>
        assert deviation.forces.shape == (len(atoms), 3)
        np.testing.assert_allclose(deviation.per_atom, eps, rtol=1e-8, atol=1e-12)
        assert float(deviation.max_force) == pytest.approx(eps.max(), rel=1e-8)
        assert float(deviation.energy) == pytest.approx(np.std(energies), rel=1e-7)
        np.testing.assert_allclose(deviation.stress, np.std(stress, 0), rtol=1e-7, atol=1e-12)
    assert np.ptp(max_forces(found)) > 1e-3


def test_one_state_inside_jit_and_equal_members(members):
    model, params = members
    state = model.prepare(perovskite((1, 1, 1), np.random.default_rng(1)), np.float32)
    deviation = jax.jit(lambda committee, state: committee.deviation(state))
    value = deviation(Committee.of(model, params), state)
    assert value.forces.dtype == np.float32 and float(value.max_force) > 1e-3
    same = deviation(Committee.of(model, [params[0]] * 3), state)
    assert float(same.max_force) < 1e-6 and float(same.energy) < 1e-6


def test_members_are_loaded_and_must_be_alike(tmp_path, members):
    model, params = small_model()
    folders = [tmp_path / name for name in "ab"]
    for seed, folder in enumerate(folders):
        save_model(folder, model, small_model(seed + 1)[1], INFO)
    committee = Committee.load(folders)
    np.testing.assert_array_equal(committee.params["params"]["first_energy"]["out"][1], small_model(2)[1]["params"]["first_energy"]["out"])
    np.testing.assert_array_equal(committee.offsets, 0)
    other = Model(preset("fast", ("Pb", "Ti", "O"), cutoff=3.6, eps_inf=5.0, **SIZES))
    save_model(tmp_path / "c", other, params, {})
    with pytest.raises(FerrojaxError, match=r"differ in cutoff \(3.6 and 3.4\)"):
        Committee.load([*folders, tmp_path / "c"])
    with pytest.raises(FerrojaxError, match="1 model cannot disagree"):
        Committee.load(folders[:1])
