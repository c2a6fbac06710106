"""Speed of the long-range energy and its gradient in charges, positions and cell, float32.

    python benchmarks/electrostatics.py --sizes 625 5000 20480 --json benchmarks/results/electrostatics-cpu.json

Rattled PbTiO3, formal charges, Gaussians of 1 Å, reciprocal cutoff of the default tolerance.
"cpu" is processor time of all threads, which other load on the machine disturbs less than
wall time. "error" is the root mean square force error over the rms force, against an Ewald sum
converged to 1e-7, up to 5,000 atoms.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from potential import environment, supercell, write_json

from ferrojax.electrostatics.ewald import ewald_energy, inverse_cell, k_cutoff
from ferrojax.electrostatics.mesh import mesh_energy, mesh_shape
from ferrojax.topology import reciprocal_box
from ferrojax.units import COULOMB

SMEARING = 1.0
FORMAL_CHARGES = {82: 2.0, 22: 4.0, 8: -2.0}
EWALD_LIMIT = 5500  # atoms; beyond it the Ewald sum is only slow
REPEATS = 7


def jax_pme_energy(
    charges: Float[Array, " atoms"],
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    kgrid: tuple[int, int, int],
    smearing: float,
) -> Float[Array, ""]:
    """The same energy from jax-pme's P3M of highest order, 5, on the mesh of ``mesh_energy``, self-interaction put back."""
    from jaxpme.kspace import generate_kvectors
    from jaxpme.potentials import potential
    from jaxpme.solvers import p3m

    inverse, volume = inverse_cell(cell)
    shape = mesh_shape(kgrid)
    reciprocal = 2 * np.pi * inverse.T
    vectors = generate_kvectors(reciprocal, shape, for_ewald=False, dtype=cell.dtype)
    solver = p3m(potential(), interpolation_nodes=5)
    width = np.sqrt(2.0) * smearing  # its kernel is exp(-s²k²/2)/k²
    acting = solver.kspace(width, charges, reciprocal, np.ones(shape), vectors, positions, volume, cell, None)
    itself = jnp.sum(charges**2) / (2 * np.sqrt(np.pi) * smearing)
    return COULOMB * (charges @ acting + itself)


METHODS: dict[str, Callable] = {"ewald": ewald_energy, "mesh": mesh_energy, "jax-pme": jax_pme_energy}


def system(atoms: int) -> tuple[Array, Array, Array]:
    """Charges, positions and cell of a rattled supercell, float32."""
    structure = supercell(atoms, 0)
    charges = [FORMAL_CHARGES[int(number)] for number in structure.numbers]
    single = jnp.float32
    return jnp.asarray(charges, single), jnp.asarray(structure.positions, single), jnp.asarray(structure.cell.array, single)


def gradient(method: str, kgrid: tuple[int, int, int]) -> Callable:
    """Jitted value and gradient in charges, positions and cell."""
    return jax.jit(jax.value_and_grad(partial(METHODS[method], kgrid=kgrid, smearing=SMEARING), (0, 1, 2)))


def measure(method: str, atoms: int) -> dict:
    """One row: compile time, wall and processor time of a call, force error."""
    arguments = system(atoms)
    count, cell = len(arguments[0]), np.asarray(arguments[2])
    function = gradient(method, reciprocal_box(cell, k_cutoff(SMEARING)))
    start = time.perf_counter()
    forces = jax.block_until_ready(function(*arguments))[1][1]
    compile_time = time.perf_counter() - start
    wall, cpu = [], []
    for _ in range(REPEATS):
        start, start_cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(function(*arguments))
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    error = None
    if count <= EWALD_LIMIT:
        exact = gradient("ewald", reciprocal_box(cell, k_cutoff(SMEARING, 1e-7)))(*arguments)[1][1]
        error = float(jnp.sqrt(jnp.mean((forces - exact) ** 2) / jnp.mean(exact**2)))
    scale = 1e6 / count
    return {
        "method": method,
        "atoms": count,
        "us_per_atom": scale * statistics.median(wall),
        "us_per_atom_best": scale * min(wall),
        "us_per_atom_cpu": scale * min(cpu),
        "compile_s": compile_time,
        "force_error": error,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[40, 320, 625, 1080, 5000, 20480, 40000], help="atoms")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--json", type=Path, help="write the table here too")
    options = parser.parse_args()
    rows = []
    print(environment())
    print(f"{'method':10}{'atoms':>8}{'us/atom':>10}{'best':>8}{'cpu':>8}{'compile s':>11}{'error':>10}")
    for atoms in sorted(options.sizes):
        for method in options.methods:
            if method == "ewald" and atoms > EWALD_LIMIT:
                continue
            row = measure(method, atoms)
            rows.append(row)
            error = "–" if row["force_error"] is None else f"{row['force_error']:.1e}"
            print(
                f"{row['method']:10}{row['atoms']:8}{row['us_per_atom']:10.2f}{row['us_per_atom_best']:8.2f}"
                f"{row['us_per_atom_cpu']:8.2f}{row['compile_s']:11.1f}{error:>10}",
                flush=True,
            )
    if options.json:
        write_json(options.json, rows=rows)


if __name__ == "__main__":
    main()
