"""Put finished labels into a data set of the package, after the frames that it has already.

    python experiments/dft-labels/assemble.py pbtio3-v1 runs/dft/pbtio3.db [MORE.db ...]

Writes ferrojax/data/NAME/NAME.extxyz and provenance.json (engine, version, settings, k-points, iterations, band gap, wall time and
number of processes, date of each frame), and the number of frames of each kind in its card. What is there already, by structure, is
not added again, so it may be called as often as labels are finished. Other substances than the one that the name begins with are left
out. Labels of another engine or other settings than those that the set has stop it, and nothing is written.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

from ferrojax.data import Frame, read_frames, write_frames
from ferrojax.data.checks.duplicates import find_duplicates
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.labelling.job_queue import Queue
from ferrojax.shipped import DATA

LEVEL = ("engine", "settings_hash")  # labels that agree in these share an energy zero
KEPT = ("engine", "version", "settings_hash", "iterations", "wall_seconds", "date")
BEGIN, END = "<!-- counts -->", "<!-- end of counts -->"  # in the data set's card
# Where the engine gives them; its own time is also that of a label which a later worker only read.
DETAILS = {"kpoints": "kpoints", "gap": "gap_eV", "wall_seconds": "wall_seconds", "ranks": "processes"}


def main(name: str, *queues: str) -> None:
    folder, wanted = DATA / name, name.split("-")[0]
    file, record = folder / f"{name}.extxyz", folder / "provenance.json"
    frames = read_frames(file) if file.exists() else []
    made: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {"settings": {}, "frames": []}
    labelled = [pair for path in queues for pair in Queue(path).labelled() if substance(pair[0]) == wanted]
    copies = {id(copy) for _, copy in find_duplicates([*frames, *(frame for frame, _ in labelled)])}
    new = [(frame, provenance) for frame, provenance in labelled if id(frame) not in copies]
    require_one_level(name, made["frames"], new)
    for frame, provenance in new:
        frame.dataset = name
        frames.append(frame)
        made["settings"][provenance["settings_hash"]] = provenance["settings"]
        made["frames"].append(row(len(frames) - 1, provenance))
    if not frames:
        raise FerrojaxError(f"{', '.join(queues)}: no job of {wanted} is finished yet; ferrojax label status says what there is.")
    folder.mkdir(exist_ok=True)
    write_frames(file, frames)
    write_text(record, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    counted = table(frames)
    print(counted)
    card = folder / "README.md"
    if card.exists():
        before, _, after = card.read_text(encoding="utf-8").partition(BEGIN)
        write_text(card, f"{before}{BEGIN}\n{counted}\n{END}{after.partition(END)[2]}")


def require_one_level(name: str, recorded: list[dict[str, Any]], new: list[tuple[Frame, dict[str, Any]]]) -> None:
    """Raises FerrojaxError unless the new labels, and those that the set records, are of one engine and its settings."""
    known = [tuple(entry[key] for key in LEVEL) for entry in [*recorded, *(provenance for _, provenance in new)]]
    for (frame, _), level in zip(new, known[len(recorded) :]):
        if level != known[0]:
            there, here = (f"{engine} {settings[:8]}" for engine, settings in (known[0], level))
            raise FerrojaxError(f"{frame.source}: it is of {here}, the labels of {name} are of {there}; put it into another data set.")


def substance(frame: Frame) -> str:
    """As in the data sets' names: batio3."""
    return f"{frame.atoms.symbols.formula.reduce()[0]:metal}".lower()


def table(frames: list[Frame]) -> str:
    """How many frames of which kind, in Markdown."""
    kinds = Counter((frame.system, len(frame.atoms)) for frame in frames)
    rows = [f"| {system} | {atoms} | {count} |" for (system, atoms), count in sorted(kinds.items())]
    return "\n".join(["| frames | atoms | number |", "|---|---|---|", *rows, f"| all | | {len(frames)} |"])


def row(index: int, provenance: dict[str, Any]) -> dict[str, Any]:
    details = {kept: provenance["details"][name] for name, kept in DETAILS.items() if name in provenance["details"]}
    return {"frame": index, **{name: provenance[name] for name in KEPT}, **details}


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except FerrojaxError as error:
        raise SystemExit(f"{error}") from None
