"""Labels made on demand: engines, and a queue that workers share."""

from ferrojax.labelling.engines import make_engine
from ferrojax.labelling.engines.base import Engine
from ferrojax.labelling.export import export
from ferrojax.labelling.job import CalculationFailed, Job, Label
from ferrojax.labelling.job_queue import Queue
from ferrojax.labelling.worker import run

__all__ = ["CalculationFailed", "Engine", "Job", "Label", "Queue", "export", "make_engine", "run"]
