"""The equivariant potential and its files."""

from ferrojax.potential.bundle import load_model, save_model
from ferrojax.potential.config import ModelConfig, preset
from ferrojax.potential.model import Model, Terms

__all__ = ["Model", "ModelConfig", "Terms", "load_model", "preset", "save_model"]
