"""Does the last layer's posterior tell the error of the model of the package? On the frames that its training left out.

    python experiments/active-learning/last_layer.py [--claims]

Writes last-layer.json beside itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import ferrojax
from ferrojax.data import split_frames
from ferrojax.files import write_text
from ferrojax.learning.calibration import calibrate_forces, cross_coverage
from ferrojax.learning.deviation import evaluate
from ferrojax.learning.last_layer import fit_last_layer

HERE = Path(__file__).resolve().parent
NAME = "pbtio3-v1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--claims", action="store_true", help="record the rank correlation in docs/claims.json")
    options = parser.parse_args()
    model, params, info = ferrojax.load(NAME)
    # As its configuration (experiments/shipped-models) divides them.
    trained, held_out = split_frames(ferrojax.read_frames(NAME), 0.1, seed=0)
    layer = fit_last_layer(model, params, info, trained)
    calculator = ferrojax.FerrojaxCalculator(model, params, dataset="")
    forces = [calculator.get_property("forces", frame.atoms) for frame in held_out]
    deviations = evaluate(layer, held_out)
    told, coverage = calibrate_forces(deviations, held_out, forces), cross_coverage(deviations, held_out, forces)
    errors = [np.asarray(frame.forces) - force for frame, force in zip(held_out, forces)]
    found = {
        "force_rmse_meV_per_A": 1e3 * float(np.sqrt(np.mean(np.concatenate(errors) ** 2))),
        "frames": [len(trained), len(held_out)],
        "atoms": told["atom"].count,
        "spearman_atom": told["atom"].spearman,
        "spearman_frame": told["frame"].spearman,
        "scale": told["atom"].scale,
        "coverage": coverage,
    }
    write_text(HERE / "last-layer.json", json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    if options.claims:
        record(found)


def record(found: dict) -> None:
    """Put the rank correlation into the claims register and the pages made from it."""
    sys.path.insert(0, str(HERE.parents[1] / "tools"))
    import claims

    register = claims.load()
    inside = " and ".join(f"{100 * share:.0f}" for share in found["coverage"])
    note = f"{found['atoms']} atoms of {found['frames'][1]} frames; {inside} % of errors in the intervals of 68 and 95 %"
    claims.update(register, "E-last-layer-spearman", value=float(f"{found['spearman_atom']:.3g}"), note=note)
    claims.save(register)
    claims.write_pages()


if __name__ == "__main__":
    main()
