"""The loop: train, explore, select, label, and again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.learning.config import STORED, LearnConfig, load_learn_config
from ferrojax.learning.labels import Labels
from ferrojax.learning.report import assess, write_report
from ferrojax.learning.rounds import Round, without
from ferrojax.learning.sources import check_sources

REPORT, CLOSING = "report.json", "closing.json"  # of a round, and of the training on all labels after the last one
MAY_CHANGE = ("rounds", "enough", "output")  # between a run and its continuation; the label section too, but for its engine


@dataclass(frozen=True)
class Learnt:
    """What a loop ended with: the folders of the last members, trained on all labels; a report for each training; and why it stopped."""

    members: list[Path]
    rounds: list[dict[str, Any]]
    stopped: str


def learn(config: LearnConfig | str | Path | dict[str, Any], quiet: bool = False) -> Learnt:
    """Rounds of training a committee, exploring with it, and labelling where its members disagree, until ``enough`` or ``rounds``.

        learnt = learn("learn.yaml")

    The scheme is that of Zhang et al., Comput. Phys. Commun. 253, 107206 (2020). The output folder gets a folder for each round and
    report.md, rounds.csv, learning.png. The labels of the last round are trained on too, in one folder more. A loop that was stopped
    goes on where it was: trainings from their checkpoints, labels from the queue.

    Raises FerrojaxError for faults in configuration or data, what training, exploration and labelling raise, and for a round that finds
    all structures too uncertain to be labelled.
    """
    settings = config if isinstance(config, LearnConfig) else load_learn_config(config)
    output = Path(settings.output)
    _open(output, settings)
    reports: list[dict[str, Any]] = []
    stopped = f"all {settings.rounds} rounds done"
    for number in range(settings.rounds):
        reports.append(play(Round(settings, number), quiet))
        write_report(output, reports)
        reason = enough(settings, reports[-1])
        if reason:
            stopped = reason
            break
    last = Round(settings, len(reports) - 1)
    if reports[-1]["selected"]:
        last = Round(settings, len(reports))
        reports.append(close(last, quiet))
        write_report(output, reports)
    return Learnt(last.members, reports, stopped)


def play(current: Round, quiet: bool = False) -> dict[str, Any]:
    """One round; its report, from the file if the round is complete."""
    path = current.folder / REPORT
    if path.exists():
        return json.loads(path.read_text())
    current.train(quiet)
    counts = current.selection()
    report = {"round": current.number, "training_frames": len(current.training_frames), **counts}
    if counts["selected"]:
        labelled = current.label(quiet)
        report |= {"labelled": len(labelled), "on_labelled": assess(current, labelled)}
    report["on_validation"] = assess(current, current.validation_frames, plots=current.folder)
    write_text(path, json.dumps(report, indent=1) + "\n")
    return report


def close(current: Round, quiet: bool = False) -> dict[str, Any]:
    """Training on all labels, after the last round; its report. Nothing is explored, unless the loop goes on with more rounds."""
    path = current.folder / CLOSING
    if path.exists():
        return json.loads(path.read_text())
    current.train(quiet)
    report: dict[str, Any] = {"round": current.number, "training_frames": len(current.training_frames)}
    report["on_validation"] = assess(current, current.validation_frames, plots=current.folder)
    write_text(path, json.dumps(report, indent=1) + "\n")
    return report


def enough(settings: LearnConfig, report: dict[str, Any]) -> str:
    """Why the loop may stop after this round; empty if it may not.

    Raises FerrojaxError if it can neither stop nor go on: nothing was chosen, and not enough is accurate.
    """
    share, error = settings.enough.accurate_share, settings.enough.force_rmse
    accurate, explored = report["accurate"], report["explored"]
    reached = report["on_validation"]["force_rmse"]
    doubt = any(run["doubt"] for run in report.get("runs", []))
    if error is not None and reached <= error:
        return f"the force RMSE on the validation frames is {reached:.1f} meV/Å, {error:g} are enough"
    # A run that was interrupted saw nothing after its doubt, so that its share says little.
    if share is not None and accurate >= share * explored and not doubt:
        return f"{accurate} of {explored} structures explored are accurate, {share:.0%} are enough"
    if report["selected"]:
        return ""
    if doubt:
        raise FerrojaxError(
            f"round {report['round']}: a run cannot leave the structure labelled last, as its next step is above high_eV_per_A "
            f"({report['high_eV_per_A']:g} eV/Å) again; raise that level, begin elsewhere, or add data."
        )
    if report["failed"]:
        raise FerrojaxError(
            f"round {report['round']}: nothing can be chosen, as {report['failed']} of {explored} structures are above high_eV_per_A "
            f"({report['high_eV_per_A']:g} eV/Å) and none between the levels; raise that level, explore nearer to the data, or add data."
        )
    return "nothing is left to label"


def _open(output: Path, settings: LearnConfig) -> None:
    """Make the output folder and store the configuration; refuse to go on under another one, and to begin what cannot end."""
    check_sources(settings.explore)
    if settings.label.engine != STORED:
        Labels(settings).check()
    _check_data(settings)
    stored, present = output / "config.yaml", yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
    if stored.exists() and _essential(yaml.safe_load(stored.read_text())) != _essential(yaml.safe_load(present)):
        raise FerrojaxError(f"{output}: holds a loop of another configuration; choose another output.")
    write_text(stored, present)


def _check_data(settings: LearnConfig) -> None:
    """Both kinds of labelled frames are there, and none is of both."""
    first = Round(settings, 0)
    kept = without(first.validation_frames, first.training_frames)
    shared = len(first.validation_frames) - len(kept)
    if shared:
        source = next(frame.source for frame in first.validation_frames if all(frame is not other for other in kept))
        raise FerrojaxError(
            f"validation: {shared} of {len(first.validation_frames)} frames are in data too, the first of them {source}; "
            "leave them out of one of the two (ferrojax.data.split_frames divides a set)."
        )


def _essential(values: dict[str, Any]) -> dict[str, Any]:
    """What must not change when a loop goes on."""
    kept = {key: value for key, value in values.items() if key not in MAY_CHANGE}
    return kept | {"label": {key: kept["label"][key] for key in ("engine", "properties", "settings")}}
