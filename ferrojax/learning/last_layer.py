"""Bayesian uncertainty from the last layer: energy, forces and stress are linear in the weights of the energy readouts."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from ferrojax.data import Frame
from ferrojax.dynamics.describe import checksum
from ferrojax.effective.lattice import VOIGT
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_bytes
from ferrojax.learning.deviation import Deviation, Structures, as_frames, each_batch
from ferrojax.learning.features import batch_features, batch_fixed_parts, features, readout_weights, with_readout
from ferrojax.learning.regression import Posterior, Sums, best_posterior
from ferrojax.potential import Model
from ferrojax.state import State
from ferrojax.training.batches import pack

ATOMS = 32  # in one batch: of each atom, as many derivatives as coordinates are at hand at once
SYMMETRIC = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # place of each component of a tensor among the Voigt ones
KINDS = ("energy", "forces", "stress")


class LastLayer(struct.PyTreeNode):
    """The posterior of the readout weights w of a trained model, all other parameters held.

        E = E₀ + φ·w,   F = F₀ - (∂φ/∂R)·w,   σ = σ₀ + (∂φ/∂ε)·w/V
        var y = φ_y Σ φ_yᵀ                                            (the second term of equation 14 of Ma et al.)

    E₀, F₀, σ₀ are the Ewald sum and close-contact repulsion. Ma et al., npj Comput. Mater. (2025), doi 10.1038/s41524-025-01563-z.

    root: Σ = root rootᵀ. scales: what energies (eV/atom), forces (eV/Å) and stress (eV/Å³) are divided by in the regression. sums: of the
    labels so far, in these units. alpha, beta: precisions of prior and noise.
    """

    params: Any
    root: Float[Array | np.ndarray, "features features"]
    mean: Float[Array | np.ndarray, " features"]
    scales: Float[Array | np.ndarray, "3"]
    sums: Sums
    alpha: float
    beta: float
    model: Model = struct.field(pytree_node=False)
    atoms_per_batch: ClassVar[int] = ATOMS

    def deviation(self, state: State) -> Deviation:
        """Standard deviations for one state with topology; jit-safe. Without noise: see ``noise``."""
        phi = features(self.model, self.params, state)
        root = jnp.asarray(self.root, state.cell.dtype)
        energy, forces, stress = (jnp.sqrt(jnp.sum((rows @ root) ** 2, -1)) for rows in phi)
        return Deviation(energy, forces, stress[SYMMETRIC])

    @property
    def noise(self) -> dict[str, float]:
        """√(1/β) in eV/atom, eV/Å and eV/Å³: what of the labels no weights explain."""
        return {kind: float(scale / np.sqrt(self.beta)) for kind, scale in zip(KINDS, np.asarray(self.scales))}

    @property
    def refitted(self) -> Any:
        """The parameters with the posterior mean as readout weights: the model fitted anew to all labels seen."""
        return with_readout(self.params, jnp.asarray(self.mean))

    @property
    def precision(self) -> Float[np.ndarray, "features features"]:
        """Σ⁻¹ = αI + βΦᵀΦ."""
        return self.alpha * np.eye(len(self.sums.gram)) + self.beta * np.asarray(self.sums.gram, np.float64)

    def rows(self, structures: Structures, dtype: type = np.float32) -> list[Float[np.ndarray, "_ features"]]:
        """√β Φ of each structure: energy, forces and stress; adding its labels adds rowsᵀ rows to the precision."""
        frames = as_frames(structures)
        dataset, found = pack(frames, self.model, dtype=dtype), [np.zeros((0, 0))] * len(frames)
        for own, phi in each_batch(lambda batch: batch_features(self.model, self.params, batch), dataset, ATOMS):
            for row, k in enumerate(own):
                parts = _one(phi, row, len(frames[k].atoms))
                scaled = [rows.reshape(-1, len(self.mean)) / scale for rows, scale in zip(parts, np.asarray(self.scales))]
                found[k] = np.sqrt(self.beta) * np.concatenate(scaled)
        return found

    def updated(self, info: Mapping[str, Any], frames: Sequence[Frame], dtype: type = np.float32) -> LastLayer:
        """With the labels of more frames: posterior and precisions anew, at no cost for the labels seen before."""
        sums = self.sums.plus(_sums(self.model, self.params, info, frames, np.asarray(self.scales), dtype))
        return _made(self.model, self.params, np.asarray(self.scales), sums)


def fit_last_layer(model: Model, params: Any, info: Mapping[str, Any], frames: Sequence[Frame], dtype: type = np.float32) -> LastLayer:
    """Posterior of the readout weights given the energies, forces and stresses of labelled frames, with the largest evidence.

    Labels are divided by their standard deviation over the frames, each kind by its own. Only ΦᵀΦ is kept, summed in float64. Energies
    need ``info["reference_energies"]`` of the frame's data set and are left out without.

    Raises FerrojaxError for frames that are unusable or have no such label, and as ``best_posterior`` does.
    """
    scales = _scales(frames, info)
    return _made(model, params, scales, _sums(model, params, info, frames, scales, dtype))


def save_last_layer(path: str | Path, last_layer: LastLayer) -> None:
    """Write the posterior (not the model) as one npz file, whole or not at all; zip checksums guard its contents."""
    data = io.BytesIO()
    arrays: dict[str, Any] = {f"sums_{name}": np.asarray(value) for name, value in last_layer.sums._asdict().items()}
    np.savez(data, params=np.array(checksum(last_layer.params)), scales=np.asarray(last_layer.scales), **arrays)
    write_bytes(Path(path), data.getvalue())


def load_last_layer(path: str | Path, model: Model, params: Any) -> LastLayer:
    """The posterior of this very model. Raises FerrojaxError for a missing or damaged file, and for that of another model."""
    path = Path(path)
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        sums = Sums(arrays["sums_gram"], arrays["sums_moment"], float(arrays["sums_square"]), int(arrays["sums_size"]))
        scales, owner = arrays["scales"], str(arrays["params"])
    except OSError as error:
        raise FerrojaxError(f"{path}: cannot be read ({error.strerror or error}); give a file written by save_last_layer.") from None
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile):
        raise FerrojaxError(f"{path}: damaged or not written by save_last_layer; fit the last layer again.") from None
    if owner != checksum(params):
        raise FerrojaxError(f"{path}: belongs to other parameters than these; fit the last layer of this model.")
    return _made(model, params, scales, sums)


def _made(model: Model, params: Any, scales: np.ndarray, sums: Sums) -> LastLayer:
    found: Posterior = best_posterior(sums)
    return LastLayer(params, found.root, found.mean, scales, sums, found.alpha, found.beta, model)


def _scales(frames: Sequence[Frame], info: Mapping[str, Any]) -> np.ndarray:
    """Standard deviation of each kind of label, energies a atom above their references; 1 where there is none."""
    known = info.get("reference_energies", {})
    energies = [energy for frame in frames if (energy := _energy(frame, known)) is not None]
    forces = [np.ravel(frame.forces) for frame in frames if frame.forces is not None]
    stress = [np.ravel(frame.stress) for frame in frames if frame.stress is not None]
    if not (energies or forces or stress):
        raise FerrojaxError("last layer: no frame has forces, a stress, or an energy with reference energies; give labelled frames.")
    spreads = [np.std(energies) if energies else 1.0, *(np.std(np.concatenate(x)) if x else 1.0 for x in (forces, stress))]
    return np.array([float(spread) if spread > 0 else 1.0 for spread in spreads])


def _energy(frame: Frame, known: Mapping[str, Mapping[str, float]]) -> float | None:
    """Energy above the references, eV/atom."""
    table = known.get(frame.dataset, {})
    if frame.energy is None or not set(frame.atoms.symbols) <= set(table):
        return None
    return (frame.energy - sum(table[symbol] for symbol in frame.atoms.symbols)) / len(frame.atoms)


def _sums(model: Model, params: Any, info: Mapping[str, Any], frames: Sequence[Frame], scales: np.ndarray, dtype: type) -> Sums:
    known = info.get("reference_energies", {})
    dataset, size = pack(frames, model, dtype=dtype), len(readout_weights(params))
    total = Sums(np.zeros((size, size)), np.zeros(size), 0.0, 0)
    for own, both in each_batch(
        lambda batch: (batch_features(model, params, batch), batch_fixed_parts(model, params, batch)), dataset, ATOMS
    ):
        for row, k in enumerate(own):
            phi, fixed = (_one(part, row, len(frames[k].atoms)) for part in both)
            labels = (_energy(frames[k], known), frames[k].forces, _voigt(frames[k].stress))
            for rows, base, label, scale in zip(phi, fixed, labels, scales):
                if label is not None:
                    total = total.plus(Sums.of(rows.reshape(-1, size) / scale, np.ravel(label - base) / scale))
    return total


def _one(parts: Sequence[np.ndarray], row: int, atoms: int) -> list[np.ndarray]:
    """Energy, forces and stress of one structure of a batch, without padding atoms, in float64."""
    energy, forces, stress = (np.asarray(part[row], np.float64) for part in parts)
    return [energy, forces[:atoms], stress]


def _voigt(stress: np.ndarray | None) -> np.ndarray | None:
    return None if stress is None else np.array([stress[pair] for pair in VOIGT])
