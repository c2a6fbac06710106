"""Special quasirandom structures, by the library sqsgenerator (optional: pip install "ferrojax[sqs]")."""

from __future__ import annotations

from collections.abc import Mapping

from ase import Atoms

from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.structures.alloys import element_counts
from ferrojax.ferroelectrics.structures.sites import pick


def sqs(atoms: Atoms, site: str, composition: Mapping[str, float], seed: int, shells: int = 3, trials: int = 100_000) -> Atoms:
    """The most random of many random alloys: pairs of elements as often neighbours as chance has it,

        min Σ_shells (1/shell) Σ_pairs |1 - N_ij / (N z x_i x_j)|

    with the Warren-Cowley parameter of N_ij ordered pairs in a shell of z neighbours. Zunger et al., Phys. Rev. Lett. 65, 353 (1990);
    the search is that of Gehringer, Friák and Holec, Comput. Phys. Commun. 286, 108664 (2023). site: "A", "B" or "O".
    shells: of neighbours, the nearer the heavier. trials: arrangements that are compared.

    Raises FerrojaxError where sqsgenerator is not installed or refuses the task, and as random_alloy.
    """
    try:
        from sqsgenerator import optimize, parse_config
        from sqsgenerator.core import LogLevel
    except ImportError:
        raise FerrojaxError('sqs: sqsgenerator is not installed; run pip install "ferrojax[sqs]".') from None
    there = pick(atoms, site)
    counts = {element: number for element, number in element_counts(composition, len(there)).items() if number}
    if len(counts) < 2:
        raise FerrojaxError(f"sqs: {len(there)} atoms hold one element only of {dict(composition)}; give a larger supercell.")
    sublattice = atoms[there]
    task = parse_config(
        {
            "structure": {
                "lattice": sublattice.cell.tolist(),
                "coords": sublattice.get_scaled_positions().tolist(),
                "species": sublattice.get_chemical_symbols(),
            },
            "composition": counts,
            "iterations": trials,
            "shell_weights": {shell: 1.0 / shell for shell in range(1, shells + 1)},
            "seed": seed,
            "thread_config": 1,  # with more, what a seed finds depends on the machine
        }
    )
    if hasattr(task, "msg"):
        raise FerrojaxError(f"sqs: sqsgenerator refuses the task ({task.key}: {task.msg}); change the supercell or the shells.")
    results = optimize(task, LogLevel.error)  # named, for the single results point into it
    _, best = min(results, key=lambda level: level[0])
    found = atoms.copy()
    found.numbers[there] = min(tuple(result.species) for result in best)  # equally good ones come in the order of the threads
    return found
