"""Replicas over several processes, one or more per node: who runs which, and collecting what they found.

    from ferrojax.distributed.cluster import gather, initialize, share

    initialize()                     # before anything that computes: ferrojax.dynamics is imported after it
    mine = share(len(temperatures))  # indices of this process
    fleet = run_replicas(..., [Langevin(temperature=temperatures[k]) for k in mine], steps, key=keys[mine])

Replicas do not depend on each other. So each process runs its own on its local devices, at its own pace: a
process that rebuilds a topology keeps no other waiting, and the processes meet only in ``gather``.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from ferrojax.errors import FerrojaxError

SHUTDOWN = 30 * 24 * 3600  # s


def initialize(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Join the other processes of this job through ``jax.distributed``.

    Call it first of all, before ``ferrojax.dynamics`` is imported too: jax-md computes as it is imported.

    Under SLURM, Open MPI, Kubernetes and on TPU pods leave the arguments out: JAX finds them in the
    environment. Elsewhere give the address "host:port" of the first process, how many there are, and which this is.
    On CPU the collectives are gloo's.

    Raises:
        FerrojaxError: no cluster is found and no address given, or JAX is already in use.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # JAX reads it on CPU only
    try:
        # The first to finish waits this long for the last: a crash there would take the others down.
        jax.distributed.initialize(coordinator, processes, process, shutdown_timeout_seconds=SHUTDOWN)
    except (ValueError, RuntimeError) as error:
        raise FerrojaxError(
            f"cluster: {error} Call initialize() first of all, before importing ferrojax.dynamics or jax_md; "
            "outside SLURM or a TPU pod give host:port, processes and process."
        ) from None


def share(count: int, process: int | None = None, processes: int | None = None) -> list[int]:
    """Indices of the replicas of this process: consecutive, and no process has more than one replica more than another.

    Raises FerrojaxError if there are fewer replicas than processes: a process would stand idle.
    """
    process = jax.process_index() if process is None else process
    processes = jax.process_count() if processes is None else processes
    if count < processes:
        raise FerrojaxError(f"cluster: {count} replicas for {processes} processes; start no more processes than replicas.")
    bounds = [k * count // processes for k in range(processes + 1)]
    return list(range(bounds[process], bounds[process + 1]))


def gather(tree: Any, count: int) -> Any:
    """Arrays of all ``count`` replicas in the order of their indices, as NumPy, on every process.

    ``tree`` holds this process's share along the leading axis; the other axes must agree. All processes must call it.
    """
    from jax.experimental.multihost_utils import process_allgather

    sizes = [len(share(count, k)) for k in range(jax.process_count())]

    def whole(leaf: Any) -> np.ndarray:
        own = np.asarray(leaf)
        # The collective wants equal shapes.
        padded = np.concatenate([own, np.zeros((max(sizes) - len(own), *own.shape[1:]), own.dtype)])
        parts = np.asarray(process_allgather(padded, tiled=False)).reshape(len(sizes), *padded.shape)
        return np.concatenate([part[:size] for part, size in zip(parts, sizes)])

    return jax.tree.map(whole, tree)
