"""The PTO-test: what a potential makes of PbTiO3 at 0 K and when it is heated."""

from ferrojax.pto_test.command import run_test
from ferrojax.pto_test.config import PtoTestConfig

__all__ = ["PtoTestConfig", "run_test"]
