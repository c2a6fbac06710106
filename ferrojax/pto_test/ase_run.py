"""A run of an ASE calculator that can be killed and goes on: ASE's integrators with their inner state in a checkpoint."""

from __future__ import annotations

import io
import json
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.npt import NPT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from jaxtyping import Float
from tqdm import tqdm

from ferrojax.errors import FerrojaxError
from ferrojax.files import write_bytes
from ferrojax.pto_test.config import Npt
from ferrojax.pto_test.models import ModelFailure, Plan
from ferrojax.pto_test.series import COLUMNS, Frames, trouble
from ferrojax.signals import caught_signals

# Of ase.md.npt.NPT: with these it takes the next step as if it had never stopped.
MOTION = ("h", "h_past", "inv_h", "q", "q_past", "q_future", "eta", "eta_past", "zeta", "zeta_past", "zeta_integrated")
INNER = (*MOTION, "timeelapsed", "pfact")  # the last depends on the volume of the first step


def integrator(atoms: Atoms, plan: Plan, rng: np.random.Generator) -> NPT | Langevin:
    """ASE's NPT (Melchionna's form of Nose-Hoover and Parrinello-Rahman) with the three edges free, or Langevin dynamics."""
    ensemble, step = plan.ensemble, plan.time_step * units.fs
    with warnings.catch_warnings():
        # ASE warns that newer integrators exist; the protocol names these.
        warnings.simplefilter("ignore", FutureWarning)
        if isinstance(ensemble, Npt):
            times = {"ttime": ensemble.thermostat_fs * units.fs, "pfactor": ensemble.pfactor_fs * units.fs}
            return NPT(atoms, step, temperature_K=plan.temperature, externalstress=0.0, mask=np.eye(3), **times)
        return Langevin(atoms, step, temperature_K=plan.temperature, friction=ensemble.friction_per_fs / units.fs, rng=rng)


class AseRun:
    """One run: from the start, or from the checkpoint in its folder."""

    def __init__(self, atoms: Atoms, calculator: Any, plan: Plan, path: Path | None = None) -> None:
        """``path``: of the checkpoint. Raises FerrojaxError for one that cannot be read."""
        self.atoms, self.plan, self.path = atoms.copy(), plan, path
        self.atoms.calc = calculator
        self.rng = np.random.default_rng([plan.seed, round(plan.temperature)])
        self.step, self.rows = 0, np.zeros((0, len(COLUMNS)))
        saved = _read(self.path)
        if saved is None:
            MaxwellBoltzmannDistribution(self.atoms, temperature_K=plan.temperature, rng=self.rng)
            Stationary(self.atoms, preserve_temperature=False)
            self.motion = integrator(self.atoms, plan, self.rng)
        else:
            self._restore(saved)

    def go(self) -> Float[np.ndarray, "records 14"]:
        """Steps to the end of the plan; SIGTERM and SIGINT save and exit. Raises ModelFailure where the crystal is lost."""
        saved, plan = time.monotonic(), self.plan
        with caught_signals() as caught, self._bar() as bar:
            while self.step < plan.steps:
                self._advance(min(plan.every, plan.steps - self.step))
                bar.update(self.step - bar.n)
                found = trouble(self.rows, plan.melted)
                if found or caught or time.monotonic() - saved >= plan.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
                if found:
                    raise ModelFailure(found, self.rows)
                if caught:
                    raise SystemExit(128 + caught[0])
        self._save()
        return self.rows

    def _advance(self, steps: int) -> None:
        try:
            self.motion.run(steps)
            energy, temperature = self.atoms.get_potential_energy(), self.atoms.get_temperature()
            dipole = own_dipole(self.atoms) if self.plan.scale.reference is not None else None
        except Exception as error:  # noqa: BLE001  calculators of others raise anything; the model's failure is what is recorded
            when = f"{(self.step + steps) * self.plan.time_step / 1e3:.2f} ps"
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise ModelFailure(f"the calculator failed by {when}: {reason}", self.rows) from error
        self.step += steps
        step, kelvin, potential = (np.array([x], float) for x in (self.step, temperature, energy))
        boxes, places = self.atoms.cell.array[None], self.atoms.positions[None]
        frames = Frames(step, kelvin, potential, boxes, places, None if dipole is None else dipole[None])
        self.rows = np.vstack([self.rows, self.plan.scale.table(frames)])

    def _bar(self) -> tqdm:
        text = f"{type(self.plan.ensemble).__name__.upper()} {self.plan.temperature:g} K"
        return tqdm(total=self.plan.steps, initial=self.step, desc=text, unit="step", disable=None)

    def _save(self) -> None:
        if self.path is None:
            return
        data, atoms = io.BytesIO(), self.atoms
        arrays = {"rows": self.rows, "step": self.step, "positions": atoms.positions, "momenta": atoms.get_momenta()}
        arrays["cell"] = atoms.cell.array
        if isinstance(self.motion, NPT):
            arrays |= {f"npt_{name}": np.asarray(getattr(self.motion, name)) for name in INNER}
        np.savez(data, rng=json.dumps(self.rng.bit_generator.state), **arrays)
        write_bytes(self.path, data.getvalue())

    def _restore(self, saved: dict[str, np.ndarray]) -> None:
        self.step, self.rows = int(saved["step"]), saved["rows"]
        self.atoms.set_cell(saved["cell"])
        self.atoms.positions, self.rng.bit_generator.state = saved["positions"], json.loads(str(saved["rng"]))
        self.motion = integrator(self.atoms, self.plan, self.rng)
        self.atoms.set_momenta(saved["momenta"])
        if isinstance(self.motion, NPT):
            for name in INNER:
                setattr(self.motion, name, saved[f"npt_{name}"])
            self.motion.initialized = 1


def own_dipole(atoms: Atoms) -> Float[np.ndarray, " 3"] | None:
    """The calculator's dipole, e Å; None where it has none."""
    if "dipole" not in getattr(atoms.calc, "implemented_properties", ()):
        return None
    return np.asarray(atoms.get_dipole_moment(), float)


def _read(path: Path | None) -> dict[str, np.ndarray] | None:
    if path is None or not path.exists():
        return None
    try:
        with np.load(path) as saved:
            return dict(saved)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise FerrojaxError(f"{path}: cannot be read as a checkpoint; remove it to start this temperature anew.") from None
