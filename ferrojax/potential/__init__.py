"""The equivariant potential and its files."""

from ferrojax.potential.config import ModelConfig, preset
from ferrojax.potential.model import Model, Terms

__all__ = ["Model", "ModelConfig", "Terms", "preset"]
