"""Training and evaluation."""

from ferrojax.training.api import TrainResult, train
from ferrojax.training.config import TrainConfig, load_config
from ferrojax.training.evaluate import evaluate
from ferrojax.training.teacher import teacher_frames

__all__ = ["TrainConfig", "TrainResult", "evaluate", "load_config", "teacher_frames", "train"]
