"""Labels by a model, to distil it into a faster one."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ferrojax.data import Frame
from ferrojax.data.frame import LABELS, require_valid
from ferrojax.data.reference import choose_references
from ferrojax.data.structure import plain
from ferrojax.errors import FerrojaxError
from ferrojax.training.batches import Batch, pack
from ferrojax.training.evaluate import predict_all
from ferrojax.training.loss import predict_batch

if TYPE_CHECKING:
    from ferrojax.potential.model import Model


def teacher_frames(
    model: Model,
    params: Any,
    info: Mapping[str, Any],
    structures: Sequence[Atoms],
    dataset: str = "teacher",
    labels: Sequence[str] = LABELS,
    references: str | None = None,
    dtype: type = np.float32,
) -> list[Frame]:
    """Structures with a model's predictions at zero field as labels, computed in padded batches on the device.

    For distillation: label many structures with an accurate model and train the ``fast`` preset on them, the third step of the
    PFD workflow (pre-train, fine-tune, distil) of Wang et al., arXiv:2502.20809.

        frames = teacher_frames(*load("runs/accurate/best"), structures)
        write_frames("teacher.extxyz", frames)

    Args:
        model, params, info: the teacher, as ``load`` returns it.
        structures: periodic structures; labels they carry are ignored.
        dataset: name of the frames' data set. It must say "teacher": nobody shall take these labels for first-principles ones.
        labels: which of energy (eV, reference energies included), forces (eV/Å), stress (eV/Å³, tension positive), dipole (e·Å),
            born_charges (e, [atom, polarization, displacement]; they take longest) and polarizability (e·Å²/V) to give. Leave out
            those that the teacher has not learnt.
        references: data set of the teacher whose reference energies to add, as the ``dataset`` of FerrojaxCalculator.
        dtype: precision; float64 needs JAX_ENABLE_X64.

    Raises FerrojaxError for another data set name, unknown labels, no or unusable structures, an element without reference
    energy, elements the teacher does not know, and labels that are not finite.
    """
    unknown = sorted(set(labels) - set(LABELS))
    if unknown or not labels:
        raise FerrojaxError(f"teacher_frames: labels {unknown or 'are missing'}; choose some of {list(LABELS)}.")
    if "teacher" not in dataset:
        raise FerrojaxError(
            f"teacher_frames: the data set name {dataset!r} must say 'teacher': these labels are not first-principles ones."
        )
    zeros = choose_references(info, references)
    bare = [_bare(atoms, dataset, index) for index, atoms in enumerate(structures)]
    predictor = functools.partial(_predict, model, "born_charges" in labels)
    values, _ = predict_all(predictor, params, pack(bare, model, dtype=dtype))
    return [_labelled(frame, row, labels, zeros) for frame, row in zip(bare, values)]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _predict(model: Model, born: bool, params: Any, batch: Batch) -> tuple[dict[str, jax.Array], jax.Array]:
    return predict_batch(model, params, batch, born), jnp.zeros(batch.size)


def _bare(atoms: Atoms, dataset: str, index: int) -> Frame:
    system = str(atoms.info.get("system", atoms.get_chemical_formula()))
    return Frame(plain(atoms), dataset=dataset, system=system, source=f"structure {index}")


def _labelled(frame: Frame, values: Mapping[str, np.ndarray], labels: Sequence[str], zeros: Mapping[str, float]) -> Frame:
    symbols = frame.atoms.symbols
    missing = sorted(set(symbols) - set(zeros)) if zeros else []
    if missing:
        raise FerrojaxError(f"{frame.source}: the teacher has no reference energy for {missing}; pass references='' to leave them out.")
    for name in labels:
        setattr(frame, name, np.asarray(values[name], np.float64))
    if "energy" in labels:
        frame.energy = float(values["energy"]) + (sum(zeros[symbol] for symbol in symbols) if zeros else 0.0)
    if "stress" in labels:
        frame.stress = (values["stress"] + values["stress"].T) / 2  # rounding only: the energy does not change by a rotation
    return require_valid(frame)
