"""A path with its images shared out over two devices, beside the same on one: run by test_paths_surface.py in a process of its own."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from surfaces import MINIMA, SCALE, pair, surface

from ferrojax.errors import FerrojaxError
from ferrojax.paths import minimum_energy_path

ends = [pair(*place) for place in MINIMA]
mesh = Mesh(np.array(jax.devices()), ("image",))
settings = {"images": 10, "force_tolerance": 2e-3}
alone = minimum_energy_path(surface, SCALE, *ends, **settings)
shared = minimum_energy_path(surface, SCALE, *ends, mesh=mesh, **settings)
np.testing.assert_allclose(shared.energies, alone.energies, atol=1e-9)
assert shared.steps == alone.steps and len(jax.devices()) == 2
with pytest.raises(FerrojaxError, match="7 moving images do not divide over 2 devices; give images=10"):
    minimum_energy_path(surface, SCALE, *ends, mesh=mesh, images=9)
