"""The equivariant potential and its files."""

from ferrojax.potential.bundle import load, save_model
from ferrojax.potential.config import ModelConfig, preset
from ferrojax.potential.model import Model, Terms

__all__ = ["Model", "ModelConfig", "Terms", "load", "preset", "save_model"]
