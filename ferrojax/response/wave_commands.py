"""What `ferrojax phonons` and `ferrojax flexo` do, apart from reading their arguments; in float64."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from ferrojax.data.structure import read_structure
from ferrojax.potential import Model, load
from ferrojax.response.dispersion import bands, density_of_states
from ferrojax.response.flexo import flexo_tensors
from ferrojax.response.phonons import Phonons
from ferrojax.response.phonopy_files import save_phonopy
from ferrojax.state import State
from ferrojax.terminal import terminal

NOISE = 0.01  # THz: below minus this a mode counts as unstable


def run_phonons(
    structure: Path,
    model: Path,
    field: Sequence[float],
    points: int,
    mesh: tuple[int, int, int],
    supercell: tuple[int, int, int] | None,
    output: Path,
) -> None:
    """Bands, density of states and zone-centre modes of a relaxed structure into a folder; files for phonopy if a supercell is given."""
    with jax.enable_x64(True):
        network, params, state = _prepared(structure, model)
        phonons = Phonons(network, params, state, field)
        found, states = bands(phonons, points=points), density_of_states(phonons, mesh)
        centre = phonons.frequencies(np.zeros((1, 3)))[0]
        if supercell:
            save_phonopy(phonons, output / "phonopy", supercell)
    found.plot(output / "bands.png", states, str(structure))
    found.save(output / "band.yaml")
    found.save(output / "bands.csv")
    states.save(output / "total_dos.dat")
    lowest, wave = found.lowest
    lines = [f"zone-centre modes without field of the wave, THz: {np.array2string(centre, precision=3, suppress_small=True)}"]
    unstable = f"unstable: {-lowest:.3f}i THz at q = {wave.round(4).tolist()}; follow it with displaced_along"
    lines.append(unstable if lowest < -NOISE else "no unstable mode on the symmetry lines")
    lines.append(f"wrote bands.png, band.yaml, bands.csv, total_dos.dat{', phonopy/' if supercell else ''} to {output}")
    terminal().print("\n".join(lines))


def run_flexo(structure: Path, model: Path, field: Sequence[float], weights: str, json: Path | None) -> None:
    """Print the flexoelectric tensor of a relaxed structure; write all of them as JSON if asked."""
    with jax.enable_x64(True):
        network, params, state = _prepared(structure, model)
        found = flexo_tensors(network, params, state, np.asarray(field), "equal" if weights == "equal" else "mass")
    if json:
        found.save(json)
    terminal().print(found.table())


def _prepared(structure: Path, model: Path) -> tuple[Model, dict, State]:
    network, params, _ = load(model)
    return network, params, network.prepare(read_structure(structure), np.float64, name=str(structure))
