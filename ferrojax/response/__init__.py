"""Responses as derivatives of the enthalpy; each name is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferrojax.response.bending import FilmBending, film_bending
    from ferrojax.response.born_file import save_born
    from ferrojax.response.dispersion import bands, density_of_states
    from ferrojax.response.flexo import FlexoTensors, flexo_tensors
    from ferrojax.response.phonons import Phonons
    from ferrojax.response.phonopy_files import displaced_along, save_phonopy
    from ferrojax.response.record import ResponseTensors
    from ferrojax.response.tensors import response_tensors

_HOME = {
    "FilmBending": "bending",
    "FlexoTensors": "flexo",
    "Phonons": "phonons",
    "ResponseTensors": "record",
    "bands": "dispersion",
    "density_of_states": "dispersion",
    "displaced_along": "phonopy_files",
    "film_bending": "bending",
    "flexo_tensors": "flexo",
    "response_tensors": "tensors",
    "save_born": "born_file",
    "save_phonopy": "phonopy_files",
}

__all__ = [
    "FilmBending",
    "FlexoTensors",
    "Phonons",
    "ResponseTensors",
    "bands",
    "density_of_states",
    "displaced_along",
    "film_bending",
    "flexo_tensors",
    "response_tensors",
    "save_born",
    "save_phonopy",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ferrojax.response' has no attribute {name!r}")
    return getattr(import_module(f"ferrojax.response.{_HOME[name]}"), name)
