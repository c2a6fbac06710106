"""Put finished labels into a data set of the package, after the frames that it has already.

    python experiments/dft-labels/assemble.py pbtio3-v1 runs/dft/pbtio3.db [MORE.db ...]

Writes ferrojax/data/NAME/NAME.extxyz and provenance.json (engine, version, settings, k-points, iterations, CPU time, date of each
frame). What is there already, by structure, is not added again, so it may be called as often as labels are finished.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

from ferrojax.data import read_frames, write_frames
from ferrojax.data.checks.duplicates import find_duplicates
from ferrojax.data.shipped import DATA
from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.labelling.job_queue import Queue

KEPT = ("engine", "version", "settings_hash", "iterations", "date")


def main(name: str, *queues: str) -> None:
    folder = DATA / name
    folder.mkdir(exist_ok=True)
    file, record = folder / f"{name}.extxyz", folder / "provenance.json"
    frames = read_frames(file) if file.exists() else []
    made: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {"settings": {}, "frames": []}
    labelled = [pair for path in queues for pair in Queue(path).labelled()]
    copies = {id(copy) for _, copy in find_duplicates([*frames, *(frame for frame, _ in labelled)])}
    for frame, provenance in labelled:
        if id(frame) not in copies:
            frame.dataset = name
            frames.append(frame)
            made["settings"][provenance["settings_hash"]] = provenance["settings"]
            made["frames"].append(row(len(frames) - 1, provenance))
    if not frames:
        raise FerrojaxError(f"{', '.join(queues)}: no job is finished yet; ferrojax label status says what there is.")
    write_frames(file, frames)
    write_text(record, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    for (system, atoms), count in sorted(Counter((frame.system, len(frame.atoms)) for frame in frames).items()):
        print(f"{count:5d}  {atoms:3d} atoms  {system}")
    print(f"{len(frames):5d}  in {file}")


def row(index: int, provenance: dict[str, Any]) -> dict[str, Any]:
    details = provenance["details"]
    return {"frame": index, **{name: provenance[name] for name in KEPT}, "kpoints": details["kpoints"], "gap_eV": details["gap"]}


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except FerrojaxError as error:
        raise SystemExit(f"{error}") from None
