"""Does choosing by uncertainty beat choosing at random? The same loop on stored first-principles labels, strategy by strategy.

    python experiments/active-learning/compare.py experiments/active-learning/pbtio3.yaml [--claims]

Every loop starts from the same few frames and learns as many labels; only what is chosen differs. Writes beside the configuration a
folder of its name: results.json, learning-curves.png, table.md. The loops are kept below runs/ and go on where they were stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ferrojax import plotting
from ferrojax.data import Frame, read_frames, write_frames
from ferrojax.files import write_text
from ferrojax.learning import learn
from ferrojax.shipped import data_path

RUNS = Path(__file__).resolve().parents[2] / "runs" / "active-learning"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file of the experiment")
    parser.add_argument("--claims", action="store_true", help="record the last round in docs/claims.json")
    options = parser.parse_args()
    path = options.config
    settings, folder = yaml.safe_load(path.read_text(encoding="utf-8")), path.with_suffix("")
    folder.mkdir(exist_ok=True)
    found: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in settings["strategies"]}
    for seed in settings["seeds"]:
        for name, select in settings["strategies"].items():
            found[name].append(one_loop(settings, path, name, select, seed))
            report(settings, found, folder)
    if options.claims:
        record(summary(found["loop"]), summary(found["random"]))


def record(loop: dict[str, Any], random: dict[str, Any]) -> None:
    """Put the last round into the claims register and the pages made from it."""
    sys.path.insert(0, str(RUNS.parent.parent / "tools"))
    import claims

    each = [one[-1] / other[-1] for one, other in zip(loop["each_force_rmse"], random["each_force_rmse"])]
    seeds = ", ".join(f"{ratio:.2f}" for ratio in each)
    covered = f"{100 * loop['coverage_68'][-1]:.0f} and {100 * loop['coverage_95'][-1]:.0f} % of errors in the intervals of 68 and 95 %"
    register = claims.load()
    early = f"{loop['frames'][1]} frames: {loop['force_rmse'][1]:.0f} meV/Å against {random['force_rmse'][1]:.0f}"
    note = f"{loop['frames'][-1]} frames; of the seeds: {seeds}; at {early}"
    ranks = ", ".join(f"{one[-1]:.2f}" for one in loop["each_spearman"])
    covered = f"of the seeds: {ranks}; {covered}"
    claims.update(register, "E-loop-random", value=float(f"{loop['force_rmse'][-1] / random['force_rmse'][-1]:.3g}"), note=note)
    claims.update(register, "E-loop-spearman", value=float(f"{loop['spearman'][-1]:.3g}"), note=covered)
    claims.save(register)
    claims.write_pages()


def one_loop(settings: dict, path: Path, name: str, select: dict, seed: int) -> list[dict[str, Any]]:
    """Reports of the rounds of one loop."""
    place = RUNS / path.stem / f"{name}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    start, pool, validation = divided(settings, path.parent, seed)
    for part, frames in (("start", start), ("pool", pool), ("validation", validation)):
        if not (place / f"{part}.extxyz").exists():
            write_frames(place / f"{part}.extxyz", frames)
    config = settings["loop"] | {
        "data": [str(place / "start.extxyz")],
        "validation": [str(place / "validation.extxyz")],
        "explore": [{"kind": "file", "path": str(place / "pool.extxyz")}],
        "select": select | {"per_round": settings["per_round"]},
        "label": {"engine": "stored"},
        "enough": {"accurate_share": None},
        "output": str(place / "loop"),
        "seed": seed,
    }
    return learn(config, quiet=True).rounds


def divided(settings: dict, base: Path, seed: int) -> tuple[list[Frame], list[Frame], list[Frame]]:
    """Frames to begin with (at random, by the seed), to choose from, and to validate on (the same for all seeds)."""
    every = [frame for name in settings["frames"] for frame in read_frames(data_path(name, base))[: settings["first"]]]
    frames = [frame for frame in every if len(frame.atoms) <= settings["max_atoms"]]
    held = np.random.default_rng(0).permutation(len(frames))
    validation, others = held[: settings["validation"]], held[settings["validation"] :]
    others = np.random.default_rng((1, seed)).permutation(others)
    first = settings["start"]
    return [frames[k] for k in others[:first]], [frames[k] for k in others[first:]], [frames[k] for k in validation]


def report(settings: dict, found: dict[str, list[list[dict[str, Any]]]], folder: Path) -> None:
    """results.json, table.md and learning-curves.png of the loops so far."""
    curves = {name: summary(loops) for name, loops in found.items() if loops}
    write_text(folder / "results.json", json.dumps({"settings": settings, "strategies": curves}, indent=1) + "\n")
    lines = ["| strategy | frames | force RMSE (meV/Å) | of the seeds | Spearman | coverage of 68 and 95 % |", "|---|---|---|---|---|---|"]
    for name, curve in curves.items():
        each = ", ".join(f"{row[-1]:.0f}" for row in curve["each_force_rmse"])
        shares = f"{100 * curve['coverage_68'][-1]:.0f}, {100 * curve['coverage_95'][-1]:.0f}"
        error = f"{curve['force_rmse'][-1]:.1f} ± {curve['error'][-1]:.1f}"
        lines.append(f"| {name} | {curve['frames'][-1]} | {error} | {each} | {curve['spearman'][-1]:.2f} | {shares} |")
    write_text(folder / "table.md", "\n".join(lines) + "\n")
    draw(curves, folder / "learning-curves.png")


def summary(loops: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Mean over the seeds, and standard error of the force RMSE, round by round."""
    rounds = min(len(loop) for loop in loops)
    values = {key: np.array([[row["on_validation"][key] for row in loop[:rounds]] for loop in loops], float) for key in
              ("force_rmse", "spearman", "coverage_68", "coverage_95")}  # fmt: skip
    error = values["force_rmse"].std(0, ddof=1) / len(loops) ** 0.5 if len(loops) > 1 else np.zeros(rounds)
    means = {key: value.mean(0).tolist() for key, value in values.items()}
    each = {f"each_{key}": values[key].tolist() for key in ("force_rmse", "spearman")}
    frames = [row["training_frames"] for row in loops[0][:rounds]]
    return {"frames": frames, **means, "error": error.tolist(), **each}


def draw(curves: dict[str, Any], path: Path) -> None:
    with plotting.journal():
        figure, axes = plotting.figure()
        for colour, (name, curve) in zip(plotting.PALETTE, curves.items()):
            axes.errorbar(curve["frames"], curve["force_rmse"], curve["error"], marker="o", capsize=2, color=colour, label=name)
        axes.set(xlabel="training frames", ylabel="force RMSE, held-out frames (meV/Å)", yscale="log")
        axes.yaxis.set_major_formatter("{x:.0f}")
        axes.yaxis.set_minor_formatter("{x:.0f}")
        axes.legend()
        plotting.save(figure, path)


if __name__ == "__main__":
    main()
