"""Labelled structures: reading, checking, splitting, reference energies."""

from ferrojax.data.check import check_frames
from ferrojax.data.frame import Frame
from ferrojax.data.readers import read_frames
from ferrojax.data.reference import fit_reference_energies, reference_energy
from ferrojax.data.report import Finding, Report
from ferrojax.data.split import split_frames, validation_indices
from ferrojax.data.writers import write_frames

__all__ = [
    "Finding",
    "Frame",
    "Report",
    "check_frames",
    "fit_reference_energies",
    "read_frames",
    "reference_energy",
    "split_frames",
    "validation_indices",
    "write_frames",
]
