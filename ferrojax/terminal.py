"""Where results are printed."""

from __future__ import annotations

from rich.console import Console


def terminal() -> Console:
    """Standard output: lines stay whole, so that they can be searched, and brackets are text, not markup that vanishes."""
    return Console(soft_wrap=True, markup=False, highlight=False)
