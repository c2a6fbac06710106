"""A small training in its own process: python training_worker.py FOLDER STEPS CHECKPOINT_MINUTES [minutes of budget]."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
from training_toy import random_frames, toy

from ferrojax.errors import FerrojaxError
from ferrojax.training.batches import pack
from ferrojax.training.config import load_config
from ferrojax.training.loop import Trainer
from ferrojax.training.optimizer import init_state

REFERENCES = {"toy": {"Ba": -1000.0, "Ti": -1000.0, "O": -1000.0}}


def make_trainer(folder: Path, save_weights=lambda name, params, summary: None, quiet: bool = True, **changes) -> tuple[Trainer, object]:
    """Trainer of the toy on 12 random frames, and its first state."""
    values = {
        "data": [{"path": "-"}],
        "stop": {"steps": 20},
        "output": {"folder": str(folder), "checkpoint_minutes": 0.0, "validate_every": 1},
    }
    config = load_config(values | {"optimizer": {"batch_size": 4, "warmup_steps": 5}} | changes)
    model, labels = toy(), ("energy", "forces", "stress")
    train, validation = (pack(random_frames(n, labels, seed), model, REFERENCES, max_buckets=1) for n, seed in ((12, 0), (2, 1)))
    folder.mkdir(exist_ok=True)
    return Trainer(config, model, train, validation, REFERENCES, save_weights, quiet), init_state(
        model.init(jax.random.key(0)), config.optimizer
    )


def main() -> None:
    """Train and store the final arrays."""
    folder, steps, checkpoint_minutes = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    stop = {"minutes": float(sys.argv[4])} if len(sys.argv) > 4 else {"steps": steps}
    output = {"folder": str(folder), "checkpoint_minutes": checkpoint_minutes, "validate_every": 1}
    trainer, state = make_trainer(folder, stop=stop, output=output, quiet=False)
    try:
        final = trainer.run(state)
    except FerrojaxError as error:
        sys.exit(f"refused: {error}")
    np.savez(folder / "final.npz", *[np.asarray(leaf) for leaf in jax.tree.leaves(final)])


if __name__ == "__main__":
    main()
