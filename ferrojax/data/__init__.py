"""Labelled structures: reading, checking, splitting, reference energies."""

from ferrojax.data.embedded import load_pbtio3
from ferrojax.data.frame import Frame
from ferrojax.data.readers import read_frames

__all__ = ["Frame", "load_pbtio3", "read_frames"]
