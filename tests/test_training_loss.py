"""The training loss: its predictions are derivatives of the enthalpy, its value is what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_toy import perovskite, random_frames, toy

from ferrojax.enthalpy import make_enthalpy
from ferrojax.training.batches import pack
from ferrojax.training.loss import LossSettings, batch_loss, huber, minimum_image, precise_sum, predict

REFERENCES = {"toy": {"Ba": -1000.0, "Ti": -1000.0, "O": -1000.0}}
ALL = ("energy", "forces", "stress", "dipole", "born_charges", "polarizability")


def test_predictions_are_derivatives_of_the_enthalpy():
    model = toy()
    params = model.init(jax.random.key(3))
    state = model.prepare(perovskite((1, 1, 1), np.random.default_rng(2)), dtype=np.float64)
    enthalpy, zero3, zero33 = make_enthalpy(model), jnp.zeros(3), jnp.zeros((3, 3))

    def scalar(positions, strain, field):
        return enthalpy(params, state.replace(positions=positions), strain, field)

    @jax.jit
    def derivatives(positions):
        first = jax.grad(scalar, (0, 1, 2))(positions, zero33, zero3)
        mixed = jax.jacfwd(jax.grad(scalar, 2), 0)(positions, zero33, zero3)
        return scalar(positions, zero33, zero3), *first, mixed, jax.hessian(scalar, 2)(positions, zero33, zero3)

    energy, gradient, strain, field, mixed, curvature = derivatives(state.positions)
    expected = {
        "energy": energy,
        "forces": -gradient,
        "stress": strain / state.volume,
        "dipole": -field,
        "born_charges": -jnp.moveaxis(mixed, 0, 1),  # (pol, atom, disp) -> (atom, pol, disp)
        "polarizability": -curvature,
    }
    values = jax.jit(lambda s: predict(model, params, s, born=True))(state)
    assert set(values) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-9, atol=1e-9, err_msg=name)
    assert "born_charges" not in jax.eval_shape(lambda s: predict(model, params, s, born=False), state)


def test_huber_joins_smoothly_and_takes_its_two_forms():
    x = np.linspace(-2, 2, 401)
    expected = np.where(np.abs(x) < 0.5, 0.5 * x**2, 0.5 * (np.abs(x) - 0.25))
    np.testing.assert_allclose(huber(jnp.asarray(x), 0.5), expected, atol=1e-15)
    np.testing.assert_allclose(jax.vmap(jax.grad(lambda y: huber(y, 0.5)))(jnp.asarray(x)), np.clip(x, -0.5, 0.5), atol=1e-15)


def test_loss_of_a_batch_by_hand():
    model, settings = toy(), LossSettings()
    params = model.init(jax.random.key(0))
    frames = random_frames(2, ALL)
    bucket = pack(frames, model, REFERENCES, weights=[1.0, 3.0], dtype=np.float64, max_buckets=1).buckets[0]
    values = jax.jit(lambda b: jax.vmap(lambda s: predict(model, params, s, True))(b.states))(bucket)
    expected = 0.0
    for row, (frame, weight) in enumerate(zip(frames, (1.0, 3.0))):
        n, cell = len(frame.atoms), frame.atoms.cell.array
        dipole = (values["dipole"][row] - frame.dipole) @ np.linalg.inv(cell)
        residuals = {
            "energy": (values["energy"][row] - frame.energy - 1000.0 * n) / n,
            "forces": values["forces"][row] - frame.forces,
            "stress": (values["stress"][row] - frame.stress) * frame.atoms.get_volume() / n,
            "dipole": (dipole - np.round(dipole)) @ cell / n,
            "born_charges": values["born_charges"][row] - frame.born_charges,
            "polarizability": (values["polarizability"][row] - frame.polarizability) / n,
        }
        for name, residual in residuals.items():
            size, delta = np.abs(residual), settings.deltas[name]
            terms = np.where(size < delta, 0.5 * size**2, delta * (size - 0.5 * delta))
            expected += 0.5 * weight * settings.weights[name] * np.mean(terms)
    assert float(jax.jit(lambda b: batch_loss(model, settings, params, b))(bucket)) == pytest.approx(expected, rel=1e-10)


def test_dipole_residual_ignores_the_polarization_quantum():
    rng = np.random.default_rng(5)
    cell = perovskite((1, 1, 1), rng).cell.array
    vector = rng.uniform(-0.3, 0.3, 3) @ cell
    for shift in rng.integers(-4, 5, (5, 3)):
        np.testing.assert_allclose(minimum_image(jnp.asarray(vector + shift @ cell), jnp.asarray(cell)), vector, atol=1e-12)


def test_an_absent_label_has_no_gradient():
    model, settings = toy(), LossSettings()
    params = model.init(jax.random.key(0))
    frames = random_frames(4, ("energy", "forces"))
    frames[1].forces = frames[3].energy = None
    bucket = pack(frames, model, REFERENCES, dtype=np.float64, max_buckets=1).buckets[0]
    noisy = {name: label + (bucket.weights[name] == 0).reshape(-1, *[1] * (label.ndim - 1)) for name, label in bucket.labels.items()}
    gradient = jax.jit(jax.value_and_grad(lambda p, b: batch_loss(model, settings, p, b)))
    one, two = gradient(params, bucket), gradient(params, bucket.replace(labels=noisy))
    assert any((noisy[name] != bucket.labels[name]).any() for name in noisy)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(one[1])) > 1e-3


def test_float32_sums_are_pairwise():
    values = np.full(2**12 + 3, 0.1, np.float32)
    values[0] = 1e5
    exact = values.astype(np.float64).sum()
    with jax.enable_x64(False):
        total = precise_sum(jnp.asarray(values))
    assert total.dtype == jnp.float32
    assert abs(float(total) - exact) < 0.02
    assert abs(float(np.cumsum(values)[-1]) - exact) > 1.0  # what adding one by one gives
    assert precise_sum(jnp.asarray(values)).dtype == jnp.float64


DEVICES = """
import jax, numpy as np
from training_toy import random_frames, toy
from ferrojax.training.batches import pack
from ferrojax.training.loss import LossSettings
from ferrojax.training.optimizer import device_mesh, make_loss_gradient, place
assert len(jax.devices()) == 4
model = toy()
params = model.init(jax.random.key(0))
batch = pack(random_frames(8), model, {"toy": {"Ba": -1e3, "Ti": -1e3, "O": -1e3}}, max_buckets=1).buckets[0].take(np.arange(8))
results = []
for devices in (1, 4):
    mesh = device_mesh(8, devices)
    placed = place(batch, mesh)
    if devices == 4:
        assert len(placed.positions.sharding.device_set) == 4 and placed.positions.addressable_shards[0].data.shape[0] == 2
    results.append(jax.jit(make_loss_gradient(model, LossSettings(), mesh))(params, placed))
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), *results)
assert max(float(abs(x).max()) for x in jax.tree.leaves(results[0][1])) > 1e-2
print("same gradient")
"""


@pytest.mark.slow  # a process of its own that compiles for four devices
def test_gradient_on_four_devices_equals_that_on_one():
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    done = subprocess.run([sys.executable, "-c", DEVICES], env=environment, capture_output=True, text=True, check=False)
    assert "same gradient" in done.stdout, done.stderr
