"""Errors of a committed experiment's model on the frames its configuration holds out.

    python experiments/evaluate.py titanates/accurate [--claims]

Reads config.yaml, rebuilds the same split from the data beside the checkout, evaluates
model/ and writes results.json and parity.png there. With --claims the numbers go to
docs/claims.json too.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ferrojax.errors import FerrojaxError
from ferrojax.potential import load
from ferrojax.training.config import load_config
from ferrojax.training.evaluate import evaluate
from ferrojax.training.plots import parity_plot
from ferrojax.training.sources import load_frames

HERE = Path(__file__).resolve().parent
RESPONSE = {"force": ("forces", "rmse"), "born": ("born_charges", "rmse"), "dipole": ("dipole", "rmse")}
CLAIMS = {
    "titanates/accurate": {"force": ("forces", "rmse"), "energy": ("energy", "rmse"), "virial": ("virial", "rmse")},
    "titanates/fast": {"force": ("forces", "rmse")},
    "batio3-response/accurate": RESPONSE | {"polarizability": ("polarizability", "relative_rmse_percent")},
    "batio3-response/fast": RESPONSE | {"polarizability": ("polarizability", "relative_rmse_percent")},
}


def run(name: str) -> dict:
    """Evaluate an experiment and write its results; returns the metrics."""
    folder = HERE / name
    settings = load_config(folder / "config.yaml")
    frames = load_frames(settings.data, settings.seed)
    model, params, info = load(folder / "model")
    metrics = evaluate(model, params, info, frames.validation, predictions=True)
    parity_plot(metrics.pop("predictions"), folder / "parity.png")
    metrics["split"] = {"train": len(frames.train), "validation": len(frames.validation), "seed": settings.seed}
    metrics["training"] = {key: info["provenance"][key] for key in ("versions", "device")}
    temporary = folder / ".results.json"
    temporary.write_text(json.dumps(metrics, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(folder / "results.json")
    return metrics


def record(name: str, metrics: dict) -> None:
    """Put the numbers into the claims register and the pages made from it."""
    sys.path.insert(0, str(HERE.parent / "tools"))
    import claims

    register = claims.load()
    prefix = "A-" + name.replace("titanates/", "titanates-").replace("batio3-response/", "batio3-")
    for suffix, (quantity, statistic) in CLAIMS[name].items():
        value = float(f"{metrics[quantity][statistic]:.4g}")
        claims.update(register, f"{prefix}-{suffix}", value=value, command=f"python experiments/evaluate.py {name}", note="")
    claims.save(register)
    claims.write_pages()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(CLAIMS))
    parser.add_argument("--claims", action="store_true", help="record the numbers in docs/claims.json")
    options = parser.parse_args()
    try:
        metrics = run(options.name)
    except FerrojaxError as error:
        raise SystemExit(f"{error}") from None
    for quantity, values in metrics.items():
        if isinstance(values, dict) and "rmse" in values:
            print(f"{quantity:16}{values['rmse']:12.5g}{values['mae']:12.5g} {values['unit']:12}{values['count']:>9} values")
    if options.claims:
        record(options.name, metrics)


if __name__ == "__main__":
    main()
