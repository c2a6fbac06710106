"""First-principles frames that each route to a potential needs: from scratch, fine-tuned, and distilled from the fine-tuned one.

    python experiments/fine-tuning/run.py experiments/fine-tuning/pbtio3.yaml

Every run has its own folder below `runs`; those finished are not repeated and one that was stopped goes on, so kill it at will.
Writes beside the configuration a folder of its name: results.json, learning-curves.png, table.md.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.ticker import FuncFormatter
from pydantic import Field

from ferrojax import plotting
from ferrojax.data import Frame, read_frames, split_frames, write_frames
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.learning.explore import strained
from ferrojax.potential import load
from ferrojax.sections import Section, read_section
from ferrojax.shipped import data_path
from ferrojax.training import evaluate, teacher_frames, train

QUANTITIES = ("forces", "energy", "virial")


class Student(Section):
    """Structures around every training frame that the teacher labels: strained (±strain) and rattled (Å) copies, and with which labels."""

    teacher: str
    copies: int = Field(ge=1)
    strain: float = Field(0.02, gt=0)
    rattle: float = Field(0.05, gt=0)
    labels: list[str]


class Route(Section):
    """Sections of the training configuration; student: learn from the labels of another route's model, not from the frames."""

    training: dict[str, Any]
    student: Student | None = None


class Settings(Section):
    """data: file or folder, or a data set of the package. max_atoms: largest cells taken. held_out: frames never trained on, the same
    in all runs. frames: sizes of the training sets."""

    data: str
    dataset: str
    max_atoms: int = Field(ge=1)
    held_out: int = Field(ge=1)
    frames: list[int]
    seeds: list[int]
    runs: str
    reference: str
    quantity: Literal["forces", "energy", "virial"] = "forces"
    routes: dict[str, Route]


