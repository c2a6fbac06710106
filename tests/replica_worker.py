"""Replicas in processes of their own.

python replica_worker.py single DEVICES OUT.npz
python replica_worker.py many PROCESS PROCESSES PORT DEVICES FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def virtual_devices(count: int) -> None:
    """Must come before JAX."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count} --xla_backend_optimization_level=0"
    os.environ["JAX_PLATFORMS"] = "cpu"


def fleet(indices):
    """Replicas of ten, by index: their temperatures and keys do not depend on who runs them."""
    import jax
    from toy_model import ToyModel, rattled_triclinic

    from ferrojax.dynamics import Langevin
    from ferrojax.dynamics.replicas import run_replicas
    from ferrojax.enthalpy import make_enthalpy

    jax.config.update("jax_enable_x64", True)
    model = ToyModel()
    state = model.prepare(rattled_triclinic(), skin=0.4)
    integrators = [Langevin(dt=1.0, temperature=100.0 + 50.0 * k, friction=0.01) for k in indices]
    keys = jax.random.split(jax.random.key(2), 10)[jax.numpy.asarray(indices)]
    return run_replicas(make_enthalpy(model), model.params, state, integrators, 50, key=keys)


def wells(indices):
    """Ten double wells, likewise; they compile at once."""
    import jax
    from double_well import BARRIER, double_well, two_atoms

    from ferrojax.dynamics import Langevin
    from ferrojax.dynamics.replicas import run_replicas

    jax.config.update("jax_enable_x64", True)
    integrators = [Langevin(dt=2.0, temperature=100.0 + 50.0 * k, friction=0.01) for k in indices]
    keys = jax.random.split(jax.random.key(2), 10)[jax.numpy.asarray(indices)]
    return run_replicas(double_well, {"h": BARRIER}, two_atoms(skin=0.3), integrators, 60, key=keys)


def single(devices: str, out: str) -> None:
    """All ten in one process."""
    virtual_devices(int(devices))
    import jax
    import numpy as np

    end = fleet(range(10))
    np.savez(out, positions=end.state.positions, rebuilds=end.rebuilds, devices=len(jax.devices()))


def many(process: str, processes: str, port: str, devices: str, folder: str) -> None:
    """This process's share of the ten; each writes its own, the first writes what it gathered of all."""
    virtual_devices(int(devices))
    import jax
    import numpy as np

    from ferrojax.distributed.cluster import gather, initialize, share

    initialize(f"localhost:{port}", int(processes), int(process))
    mine = share(10)
    end = wells(mine)
    np.savez(Path(folder) / f"process{process}.npz", index=np.asarray(mine), positions=end.state.positions)
    totals = gather(end.records.total, 10)
    if jax.process_index() == 0:
        devices_seen = [len(jax.devices()), len(jax.local_devices())]
        np.savez(Path(folder) / "gathered.npz", total=totals, devices=devices_seen)


if __name__ == "__main__":
    {"single": single, "many": many}[sys.argv[1]](*sys.argv[2:])
