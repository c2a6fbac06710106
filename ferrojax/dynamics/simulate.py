"""What `ferrojax md` and `ferrojax loop` do, as functions of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import jax
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ferrojax.dynamics.checks import check_temperature, check_time_step
from ferrojax.dynamics.config import IntegratorConfig, LoopConfig, MdConfig, Simulation, StructureConfig, as_value
from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.nose_hoover import NoseHoover
from ferrojax.dynamics.npt import NPT, LangevinNPT
from ferrojax.dynamics.nve import NVE
from ferrojax.dynamics.output import Output
from ferrojax.dynamics.protocols import Triangle, as_protocol
from ferrojax.dynamics.run import Run, run
from ferrojax.electrostatics.boundary import Boundary
from ferrojax.enthalpy import make_enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.ferroelectrics.hysteresis import Hysteresis, hysteresis, save_loop
from ferrojax.potential.bundle import load
from ferrojax.sections import read_section
from ferrojax.shipped import model_folder
from ferrojax.units import GPA, KV_PER_CM

INTEGRATORS: dict[str, Any] = {"nve": NVE, "langevin": Langevin, "nose-hoover": NoseHoover, "npt": NPT, "npt-langevin": LangevinNPT}
SETTINGS = {
    "friction_per_fs": "friction",
    "friction_cell_per_fs": "friction_cell",
    "tau_fs": "tau",
    "tau_cell_fs": "tau_cell",
    "cell": "cell",
}


def simulate(config: MdConfig | str | Path | dict[str, Any], show: bool | None = None) -> Run:
    """Molecular dynamics as a configuration says; called again, it goes on from its last checkpoint.

    Args:
        config: MdConfig, dictionary or YAML file, whose relative paths start from its folder.
        show: a line of progress; None for only on a terminal.

    Raises:
        FerrojaxError: before anything is computed, if a key, value or file is wrong; see also ``run``.
    """
    settings, base = (config, Path()) if isinstance(config, MdConfig) else read_section(MdConfig, config)
    field: Any = (0.0, 0.0, 0.0)
    if settings.field_V_per_A is not None:
        field = as_value(settings.field_V_per_A, 1.0, "field_V_per_A")
    elif settings.field_kV_per_cm is not None:
        field = as_value(settings.field_kV_per_cm, KV_PER_CM, "field_kV_per_cm")
    dt = settings.integrator.time_step_fs
    check_time_step(dt)
    steps = settings.steps if settings.steps is not None else round(1e3 * (settings.time_ps or 0.0) / dt)
    return _run(settings, base, field, steps, show)


def pe_loop(config: LoopConfig | str | Path | dict[str, Any], show: bool | None = None) -> Hysteresis:
    """P-E loop in a triangular field; into the output folder also go loop.csv, loop.json and loop.png.

    The field goes up for a quarter of a period, which is left out, and then through the cycles. Arguments and errors as for ``simulate``.
    """
    settings, base = (config, Path()) if isinstance(config, LoopConfig) else read_section(LoopConfig, config)
    cycle, dt = settings.loop, settings.integrator.time_step_fs
    check_time_step(dt)
    direction = np.asarray(cycle.direction) / np.linalg.norm(cycle.direction)
    period = 1e3 * cycle.period_ps
    field = Triangle(tuple((cycle.amplitude_kV_per_cm * KV_PER_CM * direction).tolist()), period)
    steps = round((cycle.cycles + 0.25) * period / dt)
    if settings.output.every * dt * 40 > period:
        raise FerrojaxError(f"output.every: {settings.output.every} steps leave fewer than 40 points a period; lower it.")
    records = _run(settings, base, field, steps, show).records
    result = hysteresis(records, direction, period)
    save_loop(base / settings.output.folder, result)
    return result


def build_structure(config: StructureConfig, base: Path = Path()) -> Atoms:
    """Atoms of a file or of a perovskite unit cell, repeated. Raises FerrojaxError for a file or element that does not exist."""
    if config.perovskite is not None:
        cell = config.perovskite
        for symbol in cell.elements:
            if symbol not in atomic_numbers or symbol == "X":
                raise FerrojaxError(f"structure.perovskite.elements: {symbol!r} is no chemical element; use symbols such as Pb.")
        c = cell.c_A or cell.a_A
        places = [(0, 0, 0), (0.5, 0.5, 0.5 + cell.shift_A / c), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
        a, b, x = cell.elements
        return Atoms([a, b, x, x, x], scaled_positions=places, cell=(cell.a_A, cell.a_A, c), pbc=True).repeat(config.repeat)
    path = base / str(config.file)
    if not path.exists():
        raise FerrojaxError(f"{path}: no such file; correct structure.file, a path relative to the configuration file.")
    try:
        atoms: Any = ase.io.read(path)
    except Exception as error:  # noqa: BLE001  the readers of ASE raise many types for a file they do not understand
        raise FerrojaxError(
            f"{path}: cannot be read as a structure ({' '.join(str(error).split())[:100]}); give a format of ASE."
        ) from None
    return atoms.repeat(config.repeat)


def build_integrator(config: IntegratorConfig, temperature: Any, stress: Any) -> Any:
    """The integrator of that name. Raises FerrojaxError for a setting it does not have or needs."""
    kind, values = INTEGRATORS[config.name], {"dt": config.time_step_fs}
    for key, name in SETTINGS.items():
        value = getattr(config, key)
        if value is not None and name not in kind.__dataclass_fields__:
            raise FerrojaxError(f"integrator.{key}: {config.name} has no such setting; remove it.")
        values |= {} if value is None else {name: value}
    if "temperature" in kind.__dataclass_fields__:
        if temperature is None:
            raise FerrojaxError(f"temperature_K: is missing; {config.name} needs it.")
        values["temperature"] = temperature
    if "stress" in kind.__dataclass_fields__:
        values["stress"] = stress
    elif not (isinstance(stress, float) and stress == 0.0):
        raise FerrojaxError(f"stress_GPa: {config.name} holds the cell; use npt or npt-langevin, or remove it.")
    return kind(**values)


def _run(settings: Simulation, base: Path, field: Any, steps: int, show: bool | None) -> Run:
    """The part both commands share; all that can be wrong is looked at before the model is compiled."""
    temperature = None if settings.temperature_K is None else as_value(settings.temperature_K, 1.0, "temperature_K")
    stress = as_value(settings.stress_GPa, GPA, "stress_GPa")
    strain = None if settings.strain is None else as_protocol(as_value(settings.strain, 1.0, "strain"))
    integrator = build_integrator(settings.integrator, temperature, stress)
    initial = settings.initial_temperature_K
    if settings.integrator.name == "nve" and initial is None:
        if not isinstance(temperature, float):
            raise FerrojaxError("initial_temperature_K: is missing; nve needs it for its first momenta.")
        check_temperature(temperature, 0.0)
        initial = temperature
    atoms = build_structure(settings.structure, base)
    out = settings.output
    output = Output(
        base / out.folder,
        None if out.trajectory == "none" else out.trajectory,
        out.log,
        out.velocities,
        out.forces,
        out.checkpoint_seconds,
        show,
    )
    model, params, _ = load(model_folder(settings.model, base))
    source = settings.structure.file or "structure"
    with jax.enable_x64(settings.precision == "float64"):
        dtype = np.dtype(settings.precision).type
        state = model.prepare(atoms, dtype, skin=settings.skin_A, name=source)
        enthalpy = make_enthalpy(model, Boundary(settings.boundary))
        key, field = jax.random.key(settings.seed), field if callable(field) else np.asarray(field, dtype)
        conditions = {"temperature": initial, "field": field, "strain": strain}
        return run(enthalpy, params, state, integrator, steps, key=key, every=out.every, output=output, **conditions)
