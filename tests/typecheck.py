"""Run-time check of the jaxtyping annotations: beartype on every function that takes or returns typed arrays.

Classes are left out: transformations of JAX rebuild pytrees around placeholders that are no arrays.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import signature

from beartype import BeartypeConf, beartype

CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int where a float is expected is right
TYPED = re.compile(r"\b(Float|Int|UInt|Bool|Complex|Num|Shaped)\[")


def check_arrays(function: Callable) -> Callable:
    """The function, checked by beartype if jaxtyping annotations stand in its signature."""
    call = signature(function)
    hints = [p.annotation for p in call.parameters.values()] + [call.return_annotation]
    typed = any(TYPED.search(str(hint)) for hint in hints)
    return CHECK(function) if typed and function.__name__ != "__init__" else function
