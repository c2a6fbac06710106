"""Put finished labels into a data set of the package, after the frames that it has already.

    python experiments/dft-labels/assemble.py pbtio3-v1 runs/dft/pbtio3.db [MORE.db ...]

Writes ferrojax/data/NAME/NAME.extxyz and provenance.json (engine, version, settings, k-points, iterations, CPU time, date of each
frame), and the number of frames of each kind in its card. What is there already, by structure, is not added again, so it may be
called as often as labels are finished. Other substances than the one that the name begins with are left out.
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

KEPT = ("engine", "version", "settings_hash", "iterations", "date")
BEGIN, END = "<!-- counts -->", "<!-- end of counts -->"  # in the data set's card
DETAILS = {"kpoints": "kpoints", "gap": "gap_eV"}  # where the engine gives them


def main(name: str, *queues: str) -> None:
    folder, wanted = DATA / name, name.split("-")[0]
    file, record = folder / f"{name}.extxyz", folder / "provenance.json"
    frames = read_frames(file) if file.exists() else []
    made: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {"settings": {}, "frames": []}
    labelled = [pair for path in queues for pair in Queue(path).labelled() if substance(pair[0]) == wanted]
    copies = {id(copy) for _, copy in find_duplicates([*frames, *(frame for frame, _ in labelled)])}
    for frame, provenance in labelled:
        if id(frame) not in copies:
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
