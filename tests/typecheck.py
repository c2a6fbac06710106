"""Run-time check of the jaxtyping annotations: beartype on every function that takes or returns arrays.

Classes are left out: transformations of JAX rebuild pytrees around placeholders that are no arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

from beartype import BeartypeConf, beartype

CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int where a float is expected is right


def check_arrays(function: Callable) -> Callable:
    """The function, checked by beartype if its signature holds array types."""
    call = signature(function)
    hints = [p.annotation for p in call.parameters.values()] + [call.return_annotation]
    return (
        CHECK(function)
        if any("Array" in str(hint) or "ndarray" in str(hint) for hint in hints) and function.__name__ != "__init__"
        else function
    )
