"""Every test runs in float64: derivatives are checked against finite differences."""

import jax

jax.config.update("jax_enable_x64", True)
