"""Figures at the width of a journal's column: functions that draw arrays into Axes and return the Axes."""

from ferrojax.plotting.curves import bands, energy_path, loop, parity, training_curve, wall_profile
from ferrojax.plotting.maps import colour_wheel, component_map, direction_colours, phase_diagram, vector_map
from ferrojax.plotting.style import COLUMN, PAGE, PALETTE, STYLE, figure, journal, save
from ferrojax.plotting.view import sketch, view

__all__ = [
    "COLUMN",
    "PAGE",
    "PALETTE",
    "STYLE",
    "bands",
    "colour_wheel",
    "component_map",
    "direction_colours",
    "energy_path",
    "figure",
    "journal",
    "loop",
    "parity",
    "phase_diagram",
    "save",
    "sketch",
    "training_curve",
    "vector_map",
    "view",
    "wall_profile",
]
