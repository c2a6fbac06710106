"""Predictions of all labels from one forward pass, and the multi-label Huber loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferrojax.electrostatics.ewald import ewald_energy
from ferrojax.enthalpy import dipole
from ferrojax.state import State, apply_strain
from ferrojax.training.batches import Batch
from ferrojax.training.heads import take_head

if TYPE_CHECKING:
    from ferrojax.potential.model import Model

# With these a force error of 30 meV/Å, an energy error of 1 meV/atom, a virial error of 6 meV/atom
# and a Born charge error of 0.06 e all weigh about the same.
WEIGHTS = {"energy": 400.0, "forces": 10.0, "stress": 40.0, "dipole": 400.0, "born_charges": 3.0, "polarizability": 100.0}
DELTAS = {"energy": 0.02, "forces": 0.3, "stress": 0.1, "dipole": 0.02, "born_charges": 0.5, "polarizability": 0.1}


@dataclass(frozen=True)
class LossSettings:
    """Weight and Huber width δ of each label.

    Units: energy eV/atom, forces eV/Å, stress as the virial -σV in eV/atom, dipole
    e·Å/atom, born_charges e, polarizability e·Å²/V per atom.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    deltas: Mapping[str, float] = field(default_factory=lambda: dict(DELTAS))


def predict(model: Model, params: Any, state: State, born: bool) -> dict[str, Array]:
    """Energy, forces, stress, dipole, polarizability and, if asked, Born charges at zero field.

    One forward pass of (R, ε) -> (F(E=0), M) and its pull-backs: (1, 0) gives forces
    and stress, (0, e_a) the row a of Z*_i,ab = ∂M_a/∂R_ib. Equal to the derivatives of
    ``make_enthalpy(model)`` for the tin-foil boundary.

    Returns eV, eV/Å, eV/Å³ (tension positive), e·Å, e·Å²/V, and e, unlabelled atoms zero.
    """
    # Zero made from the cell: a constant would be one value for all devices of a mesh, and its gradient their sum.
    zero_strain = 0.0 * state.cell

    def energy(positions, strain):
        strained = apply_strain(state.replace(positions=positions), strain)
        terms = model.terms(params, strained)
        screened = terms.charges / model.config.eps_inf**0.5
        kgrid, smearing = strained.topology.kgrid, model.config.smearing
        total = terms.short_range + ewald_energy(screened, strained.positions, strained.cell, kgrid, smearing)
        return total, (dipole(model, terms.flow, strained), terms.polarizability)

    def moment(positions):
        moved = state.replace(positions=positions)
        return dipole(model, model.terms(params, moved).flow, moved)

    value, pull_back, (total_dipole, polarizability) = jax.vjp(energy, state.positions, zero_strain, has_aux=True)
    gradient, strain_gradient = pull_back(jnp.ones_like(value))
    values = {
        "energy": value,
        "forces": -gradient,
        "stress": strain_gradient / state.volume,
        "dipole": total_dipole,
        "polarizability": polarizability,
    }
    if born:
        # By itself, so that the three more pull-backs skip the energy; the compiler shares the forward pass.
        values["born_charges"] = jnp.moveaxis(jax.jacrev(moment)(state.positions), 0, 1)
    return values


def predict_batch(model: Model, params: Any, batch: Batch, born: bool | None = None) -> dict[str, Array]:
    """``predict`` over the batch axis, each structure with its head; Born charges if asked, by default if they are labelled."""
    needed = "born_charges" in batch.labels if born is None else born
    return jax.vmap(lambda state, head: predict(model, take_head(params, head), state, needed))(batch.states, jnp.asarray(batch.head))


def batch_loss(model: Model, settings: LossSettings, params: Any, batch: Batch) -> Float[Array, ""]:
    """Loss of a batch, Σ_labels w <h_δ(residual)>: the mean over its frames, those without a label counting zero."""
    values = predict_batch(model, params, batch)
    return precise_sum(frame_losses(settings, values, batch)) / batch.size


def frame_losses(settings: LossSettings, values: dict[str, Array], batch: Batch) -> Float[Array, " batch"]:
    """Loss of each frame: Σ_labels w h_δ(residual), h the Huber function averaged over the components of the label."""
    real = jnp.asarray(batch.numbers) > 0
    total = jnp.zeros(batch.size, batch.positions.dtype)
    for name, residual in _residuals(values, batch).items():
        losses = huber(residual, settings.deltas[name])
        mean = _mean_over_components(losses, real, per_atom=name in ("forces", "born_charges"))
        total += settings.weights[name] * batch.weights[name] * mean
    return total


def huber(residual: Float[Array, "*n"], delta: float) -> Float[Array, "*n"]:
    """x²/2 for |x| < δ, δ(|x| - δ/2) beyond: Huber, Ann. Math. Stat. 35, 73 (1964)."""
    size = jnp.abs(residual)
    inside = jnp.minimum(size, delta)
    return inside * (size - 0.5 * inside)


def minimum_image(vector: Float[Array, "*n 3"], cell: Float[Array, "*n 3 3"]) -> Float[Array, "*n 3"]:
    """Dipole difference, e·Å, less the nearest multiple of e times each lattice vector."""
    fractional = jnp.einsum("...a,...ab->...b", vector, jnp.linalg.inv(cell))
    return vector - jnp.einsum("...a,...ab->...b", jnp.round(fractional), cell)


def precise_sum(values: Float[Array, " n"]) -> Float[Array, ""]:
    """Sum in float64 where JAX has it enabled, else pairwise in float32."""
    if jax.config.read("jax_enable_x64"):
        return jnp.sum(values, dtype=jnp.float64)
    while len(values) > 1:
        values = jnp.pad(values, (0, len(values) % 2))
        values = values[0::2] + values[1::2]
    return values[0]


def _residuals(values: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """Prediction less label, in the units of LossSettings."""
    atoms = jnp.sum(batch.numbers > 0, -1).astype(batch.positions.dtype)
    scale = {
        "energy": 1 / atoms,
        "stress": (jnp.linalg.det(batch.cell) / atoms)[:, None, None],
        "dipole": (1 / atoms)[:, None],
        "polarizability": (1 / atoms)[:, None, None],
    }
    differences = {name: values[name] - label for name, label in batch.labels.items()}
    if "dipole" in differences:
        differences["dipole"] = minimum_image(differences["dipole"], batch.cell)
    return {name: difference * scale.get(name, 1.0) for name, difference in differences.items()}


def _mean_over_components(values: Array, real: Array, per_atom: bool) -> Float[Array, " batch"]:
    """Mean over all axes but the first, padding atoms left out."""
    flat = values.reshape(*values.shape[: 2 if per_atom else 1], -1).mean(-1)
    return jnp.sum(flat * real, -1) / jnp.sum(real, -1) if per_atom else flat
