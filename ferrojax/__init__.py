"""ferrojax: a differentiable simulator for ferroelectrics, in JAX."""

__version__ = "0.1.0"
