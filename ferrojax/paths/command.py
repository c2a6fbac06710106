"""What `ferrojax barrier` does, apart from reading its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as File

import jax
import numpy as np
from ase.io import read
from jaxtyping import Float
from rich.console import Console

from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.paths.record import save_switching
from ferrojax.paths.switching import Switching, switching_barrier
from ferrojax.potential import Model, load_model
from ferrojax.state import State
from ferrojax.units import GPA

STRAINS = ("xx", "yy", "zz", "yz", "xz", "xy")


def run_barrier(
    model: File,
    initial: File,
    final: File,
    output: File,
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
    unknown = sorted(set(free) - set(STRAINS))
    if unknown:
        raise FerrojaxError(f"barrier: {', '.join(unknown)} is no strain; choose from {', '.join(STRAINS)}.")
    with jax.enable_x64(True):
        network, params, _ = load_model(model)
        enthalpy = make_enthalpy(network)
        ends = [_structure(network, path) for path in (initial, final)]
        # Near enough to the minima of the chosen conditions, to which switching_barrier takes them.
        first, last = (relax(enthalpy, params, end, field, cell=False, force_tolerance=0.02).state for end in ends)
        found = switching_barrier(
            enthalpy,
            params,
            first,
            last,
            field=field,
            free=[STRAINS.index(name) for name in free],
            stress=_tensor(stress) * GPA,
            second=second,
            images=images,
            method=method,
            start=start,
            force_tolerance=force_tolerance,
        )
        save_switching(found, output)
        console = Console()
        for name, side in (("forward", found.forward), ("backward", found.backward)):
            console.print(f"{name}: " + str(side).replace("; ", "\n  "), highlight=False)
        console.print(f"unstable mode {found.saddle.softest()}; {found.path.steps} steps; written to {output}", highlight=False)
    return found


def _structure(model: Model, path: File) -> State:
    try:
        atoms = read(path)
    except FileNotFoundError:
        raise FerrojaxError(f"{path}: no such file; give a structure that ASE reads.") from None
    except Exception as error:  # noqa: BLE001  ASE's readers raise anything
        raise FerrojaxError(f"{path}: ASE cannot read it ({error}); give POSCAR, CIF, extended XYZ, ...") from None
    return model.prepare(atoms, dtype=np.float64, skin=1.0, name=str(path))


def _tensor(voigt: Sequence[float]) -> Float[np.ndarray, "3 3"]:
    xx, yy, zz, yz, xz, xy = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
