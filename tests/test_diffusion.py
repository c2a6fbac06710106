"""Mean square displacements against the double sum and random walks of known D."""

import numpy as np
import pytest
from perovskites import crystal

from ferrojax import ferroelectrics as fe
from ferrojax.errors import FerrojaxError


def walk(rng, frames, atoms, step):
    return np.cumsum(rng.normal(0, step, (frames, atoms, 3)), axis=0)


def test_fourier_sums_equal_double_sums():
    r = walk(np.random.default_rng(0), 37, 5, 1.0) + 1e3
    found = fe.mean_square_displacement(r)
    assert found[0] == pytest.approx(0, abs=1e-9)
    for lag in range(1, 37):
        assert found[lag] == pytest.approx(((r[lag:] - r[:-lag]) ** 2).sum(-1).mean(), rel=1e-10)


def test_random_walks_have_their_coefficient_within_its_error():
    """D = step²/(2 dt) per direction: 0.01 Å²/2 fs = 0.005 Å²/fs = 5e-4 cm²/s."""
    rng, pulls = np.random.default_rng(1), []
    for _ in range(60):
        found = fe.diffusion(np.arange(800) * 1.0, walk(rng, 800, 6, 0.1))
        pulls.append((found.coefficient - 5e-4) / found.error)
    # Eight blocks: Student's t of seven degrees has a spread of 1.18.
    assert 0.9 < np.std(pulls) < 1.6 and abs(np.mean(pulls)) < 0.6
    assert found.coefficient == pytest.approx(5e-4, rel=0.2)


def test_paths_are_unwrapped_in_a_breathing_cell_and_chosen_by_species():
    rng, atoms = np.random.default_rng(2), crystal((2, 2, 2))
    reduced = atoms.get_scaled_positions() + np.cumsum(rng.normal(0, 0.05, (30, len(atoms), 3)), axis=0)
    made = []
    for k in range(30):
        cell = atoms.cell.array * (1 + 0.01 * np.sin(k))
        made.append(fe.Snapshot((reduced[k] % 1.0) @ cell, cell, atoms.numbers, k, 2.0 * k))
    time, found = fe.paths(made, atoms.symbols == "O")
    np.testing.assert_array_equal(time, 2.0 * np.arange(30))
    cells = np.array([frame.cell for frame in made])
    inside = atoms.symbols == "O"
    expected = np.einsum("nab,nbc->nac", reduced[:, inside], cells)
    whole = (found - expected) @ np.linalg.inv(cells)
    np.testing.assert_allclose(whole, np.broadcast_to(np.rint(whole[0]), whole.shape), atol=1e-9)


def test_bad_series_are_refused():
    r = walk(np.random.default_rng(0), 100, 2, 1.0)
    with pytest.raises(FerrojaxError, match="100 frames make no two or more blocks"):
        fe.diffusion(np.arange(100.0), r, blocks=20)
    with pytest.raises(FerrojaxError, match="not evenly spaced"):
        fe.diffusion(np.arange(100.0) ** 1.1, r)
    atoms = crystal((1, 1, 1))
    with pytest.raises(FerrojaxError, match="frame 0 has no time"):
        fe.paths([fe.Snapshot(atoms.positions, atoms.cell.array, atoms.numbers, 0)])
