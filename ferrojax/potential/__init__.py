"""The equivariant potential and its files."""

from ferrojax.potential.bundle import load_model, save_model
from ferrojax.potential.config import ModelConfig, preset
from ferrojax.potential.model import Model, Terms

load = load_model  # its name in the public interface, ferrojax.load

__all__ = ["Model", "ModelConfig", "Terms", "load", "load_model", "preset", "save_model"]
