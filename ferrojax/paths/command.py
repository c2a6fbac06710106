"""What `ferrojax barrier` does, apart from reading its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as File

import jax
import numpy as np

from ferrojax.data.structure import read_structure
from ferrojax.effective.lattice import VOIGT_NAMES
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.paths.record import save_switching
from ferrojax.paths.switching import Switching, switching_barrier
from ferrojax.potential import load
from ferrojax.response.command import stress_tensor
from ferrojax.terminal import terminal
from ferrojax.units import GPA


def run_barrier(
    initial: File,
    final: File,
    model: File,
    out: File,
    field: Sequence[float] = (0.0, 0.0, 0.0),
    free: Sequence[str] = (),
    stress: Sequence[float] = (0.0,) * 6,
    images: int = 9,
    method: str = "neb",
    start: str = "linear",
    force_tolerance: float = 0.01,
    second: bool = False,
) -> Switching:
    """Relax two structures, find the path between them, print the barrier with its derivatives and write all of it to a folder.

    field: V/Å. free: names of strains that follow. stress: GPa, Voigt. Raises FerrojaxError for a file that ASE cannot read, and as
    ``switching_barrier`` does.
    """
    unknown = sorted(set(free) - set(VOIGT_NAMES))
    if unknown:
        raise FerrojaxError(f"barrier: {', '.join(unknown)} is no strain; choose from {', '.join(VOIGT_NAMES)}.")
    with jax.enable_x64(True):
        network, params, _ = load(model)
        enthalpy = make_enthalpy(network)
        ends = [network.prepare(read_structure(path), np.float64, skin=1.0, name=str(path)) for path in (initial, final)]
        # Near enough to the minima of the chosen conditions, to which switching_barrier takes them.
        first, last = (relax(enthalpy, params, end, field, cell=False, force_tolerance=0.02).state for end in ends)
        found = switching_barrier(
            enthalpy,
            params,
            first,
            last,
            field=field,
            free=[VOIGT_NAMES.index(name) for name in free],
            stress=stress_tensor(stress) * GPA,
            second=second,
            images=images,
            method=method,
            start=start,
            force_tolerance=force_tolerance,
        )
        save_switching(found, out)
        console = terminal()
        for name, side in (("forward", found.forward), ("backward", found.backward)):
            console.print(f"{name}: " + str(side).replace("; ", "\n  "))
        console.print(f"unstable mode {found.saddle.softest()}; {found.path.steps} steps; written to {out}")
    return found
