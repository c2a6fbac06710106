"""Last-layer uncertainty: features by differences in the weights, the posterior by dense matrices made without derivatives."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_model import INFO, frames, small_model

from ferrojax.errors import FerrojaxError
from ferrojax.learning.deviation import evaluate
from ferrojax.learning.features import features, readout_weights, with_readout
from ferrojax.learning.last_layer import fit_last_layer, load_last_layer, save_last_layer
from ferrojax.learning.regression import Sums, best_posterior
from ferrojax.training.loss import predict

PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
LABELLED = frames(12)


@functools.partial(jax.jit, static_argnums=2)
def outputs(weights, state, name="fast"):
    """Energy a atom, forces and Voigt stress for given readout weights: what the calculator would give."""
    model, params = small_model(name=name)
    values = predict(model, with_readout(params, weights), state, born=False)
    stress = jnp.stack([values["stress"][pair] for pair in PAIRS])
    return values["energy"] / len(state.numbers), values["forces"], stress


def dense(frame, name="fast"):
    """(rows, values at zero weights) of E, F, σ from predictions for unit weights: exact, as these are linear."""
    model, params = small_model(name=name)
    state, size = model.prepare(frame.atoms, np.float64, slots=32, kgrid=(2, 2, 4)), readout_weights(params).size
    zero = outputs(jnp.zeros(size), state, name)
    unit = [outputs(row, state, name) for row in jnp.eye(size)]
    unit = [jnp.stack(column) for column in zip(*unit)]
    return [np.moveaxis(np.asarray(u) - np.asarray(z), 0, -1) for u, z in zip(unit, zero)], [np.asarray(z) for z in zero]


@pytest.fixture(scope="module")
def fitted():
    model, params = small_model()
    return fit_last_layer(model, params, INFO, LABELLED, dtype=np.float64)


@pytest.mark.parametrize("name", ["fast", pytest.param("accurate", marks=pytest.mark.slow)])
def test_features_are_differences_by_the_weights(name):
    model, params = small_model(name=name)
    frame = LABELLED[0]
    rows, _ = dense(frame, name)
    assert rows[0].size == {"fast": 6, "accurate": 12}[name]
    found = jax.jit(lambda state: features(model, params, state))(model.prepare(frame.atoms, np.float64))
    for one, other in zip(found, rows):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(readout_weights(with_readout(params, 2 * readout_weights(params))), 2 * readout_weights(params))


def test_posterior_is_that_of_dense_regression(fitted):
    table = INFO["reference_energies"]["small"]
    kinds = [[], [], []]
    for frame in LABELLED:
        rows, base = dense(frame)
        n = len(frame.atoms)
        energy = None if frame.energy is None else (frame.energy - sum(table[s] for s in frame.atoms.symbols)) / n
        stress = None if frame.stress is None else np.array([frame.stress[pair] for pair in PAIRS])
        for kind, phi, zero, label in zip(kinds, rows, base, (energy, frame.forces, stress)):
            if label is not None:
                kind.append((phi.reshape(-1, phi.shape[-1]), np.ravel(label - zero), np.ravel(label)))
    labels = [np.concatenate([one[2] for one in kind]) for kind in kinds]
    # Stress counts off-diagonals twice in its standard deviation, as a matrix.
    spreads = [np.std(labels[0]), np.std(labels[1]), np.std([f.stress for f in LABELLED if f.stress is not None])]
    np.testing.assert_allclose(fitted.scales, spreads, rtol=1e-10)
    phi = np.concatenate([np.concatenate([one[0] for one in kind]) / s for kind, s in zip(kinds, spreads)])
    y = np.concatenate([np.concatenate([one[1] for one in kind]) / s for kind, s in zip(kinds, spreads)])
    best = best_posterior(Sums.of(phi, y))
    assert (fitted.alpha, fitted.beta) == (pytest.approx(best.alpha, rel=1e-5), pytest.approx(best.beta, rel=1e-5))
    covariance = np.linalg.inv(best.alpha * np.eye(phi.shape[1]) + best.beta * phi.T @ phi)
    np.testing.assert_allclose(fitted.root @ fitted.root.T, covariance, rtol=1e-4, atol=1e-6 * np.abs(covariance).max())
    np.testing.assert_allclose(readout_weights(fitted.refitted), best.beta * covariance @ phi.T @ y, rtol=1e-4)


@pytest.mark.slow  # compiles for another size
def test_deviations_are_the_posterior_of_each_prediction(fitted):
    """In padded batches of frames of two sizes, against the dense rows of each."""
    pool = [frame.atoms for frame in frames(2, seed=8, labels=False) + frames(1, seed=9, repeat=(1, 1, 2), labels=False)]
    covariance = np.asarray(fitted.root @ fitted.root.T)
    for atoms, deviation in zip(pool, evaluate(fitted, pool, dtype=np.float64)):
        energy, forces, stress = (
            np.sqrt(np.einsum("...k,kl,...l->...", phi, covariance, phi)) for phi in dense(replace(LABELLED[0], atoms=atoms))[0]
        )
        assert float(deviation.energy) == pytest.approx(float(energy), rel=1e-6)
        np.testing.assert_allclose(deviation.forces, forces, rtol=1e-6)
        np.testing.assert_allclose([deviation.stress[pair] for pair in PAIRS], stress, rtol=1e-6)
        np.testing.assert_array_equal(deviation.stress, deviation.stress.T)
        # The rows handed to the optimal design are these too, in units of the noise.
        rows = fitted.rows([atoms], dtype=np.float64)[0]
        noise = np.sqrt(np.einsum("rk,kl,rl->r", rows, covariance, rows))[1:-6].reshape(-1, 3) * fitted.noise["forces"]
        np.testing.assert_allclose(noise, forces, rtol=1e-6)


def test_more_labels_at_once_or_later(fitted):
    model, params = small_model()
    first = fit_last_layer(model, params, INFO, LABELLED[:6], dtype=np.float64)
    later = first.updated(INFO, LABELLED[6:], dtype=np.float64)
    # The units are those of the first labels, so sums are compared in eV and Å.
    shares = (later.scales / fitted.scales) ** 2
    assert later.sums.size == fitted.sums.size > first.sums.size
    assert not np.allclose(shares, 1)
    information = np.linalg.eigvalsh(later.precision - later.beta * first.sums.gram - later.alpha * np.eye(len(first.mean)))
    assert information.min() > -1e-9 * information.max()


def test_posterior_survives_the_disk_and_knows_its_model(fitted, tmp_path):
    model, params = small_model()
    path = tmp_path / "last_layer.npz"
    save_last_layer(path, fitted)
    again = load_last_layer(path, model, params)
    np.testing.assert_array_equal(again.mean, fitted.mean)
    np.testing.assert_array_equal(again.root, fitted.root)
    with pytest.raises(FerrojaxError, match="other parameters"):
        load_last_layer(path, model, small_model(2)[1])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FerrojaxError, match="damaged"):
        load_last_layer(path, model, params)
    with pytest.raises(FerrojaxError, match="cannot be read"):
        load_last_layer(tmp_path / "nothing.npz", model, params)
    with pytest.raises(FerrojaxError, match="no frame has forces"):
        fit_last_layer(model, params, INFO, frames(2, labels=False))
