"""From the ``explore`` section of a configuration to unlabelled structures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ase import Atoms

from ferrojax.data import Frame, read_frames
from ferrojax.data.structure import read_structure, read_structures
from ferrojax.dynamics import NPT, Langevin, Ramp
from ferrojax.dynamics.simulate import build_structure
from ferrojax.enthalpy import shared_enthalpy
from ferrojax.equilibrium import relax
from ferrojax.errors import FerrojaxError
from ferrojax.learning.config import DynamicsSource, Explore, FileSource, ModesSource, PathSource, StrainedSource, WallsSource
from ferrojax.learning.deviation import Measure
from ferrojax.learning.explore import domain_walls, mode_displaced, molecular_dynamics, path_images, strained
from ferrojax.learning.on_the_fly import Stretch, run_until_doubt
from ferrojax.paths.path import minimum_energy_path
from ferrojax.potential import Model
from ferrojax.state import State
from ferrojax.units import GPA, KV_PER_CM

SETTLED = 1e-3  # eV/Å: relaxed well enough to start from
AT_REST = 1e-6  # eV/Å: phonons need a structure at rest


def structures_of(source: Explore, model: Model, params: Any, seed: int, stored: bool = False) -> list[Frame]:
    """Candidates of one source, each a frame without labels, or with those ``stored`` in its file.

    Raises FerrojaxError as the generators of ``ferrojax.learning.explore`` do.
    """
    if isinstance(source, FileSource):
        path = Path(source.path)
        found = read_frames(path) if stored else unlabelled(read_structures(path), path.name)
        return [frame for frame in found if _wanted(source, frame.atoms)]
    make: Callable[..., list[Atoms]] = GENERATORS[type(source)]
    return unlabelled(make(source, model, params, seed), source.kind)


def stretch_of(
    source: DynamicsSource, measure: Measure, params: Any, levels: tuple[float, float], seed: int, last: Atoms | None
) -> Stretch:
    """The next stretch of a run that each round continues, from ``last``, where the round before left it."""
    start = build_structure(source.structure) if last is None else last
    [integrator], field = _runs(source), _field(source)
    return run_until_doubt(measure, params, start, integrator, _steps(source), levels, _every(source), field, seed)


def unlabelled(structures: list[Atoms], name: str) -> list[Frame]:
    """Frames without labels, the structures' ``info`` kept."""
    frames = []
    for k, structure in enumerate(structures):
        atoms = Atoms(structure.numbers, positions=structure.positions, cell=structure.cell, pbc=structure.pbc, info=structure.info)
        frames.append(Frame(atoms, system=str(structure.info.get("origin", "")), source=f"{name}, structure {k}"))
    return frames


def _wanted(source: FileSource, atoms: Atoms) -> bool:
    known = source.elements is None or set(atoms.symbols) <= set(source.elements)
    return known and (source.max_atoms is None or len(atoms) <= source.max_atoms)


def _strained(source: StrainedSource, model: Model, params: Any, seed: int) -> list[Atoms]:
    return strained(_start(source, model, params), source.count, source.strain, source.shear, source.rattle_A, seed)


def _modes(source: ModesSource, model: Model, params: Any, seed: int) -> list[Atoms]:
    start = _start(source, model, params, AT_REST)
    return mode_displaced(model, params, start, source.count, source.supercell, source.temperature_K, source.maximum_A, seed)


def _walls(source: WallsSource, model: Model, params: Any, seed: int) -> list[Atoms]:
    start = _start(source, model, params)
    return domain_walls(start, source.cells, source.normal, source.axis, source.count, source.rattle_A, seed)


def _dynamics(source: DynamicsSource, model: Model, params: Any, seed: int) -> list[Atoms]:
    return molecular_dynamics(
        model,
        params,
        build_structure(source.structure),
        _runs(source),
        steps=_steps(source),
        every=_every(source),
        skip=round(1e3 * source.skip_ps / source.time_step_fs),
        field=_field(source),
        seed=seed,
    )


def _steps(source: DynamicsSource) -> int:
    return round(1e3 * source.time_ps / source.time_step_fs)


def _every(source: DynamicsSource) -> int:
    return max(1, round(source.every_fs / source.time_step_fs))


def _runs(source: DynamicsSource) -> list[Any]:
    """An integrator for each temperature and pressure."""
    return [_integrator(source, t, p) for t in source.temperatures_K for p in source.pressures_GPa]


def _integrator(source: DynamicsSource, kelvin: Any, pressure: Any) -> Any:
    temperature = _over_the_run(source, kelvin)
    if source.ensemble == "nvt":
        return Langevin(dt=source.time_step_fs, temperature=temperature, friction=0.01)
    return NPT(dt=source.time_step_fs, temperature=temperature, stress=_over_the_run(source, pressure, -GPA))


def _field(source: DynamicsSource) -> Any:
    """V/Å, or its ramp."""
    given = np.array(source.field_kV_per_cm)
    return _over_the_run(source, tuple(given), KV_PER_CM) if given.ndim == 2 else KV_PER_CM * given


def _over_the_run(source: DynamicsSource, value: Any, unit: float = 1.0) -> Any:
    """A number, or for a pair a ramp from one to the other."""
    return Ramp(unit * value[0], unit * value[1], duration=1e3 * source.time_ps) if isinstance(value, tuple) else unit * value


def _path(source: PathSource, model: Model, params: Any, seed: int) -> list[Atoms]:
    with jax.enable_x64(True):
        first, last = (_relaxed(model, params, read_structure(Path(name)), 1e-4, cell=False) for name in (source.initial, source.final))
        return path_images(minimum_energy_path(shared_enthalpy(model), params, first, last, images=source.images))


def _start(source: Any, model: Model, params: Any, tolerance: float = SETTLED) -> Atoms:
    atoms = build_structure(source.structure)
    if not source.relax:
        return atoms
    with jax.enable_x64(True):
        relaxed = _relaxed(model, params, atoms, tolerance, cell=True).to_ase()
    relaxed.info = dict(atoms.info)
    return relaxed


def _relaxed(model: Model, params: Any, atoms: Atoms, tolerance: float, cell: bool) -> State:
    state = model.prepare(atoms, np.float64, skin=1.0, name="structure to explore from")
    return relax(shared_enthalpy(model), params, state, cell=cell, force_tolerance=tolerance, symmetric=True).state


GENERATORS: dict[type, Any] = {
    StrainedSource: _strained,
    ModesSource: _modes,
    WallsSource: _walls,
    DynamicsSource: _dynamics,
    PathSource: _path,
}


def check_sources(sources: list[Explore]) -> None:
    """Raises FerrojaxError, before anything is trained, for a structure or file that is not there."""
    for source in sources:
        if isinstance(source, FileSource) and not Path(source.path).exists():
            raise FerrojaxError(f"explore.path: {source.path} does not exist; correct it.")
        if isinstance(source, PathSource):
            for name in (source.initial, source.final):
                read_structure(Path(name))
        if hasattr(source, "structure"):
            build_structure(source.structure)
