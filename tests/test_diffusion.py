"""Mean square displacements against the double sum and random walks of known D."""

import tracemalloc

import numpy as np
import pytest
from perovskites import crystal, write_h5md

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
    time, found = fe.paths(made, atoms.symbols == "O", drift=False)
    np.testing.assert_array_equal(time, 2.0 * np.arange(30))
    cells = np.array([frame.cell for frame in made])
    inside = atoms.symbols == "O"
    expected = np.einsum("nab,nbc->nac", reduced[:, inside], cells)
    whole = (found - expected) @ np.linalg.inv(cells)
    np.testing.assert_allclose(whole, np.broadcast_to(np.rint(whole[0]), whole.shape), atol=1e-9)


def wandering(rng, frames=160, drift=0.3):
    """A crystal whose oxygens walk, D = 5e-4 cm²/s, while the whole crystal walks faster; wrapped, in a breathing cell."""
    atoms = crystal((2, 2, 2))
    steps = rng.normal(0, drift, (frames, 1, 3)) + np.where((atoms.numbers == 8)[:, None], rng.normal(0, 0.1, (frames, len(atoms), 3)), 0.0)
    places = atoms.positions + np.cumsum(steps, axis=0)
    inverse, made = np.linalg.inv(atoms.cell.array), []
    for k in range(frames):
        cell = atoms.cell.array * (1 + 0.003 * np.sin(k))
        made.append(fe.Snapshot(((places[k] @ inverse) % 1.0) @ cell, cell, atoms.numbers, k, 1.0 * k))
    return made, atoms.numbers == 8


def test_a_centre_that_walks_is_no_diffusion():
    """Without care the centre's own D = drift²/2 dt, ten times that of the oxygens, comes on top."""
    made, oxygen = wandering(np.random.default_rng(5))
    with_it, by_mass, by_host = (
        fe.diffusion(*fe.paths(made, oxygen, **how)).coefficient for how in ({"drift": False}, {}, {"host": ~oxygen})
    )
    assert with_it > 3e-3
    assert by_mass == pytest.approx(5e-4, rel=0.1) and by_host == pytest.approx(5e-4, rel=0.1)
    host = fe.diffusion(*fe.paths(made, ~oxygen, host=~oxygen)).coefficient
    assert abs(host) < 1e-5  # what the cell breathes
    with pytest.raises(FerrojaxError, match="the host has no atoms"):
        fe.paths(made, oxygen, host=oxygen & ~oxygen)


@pytest.mark.parametrize("how", [{}, {"drift": False}])
def test_streaming_gives_the_same(how):
    made, oxygen = wandering(np.random.default_rng(6), 170)
    reads = []

    def source():
        reads.append(1)
        return iter(made)

    whole = fe.diffusion(*fe.paths(made, oxygen, **how))
    parts = fe.stream_diffusion(source, oxygen, memory=24 * 21 * 7, **how)  # seven of 24 atoms at a time, blocks of 21 frames
    assert len(reads) == 1 + 4
    for one, other in zip(whole, parts):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)
    with pytest.raises(FerrojaxError, match="no atoms are chosen"):
        fe.stream_diffusion(source, oxygen & ~oxygen)


def test_streaming_holds_a_part_of_the_atoms(tmp_path):
    """Peak memory of a trajectory in H5MD follows the bound."""
    atoms, made = crystal((4, 4, 4)), []
    for k in range(40):
        copy = atoms.copy()
        copy.info = {"time": float(k), "step": k}
        made.append(copy)
    write_h5md(tmp_path / "run.h5", made)

    def peak(memory):
        tracemalloc.start()
        fe.stream_diffusion(lambda: fe.frames(tmp_path / "run.h5"), np.ones(len(atoms), bool), blocks=2, memory=memory)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    whole = 24 * 20 * len(atoms)  # a block of all atoms
    peak(whole)  # libraries keep what they load at first
    assert peak(whole) - peak(whole / 5) > 0.5 * whole


def test_bad_series_are_refused():
    r = walk(np.random.default_rng(0), 100, 2, 1.0)
    with pytest.raises(FerrojaxError, match="100 frames make no two or more blocks"):
        fe.diffusion(np.arange(100.0), r, blocks=20)
    with pytest.raises(FerrojaxError, match="not evenly spaced"):
        fe.diffusion(np.arange(100.0) ** 1.1, r)
    atoms = crystal((1, 1, 1))
    with pytest.raises(FerrojaxError, match="frame 0 has no time; give the time step with --time-step"):
        fe.paths([fe.Snapshot(atoms.positions, atoms.cell.array, atoms.numbers, 0)])
