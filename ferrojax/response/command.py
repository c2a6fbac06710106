"""What `ferrojax relax` and `ferrojax response` do, apart from reading their arguments; in float64."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.io.formats import UnknownFileTypeError, filetype, ioformats

from ferrojax import effective
from ferrojax.data.structure import read_structure
from ferrojax.effective.lattice import VOIGT, VOIGT_NAMES
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium import relax, space_group
from ferrojax.equilibrium.relax import Relaxation
from ferrojax.errors import FerrojaxError
from ferrojax.files import unwritable
from ferrojax.potential import load
from ferrojax.response.born_file import save_born
from ferrojax.response.first import energy_forces_stress
from ferrojax.response.record import ResponseTensors
from ferrojax.response.tensors import response_tensors
from ferrojax.terminal import terminal
from ferrojax.units import GPA

SKIN = 1.0  # Å


def run_relax(
    structure: Path,
    model: Path,
    field: Sequence[float],
    pressure: float | None,
    stress: Sequence[float] | None,
    cell: str,
    symmetric: bool,
    force_tolerance: float,
    output: Path | None,
) -> None:
    """Relax a structure, print what came out, and write it if asked. pressure, stress: GPa; cell: see ``cell_mask``."""
    if pressure is not None and stress is not None:
        raise FerrojaxError("relax: give --pressure or --stress, not both.")
    format = _format(output) if output else ""
    network, params, _ = load(model)
    held = stress_tensor(stress) * GPA if stress is not None else -(pressure or 0.0) * GPA * np.eye(3)
    with jax.enable_x64(True):
        state, enthalpy = network.prepare(read_structure(structure), np.float64, skin=SKIN, name=str(structure)), make_enthalpy(network)
        before = space_group(state)
        # A stress as small as the forces: 1e-5 eV/Å³ is 1.6 MPa.
        found = relax(
            enthalpy, params, state, field, cell_mask(cell), force_tolerance, 1e-2 * force_tolerance, 2000, held, symmetric, stability=True
        )
        _, forces, tension = energy_forces_stress(enthalpy, params, found.state, jax.numpy.asarray(field, float))
        terminal().print(_report(found, before, np.asarray(tension)))
    if output:
        atoms = found.state.to_ase()
        voigt = [float(tension[i, j]) for i, j in VOIGT]
        atoms.calc = SinglePointCalculator(atoms, energy=found.energy, forces=np.asarray(forces), stress=np.array(voigt))
        _write(output, atoms, format)


def run_response(
    structure: Path | None,
    model: Path | None,
    lattice: str | None,
    direction: Sequence[float],
    field: Sequence[float],
    json: Path | None,
    born: Path | None,
) -> None:
    """Print the response tensors of a relaxed structure, or of a well of the effective Hamiltonian; write JSON and BORN if asked."""
    if (lattice is None) == (model is None) or (model is None) != (structure is None):
        raise FerrojaxError("response: give a STRUCTURE and --model, or --effective alone.")
    with jax.enable_x64(True):
        if lattice is not None:
            if born or any(field):
                raise FerrojaxError(
                    "response: --born and --field are for a STRUCTURE; a lattice of modes has neither atoms nor a field here."
                )
            found = _of_well(lattice, direction)
        else:
            network, params, _ = load(model)  # type: ignore[arg-type]
            state = network.prepare(read_structure(structure), np.float64, name=str(structure))  # type: ignore[arg-type]
            found = response_tensors(make_enthalpy(network), params, state, field=field)
            if born:
                save_born(born, found, state)
    if json:
        found.save(json)
    terminal().print(found.table())


def cell_mask(word: str) -> bool | np.ndarray:
    """True for "full", False for "fixed", else the mask of the components named, such as "xx,yy,zz". FerrojaxError for others."""
    if word in ("full", "fixed"):
        return word == "full"
    mask = np.zeros((3, 3))
    for name in word.split(","):
        if name not in VOIGT_NAMES:
            raise FerrojaxError(f"--cell {word}: give full, fixed, or components of {','.join(VOIGT_NAMES)}.")
        i, j = VOIGT[VOIGT_NAMES.index(name)]
        mask[i, j] = mask[j, i] = 1.0
    return mask


def stress_tensor(voigt: Sequence[float]) -> np.ndarray:
    """The symmetric tensor of xx yy zz yz xz xy, without factors of two."""
    tensor = np.zeros((3, 3))
    for value, (i, j) in zip(voigt, VOIGT):
        tensor[i, j] = tensor[j, i] = value
    return tensor


def _of_well(name: str, direction: Sequence[float]) -> ResponseTensors:
    params = effective.load_parameters(name)
    well = effective.well(params, direction)
    return response_tensors(effective.make_enthalpy((1, 1, 1)), params, effective.prepare(params, well.state), well.strain)


def _report(found: Relaxation, before: str, stress: np.ndarray) -> str:
    cell = found.state.to_ase().cell
    return "\n".join(
        [
            f"relaxed in {found.steps} steps: enthalpy {found.energy:.8f} eV, largest force {found.max_force:.2g} eV/Å",
            f"stress (GPa, xx yy zz yz xz xy): {np.array2string(np.array([stress[i, j] for i, j in VOIGT]) / GPA, precision=4)}",
            f"space group: {before} before, {space_group(found.state)} after",
            f"cell: {', '.join(f'{x:.5f}' for x in cell.lengths())} Å, {', '.join(f'{x:.3f}' for x in cell.angles())}°",
            f"softest mode: {found.softest}" + ("" if _stable(found) else " -- not a minimum: displace it and relax again"),
        ]
    )


def _stable(found: Relaxation) -> bool:
    return found.softest is not None and found.softest.stiffness > 0


def _format(path: Path) -> str:
    """The format that the name says. FerrojaxError if ASE writes none of that name."""
    try:
        format = filetype(str(path), read=False)
    except UnknownFileTypeError:
        format = ""
    if format not in ioformats or not ioformats[format].can_write:
        raise FerrojaxError(f"{path}: ASE knows no format of that name that it can write; end it in .xyz, .cif, .vasp or the like.")
    return format


def _write(path: Path, atoms: Atoms, format: str) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(str(temporary), atoms, format=format)
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)
