"""Responses as derivatives of the enthalpy; each name is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferrojax.response.born_file import save_born
    from ferrojax.response.record import ResponseTensors
    from ferrojax.response.tensors import response_tensors

_HOME = {"ResponseTensors": "record", "response_tensors": "tensors", "save_born": "born_file"}

__all__ = ["ResponseTensors", "response_tensors", "save_born"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ferrojax.response' has no attribute {name!r}")
    return getattr(import_module(f"ferrojax.response.{_HOME[name]}"), name)
