"""Generators of unlabelled structures; each gives ASE structures whose ``info["origin"]`` says where they come from."""

from ferrojax.learning.explore.check import without_copies
from ferrojax.learning.explore.distort import rattled, strained
from ferrojax.learning.explore.dynamics import molecular_dynamics
from ferrojax.learning.explore.modes import mode_displaced
from ferrojax.learning.explore.walls import domain_walls, path_images

__all__ = ["domain_walls", "mode_displaced", "molecular_dynamics", "path_images", "rattled", "strained", "without_copies"]