class Study:
    """All runs of a configuration."""

    def __init__(self, file: Path) -> None:
        self.settings, base = read_section(Settings, file)
        self.base, self.folder = base.absolute(), file.with_suffix("")
        every = read_frames(data_path(self.settings.data, base), self.settings.dataset)
        frames = [frame for frame in every if len(frame.atoms) <= self.settings.max_atoms]
        self.pool, self.held_out = split_frames(frames, self.settings.held_out / len(frames), seed=0)
        self.sizes = [size for size in self.settings.frames if size <= len(self.pool)]
        if not self.sizes or self.settings.reference not in self.settings.routes:
            raise FerrojaxError(f"{file}: give a size of at most {len(self.pool)} frames and a reference that is one of the routes.")

    def run(self) -> list[dict[str, Any]]:
        """Errors of every run, teachers before their students."""
        routes = sorted(self.settings.routes, key=lambda name: self.settings.routes[name].student is not None)
        return [self.one(*which) for which in product(self.sizes, self.settings.seeds, routes)]

    def one(self, size: int, seed: int, route: str) -> dict[str, Any]:
        """Train one model, or go on with it, and measure it on the held-out frames."""
        folder = self.place(route, size, seed)
        done = folder / "result.json"
        if not done.exists():
            frames = [self.pool[i] for i in sorted(np.random.default_rng(seed).permutation(len(self.pool))[:size])]
            student = self.settings.routes[route].student
            folder.mkdir(parents=True, exist_ok=True)
            write_frames(folder / "frames.extxyz", frames if student is None else self.labelled(frames, student, size, seed))
            trained = train(self.configuration(folder, route, seed), quiet=True)
            info = dict(trained.info)
            if student is not None:  # its energies have the zero of the teacher's, which is that of the frames
                info["reference_energies"] = {self.settings.dataset: next(iter(info["reference_energies"].values()))}
            errors = evaluate(trained.model, trained.params, info, self.held_out)
            row = {"route": route, "frames": size, "seed": seed} | {name: errors[name]["rmse"] for name in QUANTITIES if name in errors}
            write_text(done, json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
        return json.loads(done.read_text(encoding="utf-8"))

    def labelled(self, frames: list[Frame], student: Student, size: int, seed: int) -> list[Frame]:
        """The training frames' structures and copies around them, with the teacher's labels."""
        bounds = (-student.strain, student.strain)
        structures = [frame.atoms for frame in frames]
        for k, frame in enumerate(frames):
            structures += strained(frame.atoms, student.copies, bounds, bounds, student.rattle, seed=1000 * seed + k)
        model = load(self.place(student.teacher, size, seed) / "last")
        return teacher_frames(*model, structures, labels=student.labels)

    def configuration(self, folder: Path, route: str, seed: int) -> dict[str, Any]:
        """The training of one run: on all its frames, measured on none of them."""
        training = dict(self.settings.routes[route].training)
        if start := training.get("model", {}).get("start_from"):
            training["model"] = training["model"] | {"start_from": str(self.base / start)}
        data = [{"path": str(folder / "frames.extxyz"), "validation": 0}]
        return {"data": data, "seed": seed, "output": {"folder": str(folder)}} | training

    def place(self, route: str, size: int, seed: int) -> Path:
        """Folder of one run."""
        return self.base / self.settings.runs / f"{route}-{size}-{seed}"

    def curves(self, rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
        """Mean error and its standard error over the seeds, for each route and size."""
        found = {}
        for route in self.settings.routes:
            groups = [
                [row[self.settings.quantity] for row in rows if (row["route"], row["frames"]) == (route, size)] for size in self.sizes
            ]
            found[route] = {
                "mean": [float(np.mean(group)) for group in groups],
                "error": [float(np.std(group, ddof=1) / len(group) ** 0.5) if len(group) > 1 else float("nan") for group in groups],
            }
        return found


def frames_needed(sizes: list[int], errors: list[float], target: float) -> float | None:
    """Smallest training set whose error is the target, by straight lines between the logarithms; None if the curve does not get there."""
    if errors[0] <= target:
        return float(sizes[0])
    for (n, high), (m, low) in zip(zip(sizes, errors), zip(sizes[1:], errors[1:])):
        if high > target >= low:
            return float(n * (m / n) ** (np.log(high / target) / np.log(high / low)))
    return None


def in_words(sizes: list[int], errors: list[float], target: float) -> str:
    """The number of frames needed, as far as the sizes tell."""
    needed = frames_needed(sizes, errors, target)
    if needed is None:
        return f"> {sizes[-1]}"
    return f"< {sizes[0]}" if errors[0] < target else f"{needed:.0f}"


def table(study: Study, curves: dict[str, dict[str, list[float]]]) -> str:
    """Frames that each route needs for the errors that the reference route has at its sizes."""
    sizes, reference = study.sizes, study.settings.reference
    lines = [f"| {study.settings.quantity} RMSE of {reference} | " + " | ".join(curves) + " |", "|---" * (len(curves) + 1) + "|"]
    for size, target in zip(sizes, curves[reference]["mean"]):
        words = [in_words(sizes, curve["mean"], target) for curve in curves.values()]
        lines.append(f"| {target:.3g} at {size} frames | " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def draw(study: Study, curves: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Error against training frames, mean and standard error over the seeds."""
    unit = "meV/Å" if study.settings.quantity == "forces" else "meV/atom"
    with plotting.journal():
        figure, axes = plotting.figure()
        for route, curve in curves.items():
            axes.errorbar(study.sizes, curve["mean"], np.nan_to_num(curve["error"]), marker="o", capsize=2, label=route)
        axes.set(xscale="log", yscale="log", xlabel="first-principles frames", ylabel=f"{study.settings.quantity} RMSE, held out ({unit})")
        axes.set_xticks(study.sizes, [str(size) for size in study.sizes])
        axes.xaxis.minorticks_off()
        for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            which(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "1235" else ""))  # 20, 30, 50, 100 ...
        axes.legend()
        plotting.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    try:
        study = Study(parser.parse_args().config)
        rows = study.run()
    except FerrojaxError as error:
        raise SystemExit(f"{error}") from None
    curves = study.curves(rows)
    results = {"held_out": len(study.held_out), "sizes": study.sizes, "quantity": study.settings.quantity, "curves": curves, "runs": rows}
    write_text(study.folder / "results.json", json.dumps(results, indent=1) + "\n")
    write_text(study.folder / "table.md", table(study, curves))
    draw(study, curves, study.folder / "learning-curves.png")
    print(table(study, curves), end="")


if __name__ == "__main__":
    main()
