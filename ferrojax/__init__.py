"""ferrojax: a differentiable simulator for ferroelectrics, in JAX.

The names below are the public API; each is imported on first use, so that
``import ferrojax`` and the command line start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ferrojax.allocator import keep_freed_memory
from ferrojax.errors import FerrojaxError

if TYPE_CHECKING:
    from ferrojax.calculator import FerrojaxCalculator
    from ferrojax.data import Frame, fit_reference_energies, read_frames, reference_energy
    from ferrojax.distributed.decomposition import decompose
    from ferrojax.dynamics import NPT, NVE, Langevin, LangevinNPT, NoseHoover
    from ferrojax.dynamics.run import run
    from ferrojax.electrostatics.boundary import Boundary
    from ferrojax.enthalpy import make_enthalpy
    from ferrojax.equilibrium import relax, relax_many, settle, settled_enthalpy, soft_mode
    from ferrojax.potential import Model, ModelConfig, load, preset, save_model
    from ferrojax.response.first import born_charges, chi_inf, energy_forces_stress, polarization, polarization_quantum
    from ferrojax.response.flexo import flexo_tensors
    from ferrojax.response.phonons import Phonons
    from ferrojax.response.tensors import response_tensors
    from ferrojax.state import State, from_ase, to_ase
    from ferrojax.training.api import train
    from ferrojax.training.evaluate import evaluate

__version__ = "0.1.0"

keep_freed_memory()

_HOME = {
    "Boundary": "electrostatics.boundary",
    "FerrojaxCalculator": "calculator",
    "Frame": "data",
    "Langevin": "dynamics",
    "LangevinNPT": "dynamics",
    "Model": "potential",
    "ModelConfig": "potential",
    "NPT": "dynamics",
    "NVE": "dynamics",
    "NoseHoover": "dynamics",
    "Phonons": "response.phonons",
    "State": "state",
    "born_charges": "response.first",
    "chi_inf": "response.first",
    "decompose": "distributed.decomposition",
    "energy_forces_stress": "response.first",
    "evaluate": "training.evaluate",
    "fit_reference_energies": "data",
    "flexo_tensors": "response.flexo",
    "from_ase": "state",
    "load": "potential",
    "make_enthalpy": "enthalpy",
    "polarization": "response.first",
    "polarization_quantum": "response.first",
    "preset": "potential",
    "read_frames": "data",
    "reference_energy": "data",
    "relax": "equilibrium",
    "relax_many": "equilibrium",
    "response_tensors": "response.tensors",
    "run": "dynamics",
    "save_model": "potential",
    "settle": "equilibrium",
    "settled_enthalpy": "equilibrium",
    "soft_mode": "equilibrium",
    "to_ase": "state",
    "train": "training.api",
}

__all__ = [
    "Boundary",
    "FerrojaxCalculator",
    "FerrojaxError",
    "Frame",
    "Langevin",
    "LangevinNPT",
    "Model",
    "ModelConfig",
    "NPT",
    "NVE",
    "NoseHoover",
    "Phonons",
    "State",
    "born_charges",
    "chi_inf",
    "decompose",
    "energy_forces_stress",
    "evaluate",
    "fit_reference_energies",
    "flexo_tensors",
    "from_ase",
    "load",
    "make_enthalpy",
    "polarization",
    "polarization_quantum",
    "preset",
    "read_frames",
    "reference_energy",
    "relax",
    "relax_many",
    "response_tensors",
    "run",
    "save_model",
    "settle",
    "settled_enthalpy",
    "soft_mode",
    "to_ase",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ferrojax' has no attribute {name!r}")
    value = getattr(import_module(f"ferrojax.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
