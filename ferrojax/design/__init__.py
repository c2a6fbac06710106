"""Inverse design: strain, field and composition that optimise a property of relaxed structures, by exact gradients."""

from ferrojax.design.design import Committee, Design
from ferrojax.design.here import Here, Structure
from ferrojax.design.optimise import optimise
from ferrojax.design.problem import Constraint, Problem
from ferrojax.design.record import save
from ferrojax.design.scan import scan
from ferrojax.design.variables import (
    Setting,
    Variable,
    epitaxial,
    field_component,
    layer_thickness,
    mixing,
    occupation,
    setting,
    strain_component,
)

__all__ = [
    "Committee",
    "Constraint",
    "Design",
    "Here",
    "Problem",
    "Setting",
    "Structure",
    "Variable",
    "epitaxial",
    "field_component",
    "layer_thickness",
    "mixing",
    "occupation",
    "optimise",
    "save",
    "scan",
    "setting",
    "strain_component",
]
