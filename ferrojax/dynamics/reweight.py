"""Equilibrium averages and their derivatives from samples at hand, by reweighting (differentiable trajectory reweighting).

    <O> = Σ_i w_i O(x_i),    w_i = exp(-(u(x_i) - u0(x_i))) / Σ_j exp(-(u(x_j) - u0(x_j)))

with the reduced enthalpy u = β (F(R, ε, E) + W), where W = p V - V₀ Tr(T η) at constant stress and 0 at constant cell;
u0 is that of the run that drew the samples. The derivative of the estimator is the fluctuation formula,

    d<O>/dλ = <dO/dλ> - <O du/dλ> + <O> <du/dλ>,

for every λ in u at once: parameters, field, temperature, stress, strain. No trajectory is differentiated, so
chaos does not matter. Thaler and Zavadlav, Nat. Commun. 12, 6884 (2021).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Float

from ferrojax.dynamics.barostat import external_energy, stress_tensor
from ferrojax.dynamics.stacking import stack
from ferrojax.enthalpy import Enthalpy
from ferrojax.errors import FerrojaxError
from ferrojax.matrix import inverse
from ferrojax.state import State
from ferrojax.topology import Topology, is_valid, rebuild
from ferrojax.units import BOLTZMANN

Observable = Callable[[Any, State, Any, Any], Any]  # called as the enthalpy is; a number, an array or a pytree of them
CHUNK = 16  # samples evaluated side by side
CONDITIONS = ("params", "field", "temperature", "stress", "strain")
MINIMUM = 0.1  # share of the samples that must count


class Samples(struct.PyTreeNode):
    """Structures drawn from an ensemble, in the order in which the run made them.

    positions: Å; cells: Å; reduced: u0 = β0 (F0 + W0) of each. state: species, and topology if one serves all;
    topologies: one each, stacked, if not. reference: the cell that strain, field and deviatoric stress refer
    to, None at constant cell.
    """

    positions: Float[Array, "samples atoms 3"]
    cells: Float[Array, "samples 3 3"]
    reduced: Float[Array, " samples"]
    state: State
    topologies: Topology | None = None
    reference: Float[Array, "3 3"] | None = None


class Average(struct.PyTreeNode):
    """value: <O>. error: its standard error, by the jackknife over blocks of time.

    effective: (Σw)²/Σw² / n, the share of samples that count.
    """

    value: Any
    error: Any
    effective: Float[Array, ""]


def collect(
    enthalpy: Enthalpy,
    params: Any,
    state: State,
    positions: Any,
    field: Any,
    temperature: Any,
    *,
    cells: Any = None,
    stress: Any = None,
) -> Samples:
    """Samples of a run at (params, field, temperature, stress), for ``reweighted_average``.

    Args:
        state: as the run began; its cell is the one field and stress refer to. A skin that
            serves all samples saves memory.
        positions: (samples, atoms, 3), Å, equilibrated and in order of time, such as ``records.positions[100:]``.
        cells, stress: (samples, 3, 3) in Å and eV/Å³ (number, Voigt or matrix) of a run at constant
            stress; both or neither.

    Raises FerrojaxError if shapes disagree or only one of cells and stress is given.
    """
    dtype = state.cell.dtype
    positions = jnp.asarray(positions, dtype)
    if (cells is None) != (stress is None):
        raise FerrojaxError("reweighting: samples at constant stress need both cells and stress, those at constant cell neither.")
    if positions.ndim != 3 or positions.shape[1:] != state.positions.shape or len(positions) < 2:
        raise FerrojaxError(f"reweighting: positions must be (2 or more samples, {len(state.positions)}, 3); got {positions.shape}.")
    reference = None if cells is None else state.cell
    cells = jnp.broadcast_to(state.cell, (len(positions), 3, 3)) if cells is None else jnp.asarray(cells, dtype)
    if cells.shape != (len(positions), 3, 3):
        raise FerrojaxError(f"reweighting: {len(positions)} samples need as many cells; got {cells.shape}.")
    blank = jnp.zeros(len(positions), dtype)
    samples = Samples(positions, cells, blank, state, _topologies(state, positions, cells), reference)
    _, reduced = _evaluated(lambda *_: 0.0, enthalpy, samples, params, field, temperature, stress, None)
    if not bool(jnp.isfinite(reduced).all()):
        raise FerrojaxError(f"reweighting: the enthalpy of sample {int(jnp.argmin(jnp.isfinite(reduced)))} is not finite; leave it out.")
    return samples.replace(reduced=reduced)


def reweighted_average(
    observable: Observable,
    enthalpy: Enthalpy,
    samples: Samples,
    params: Any,
    field: Any,
    temperature: Any,
    stress: Any = None,
    strain: Any = None,
    *,
    blocks: int = 10,
    minimum: float = MINIMUM,
) -> Average:
    """<O> in the ensemble of these conditions, from samples of another (or the same) one; the equations stand above.

    Differentiable in forward and reverse mode with respect to params, field (V/Å), temperature (K), stress (eV/Å³) and, at
    constant cell, strain, which carries the atoms of each sample along. Reverse mode keeps one chunk of samples in memory.

    Args:
        observable: ``(params, state, strain, field)``, of the same arguments as the enthalpy: the enthalpy itself, its
            derivatives (the dipole is ``-jax.grad(enthalpy, 3)``) or e.g. ``apply_strain(state, strain).cell``.
        blocks: of consecutive samples, for the error; each should be longer than the correlation time.

    Raises:
        FerrojaxError: fewer than ``minimum`` of the samples count: the two ensembles hardly overlap. Inside jit nothing
            can be raised: look at ``effective``. Also for a stress at constant cell, and a strain at constant stress.
    """
    _check(samples, stress, strain, blocks)
    average = _average(*_evaluated(observable, enthalpy, samples, params, field, temperature, stress, strain), samples.reduced, blocks)
    if not isinstance(average.effective, jax.core.Tracer):
        check_overlap(average, minimum)
    return average


def average_and_gradient(
    observable: Observable,
    enthalpy: Enthalpy,
    samples: Samples,
    params: Any,
    field: Any,
    temperature: Any,
    stress: Any = None,
    strain: Any = None,
    *,
    wrt: Sequence[str] = ("params",),
    blocks: int = 10,
    minimum: float = MINIMUM,
    forward: bool = False,
) -> tuple[Average, dict[str, Any]]:
    """<O> and its derivatives with respect to those named in ``wrt``, each an ``Average`` with value and error.

    Compiled once per observable and enthalpy. Errors by the jackknife: ``blocks`` + 1 gradients are computed.
    ``forward`` is the better mode for few numbers (a field) or an observable of many components.

    Raises FerrojaxError as ``reweighted_average``, and for an unknown name in ``wrt``.
    """
    conditions = dict(zip(CONDITIONS, (params, field, temperature, stress, strain)))
    if unknown := [name for name in wrt if conditions.get(name) is None]:
        raise FerrojaxError(
            f"reweighting: no derivative with respect to {', '.join(unknown)}: not given, or not one of {', '.join(CONDITIONS)}."
        )
    _check(samples, stress, strain, blocks)
    inputs = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)) if isinstance(x, int | float) else jnp.asarray(x), conditions)
    keep = jnp.ones((blocks + 1, len(samples.reduced)), bool)
    for b, part in enumerate(np.array_split(np.arange(len(samples.reduced)), blocks)):
        keep = keep.at[b + 1, part].set(False)
    results = [_gradient(observable, enthalpy, tuple(wrt), forward, samples, inputs, mask) for mask in keep]
    average = Average(results[0][1], _jackknife([r[1] for r in results[1:]]), results[0][2])
    check_overlap(average, minimum)
    errors = _jackknife([r[0] for r in results[1:]])
    return average, {name: Average(results[0][0][name], errors[name], average.effective) for name in wrt}


def check_overlap(average: Average, minimum: float = MINIMUM) -> None:
    """Raise FerrojaxError if less than ``minimum`` of the samples count."""
    if not float(average.effective) >= minimum:
        raise FerrojaxError(
            f"reweighting: only {100 * float(average.effective):.2g} % of the samples count (at least {100 * minimum:g} % are asked for); "
            "sample anew closer to these conditions."
        )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _gradient(observable, enthalpy, wrt, forward, samples, conditions, keep):
    """Derivatives, value and effective share, of the samples kept."""

    def of(moving: dict[str, Any]) -> tuple[Any, tuple[Any, Array]]:
        full = conditions | moving
        values, reduced = _evaluated(observable, enthalpy, samples, *(full[name] for name in CONDITIONS))
        weights = _weights(reduced - samples.reduced, keep)
        mean = _weighted(weights, values)
        return mean, (mean, 1 / (jnp.sum(weights**2) * jnp.sum(keep)))

    differentiate = jax.jacfwd if forward else jax.jacrev
    slope, (value, effective) = differentiate(of, has_aux=True)({name: conditions[name] for name in wrt})
    return slope, value, effective


def _evaluated(observable, enthalpy, samples, params, field, temperature, stress, strain) -> tuple[Any, Array]:
    """Observable and reduced enthalpy of every sample; a chunk at a time, recomputed in reverse mode."""
    dtype = samples.cells.dtype
    zero = jnp.zeros((3, 3), dtype)
    field, strain = jnp.asarray(field, dtype), zero if strain is None else jnp.asarray(strain, dtype)

    @jax.checkpoint
    def one(sample: tuple[Array, Array, Topology | None]) -> tuple[Any, Array]:
        positions, cell, topology = sample
        state = samples.state.replace(positions=positions, cell=cell)
        state = state if topology is None else state.replace(topology=topology)
        outside, imposed = jnp.zeros((), dtype), strain
        if samples.reference is not None:
            outside = external_energy(cell, samples.reference, stress_tensor(stress, dtype))
            deformation = inverse(samples.reference) @ cell
            # As in a run: the sample is its unstrained self in the reference cell, and a strain.
            state = state.replace(positions=positions @ inverse(deformation), cell=samples.reference)
            imposed = deformation.T - jnp.eye(3, dtype=dtype)
        reduced = (enthalpy(params, state, imposed, field) + outside) / (BOLTZMANN * jnp.asarray(temperature, dtype))
        return observable(params, state, imposed, field), reduced

    return lax.map(one, (samples.positions, samples.cells, samples.topologies), batch_size=min(CHUNK, len(samples.cells)))


def _weights(change: Array, keep: Array) -> Float[Array, " samples"]:
    """exp(-Δu), normalised over the samples kept."""
    return jax.nn.softmax(jnp.where(keep, -change, -jnp.inf))


def _weighted(weights: Array, values: Any) -> Any:
    return jax.tree.map(lambda v: jnp.tensordot(weights, v, 1), values)


def _average(values: Any, reduced: Array, origin: Array, blocks: int) -> Average:
    """Mean, jackknife error and effective share."""
    count = len(reduced)
    change, everything = reduced - origin, jnp.ones(count, bool)
    weights = _weights(change, everything)
    groups = np.array_split(np.arange(count), blocks)
    without = [_weighted(_weights(change, everything.at[group].set(False)), values) for group in groups]
    return Average(_weighted(weights, values), _jackknife(without), 1 / (jnp.sum(weights**2) * count))


def _jackknife(without: list[Any]) -> Any:
    """√((B-1)/B Σ_b (x_b - mean)²) of estimates that each leave one block out."""

    def error(*leaves: Array) -> Array:
        stacked = lax.stop_gradient(jnp.stack(leaves))
        return jnp.sqrt((len(leaves) - 1) * jnp.var(stacked, 0))

    return jax.tree.map(error, *without)


def _topologies(state: State, positions: Array, cells: Array) -> Topology | None:
    """None if that of the state serves every sample, one each if not."""
    if state.topology is None:
        return None
    valid = jax.jit(jax.vmap(lambda r, h: is_valid(state.replace(positions=r, cell=h))))(positions, cells)
    if bool(valid.all()):
        return None
    return stack([rebuild(state.replace(positions=r, cell=h)) for r, h in zip(positions, cells)]).tree.topology


def _check(samples: Samples, stress: Any, strain: Any, blocks: int) -> None:
    if (samples.reference is None) != (stress is None):
        raise FerrojaxError("reweighting: give stress for samples at constant stress, and none for samples at constant cell.")
    if samples.reference is not None and strain is not None:
        raise FerrojaxError("reweighting: at constant stress the cell is sampled, so no strain can be imposed; change the stress.")
    if not 2 <= blocks <= len(samples.reduced):
        raise FerrojaxError(f"reweighting: blocks must lie between 2 and the number of samples, {len(samples.reduced)}; got {blocks}.")
