"""A ferrojax model under test: relaxed in float64, run by its own compiled integrators."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms, units
from jaxtyping import Float

from ferrojax.calculator import FerrojaxCalculator
from ferrojax.dynamics.checkpoint import Checkpoints
from ferrojax.dynamics.langevin import Langevin
from ferrojax.dynamics.log import read_log
from ferrojax.dynamics.npt import NPT
from ferrojax.dynamics.output import Output
from ferrojax.dynamics.run import DynamicsError, run
from ferrojax.enthalpy import make_enthalpy
from ferrojax.equilibrium.relax import relax
from ferrojax.errors import FerrojaxError
from ferrojax.potential.bundle import load
from ferrojax.pto_test.config import Npt, PtoTestConfig
from ferrojax.pto_test.models import ModelFailure, Plan, Potential, Relaxed
from ferrojax.pto_test.series import COLUMNS, Frames, trouble
from ferrojax.shipped import model_folder
from ferrojax.units import BOLTZMANN, FEMTOSECOND, GPA

SKIN, SKIN_IN_MOTION = 1.0, 2.0  # Å
STRETCH = 2000  # steps, after which the crystal is looked at
WARM_UPS = 5  # runs at most before a step is timed


class JaxPotential(Potential):
    """A model folder."""

    def __init__(self, path: str | Path, precision: str = "float32") -> None:
        """``precision``: of the dynamics. Raises FerrojaxError if there is no model."""
        self.model, self.params, info = load(path)
        self.enthalpy = make_enthalpy(self.model)
        self.precision, self.name = precision, str(path)
        config = (model_folder(path) / "config.json").read_bytes()  # holds the hash of the parameters too
        self.identity = {"model": hashlib.sha256(config).hexdigest(), "precision": precision}

    def relax(self, atoms: Atoms, config: PtoTestConfig) -> Relaxed:
        """L-BFGS and Newton's method, the space group kept."""
        settings = config.statics
        # ASE's cell filters ask of V σ / N what they ask of a force; a stress below 0.01 GPa is of that size.
        tolerances = (settings.force_tolerance_eV_per_A, 0.01 * GPA, settings.max_steps)
        with jax.enable_x64(True):
            state = self.model.prepare(atoms, np.float64, skin=SKIN, name=atoms.get_chemical_formula())
            try:
                found = relax(self.enthalpy, self.params, state, (0.0, 0.0, 0.0), True, *tolerances, symmetric=True)
            except FerrojaxError as error:
                raise ModelFailure(str(error)) from None
            return Relaxed(found.state.to_ase(), found.energy, found.max_force, found.converged)

    def forces(self) -> Callable[[Atoms], Float[np.ndarray, "atoms 3"]]:
        """In float64."""
        with jax.enable_x64(True):
            calculator = self._calculator()

        def of(atoms: Atoms) -> np.ndarray:
            with jax.enable_x64(True):
                return np.asarray(calculator.get_forces(atoms))

        return of

    def dipole(self, atoms: Atoms) -> Float[np.ndarray, " 3"]:
        """M of the charge flow, on the branch of unwrapped positions."""
        with jax.enable_x64(True):
            return np.asarray(self._calculator().get_dipole_moment(atoms), float)

    def dynamics(self, atoms: Atoms, plan: Plan, folder: Path) -> Float[np.ndarray, "records 14"]:
        """Nose-Hoover chains with the three edges free, or Langevin dynamics; trajectory.h5, log.csv and checkpoints in ``folder``."""
        system = (self.enthalpy, self.params, self._prepared(atoms), _integrator(atoms, plan))
        output = Output(folder, checkpoint_seconds=plan.checkpoint_seconds)
        saved, _ = Checkpoints(folder / "checkpoints").newest()
        stops = [*range(STRETCH, plan.steps, STRETCH), plan.steps]
        rows = np.empty((0, len(COLUMNS)))
        for stop in (stop for stop in stops if saved is None or stop >= saved.meta["step"]):
            try:
                with jax.enable_x64(self.precision == "float64"):
                    run(*system, stop, key=_key(plan), output=output, every=plan.every)
            except DynamicsError as error:
                raise ModelFailure(str(error), _extended(rows, plan, folder)) from None
            rows = _extended(rows, plan, folder)
            found = trouble(rows, plan.melted)
            if found:
                raise ModelFailure(found, rows)
        return rows

    def seconds_per_step(self, atoms: Atoms, plan: Plan) -> float:
        """Of the first run that ends with lists as long as they were: one that compiles nothing, once the crystal moves as it will."""
        state, integrator, progress = self._prepared(atoms), _integrator(atoms, plan), None
        for _ in range(WARM_UPS):
            before, began = jax.tree.map(jnp.shape, state), time.perf_counter()
            with jax.enable_x64(self.precision == "float64"):
                system = (self.enthalpy, self.params, state, integrator, plan.steps)
                done = run(*system, key=_key(plan), progress=progress, every=plan.every, keep_positions=False)
            seconds = time.perf_counter() - began
            state, first, progress = done.state, progress is None, done.progress
            if not first and jax.tree.map(jnp.shape, state) == before:
                break
        return seconds / plan.steps

    def _calculator(self) -> FerrojaxCalculator:
        return FerrojaxCalculator(self.model, self.params, dtype=np.float64)

    def _prepared(self, atoms: Atoms) -> Any:
        with jax.enable_x64(self.precision == "float64"):
            return self.model.prepare(atoms, np.dtype(self.precision).type, skin=SKIN_IN_MOTION, name=atoms.get_chemical_formula())


def _key(plan: Plan) -> jax.Array:
    return jax.random.fold_in(jax.random.key(plan.seed), round(plan.temperature))


def _integrator(atoms: Atoms, plan: Plan) -> NPT | Langevin:
    ensemble = plan.ensemble
    if isinstance(ensemble, Npt):
        times = {"tau": ensemble.thermostat_fs, "tau_cell": cell_period(atoms, plan.temperature, ensemble.pfactor_fs)}
        return NPT(dt=plan.time_step, temperature=plan.temperature, cell="orthorhombic", **times)
    return Langevin(dt=plan.time_step, temperature=plan.temperature, friction=ensemble.friction_per_fs)


def cell_period(atoms: Atoms, temperature: float, pfactor_fs: float) -> float:
    """τ, fs, that gives the cell the inertia of ASE's ``pfactor``.

    There V dσ/W with W = pfactor V₀, here W = (N_f + 3) kT τ²/3 with N_f = 3N - 3, so τ² = pfactor V₀/(N kT).
    """
    inertia = pfactor_fs * units.fs * atoms.get_volume()  # eV times ASE's time squared, which is also ours
    return float(np.sqrt(inertia / (len(atoms) * BOLTZMANN * temperature)) / FEMTOSECOND)


def _extended(rows: Float[np.ndarray, "records 14"], plan: Plan, folder: Path) -> Float[np.ndarray, "more 14"]:
    """The rows, and those of the records that the log and the trajectory have after them."""
    log, new = read_log(folder), slice(len(rows), None)
    with h5py.File(folder / "trajectory.h5") as file:
        positions = np.asarray(file["particles/all/position/value"][new], np.float64)
    dipole = None if log.dipole is None else log.dipole[new]
    frames = Frames(log.step[new], log.temperature[new], log.potential[new], log.cell[new], positions, dipole)
    return np.vstack([rows, plan.scale.table(frames)])
