"""From the shipped data to a switched ferroelectric in one call."""

from ferrojax.quickstart.main import run

__all__ = ["run"]
