"""The loop: train, explore, select, label, and again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ferrojax.data import Frame
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.labelling import make_engine
from ferrojax.learning.config import STORED, LearnConfig, load_learn_config
from ferrojax.learning.report import assess, write_report
from ferrojax.learning.rounds import Round, read_labelled
from ferrojax.learning.sources import check_sources

REPORT = "report.json"
MAY_CHANGE = ("rounds", "enough", "output")  # between a run and its continuation; the label section too, but for its engine


@dataclass(frozen=True)
class Learnt:
    """What a loop ended with: the folders of the last members, a report for each round, and why it stopped."""

    members: list[Path]
    rounds: list[dict[str, Any]]
    stopped: str


def learn(config: LearnConfig | str | Path | dict[str, Any], quiet: bool = False) -> Learnt:
    """Rounds of training a committee, exploring with it, and labelling where its members disagree, until ``enough`` or ``rounds``.

        learnt = learn("learn.yaml")

    The scheme is that of Zhang et al., Comput. Phys. Commun. 253, 107206 (2020). The output folder gets a folder for each round and
    report.md, rounds.csv, learning.png. A loop that was stopped goes on where it was: trainings from their checkpoints, labels from
    the queue.

    Raises FerrojaxError for faults in configuration or data, and what training, exploration and labelling raise.
    """
    settings = config if isinstance(config, LearnConfig) else load_learn_config(config)
    output = Path(settings.output)
    _open(output, settings)
    validation = [frame for path in settings.validation for frame in read_labelled(path, settings.elements)]
    reports: list[dict[str, Any]] = []
    stopped = f"all {settings.rounds} rounds done"
    for number in range(settings.rounds):
        current = Round(settings, number)
        reports.append(play(current, validation, quiet))
        write_report(output, reports)
        reason = enough(settings, reports[-1])
        if reason:
            stopped = reason
            break
    return Learnt(Round(settings, len(reports) - 1).members, reports, stopped)


def play(current: Round, validation: list[Frame], quiet: bool = False) -> dict[str, Any]:
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
    report["on_validation"] = assess(current, validation, plots=current.folder)
    write_text(path, json.dumps(report, indent=1) + "\n")
    return report


def enough(settings: LearnConfig, report: dict[str, Any]) -> str:
    """Why the loop may stop after this round; empty if it may not."""
    share, error = settings.enough.accurate_share, settings.enough.force_rmse
    if not report["selected"]:
        return "nothing is left to label"
    if share is not None and report["accurate"] >= share * report["explored"]:
        return f"{report['accurate']} of {report['explored']} structures explored are accurate, {share:.0%} are enough"
    reached = report["on_validation"]["force_rmse"]
    if error is not None and reached <= error:
        return f"the force RMSE on the validation frames is {reached:.1f} meV/Å, {error:g} are enough"
    return ""


def _open(output: Path, settings: LearnConfig) -> None:
    """Make the output folder and store the configuration; refuse to go on under another one, and to begin what cannot end."""
    check_sources(settings.explore)
    if settings.label.engine != STORED:
        make_engine(settings.label.engine, settings.label.settings).check()
    stored, present = output / "config.yaml", yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
    if stored.exists() and _essential(yaml.safe_load(stored.read_text())) != _essential(yaml.safe_load(present)):
        raise FerrojaxError(f"{output}: holds a loop of another configuration; choose another output.")
    write_text(stored, present)


def _essential(values: dict[str, Any]) -> dict[str, Any]:
    """What must not change when a loop goes on."""
    kept = {key: value for key, value in values.items() if key not in MAY_CHANGE}
    return kept | {"label": {key: kept["label"][key] for key in ("engine", "properties", "settings")}}
