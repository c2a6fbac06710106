"""Read labelled structures: extended XYZ, anything ASE reads, and DeePMD folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ase.data import atomic_numbers

from ferrojax.data.ase_files import KEYED, read_ase_file
from ferrojax.data.deepmd import read_deepmd, system_folders
from ferrojax.data.frame import Frame, frame_problems
from ferrojax.errors import FerrojaxError
from ferrojax.shipped import data_path

SUFFIXES = (".xyz", ".extxyz")


def raise_error(error: FerrojaxError) -> None:
    """The default of on_error: stop at the first problem."""
    raise error


def read_frames(
    path: str | Path,
    dataset: str | None = None,
    keys: Mapping[str, str] | None = None,
    elements: Iterable[str] | None = None,
    systems: Iterable[str] | None = None,
    on_error: Callable[[FerrojaxError], None] = raise_error,
) -> list[Frame]:
    """Frames of a file that ASE reads, of a DeePMD folder (searched recursively), or of a folder of XYZ files.

        frames = ferrojax.read_frames("pbtio3-v1")  # a data set of the package, by its name

    dataset: name of the level of theory; default the name of the file or folder (or the file's own `dataset` key).
    keys: label -> key in the file, where the usual aliases do not do, e.g. {"energy": "my_energy"}; `virial` is also a label
        (eV, stress = -virial/V). Quantities under other keys are left out.
    elements: keep frames that hold only these. systems: keep only these systems.
    on_error: receives each FerrojaxError; if it returns, the frame (or system) is skipped.

    Units are not converted: eV, Å, e, V (`check_frames` finds what cannot be right).
    Raises FerrojaxError for a file that is missing, truncated or not understood, frames without atoms, with a flat or
    left-handed cell, with labels that are not finite or of a wrong shape, and when nothing is left to read.
    """
    path = data_path(path)
    allowed = _known_elements(elements)
    keys = _known_keys(keys)
    wanted = None if systems is None else set(systems)
    name = dataset or (path.resolve().name if path.is_dir() else path.stem)
    frames, read, refused = [], 0, 0

    def refuse(error: FerrojaxError) -> None:
        nonlocal refused
        refused += 1
        on_error(error)

    for frame in _raw_frames(path, name, dataset is None, keys, allowed, wanted, refuse):
        read += 1
        if not _selected(frame, allowed, wanted):
            continue
        problems = frame_problems(frame)
        for problem in problems:
            refuse(FerrojaxError(f"{frame.source}: {problem.sentence}; {problem.remedy}."))
        if not problems:
            frames.append(frame)
    if not frames and not refused:
        on_error(_nothing(path, read, allowed, wanted))
    elif frames and not any(frame.keys for frame in frames):
        on_error(
            FerrojaxError(f"{path}: no label was recognised in {len(frames)} frames; name the keys, as keys={{'energy': 'my_energy'}}.")
        )
    return frames


def _raw_frames(
    path: Path,
    name: str,
    own_name: bool,
    keys: Mapping[str, str],
    elements: set[str] | None,
    systems: set[str] | None,
    on_error: Callable[[FerrojaxError], None],
) -> Iterator[Frame]:
    if not path.exists():
        on_error(FerrojaxError(f"{path}: no such file or folder; check the path."))
    elif path.is_file():
        yield from read_ase_file(path, name, own_name, keys, on_error)
    elif system_folders(path):
        yield from read_deepmd(path, name, keys, elements, systems, on_error)
    else:
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES)
        if not files:
            on_error(FerrojaxError(f"{path}: the folder holds neither DeePMD systems (type.raw) nor XYZ files; give the data file itself."))
        for file in files:
            yield from read_ase_file(file, name, own_name, keys, on_error)


def _selected(frame: Frame, elements: set[str] | None, systems: set[str] | None) -> bool:
    if systems is not None and frame.system not in systems:
        return False
    return elements is None or set(frame.atoms.symbols) <= elements


def _known_elements(elements: Iterable[str] | None) -> set[str] | None:
    if elements is None:
        return None
    wanted = set(elements)
    unknown = sorted(e for e in wanted if atomic_numbers.get(e, 0) < 1)
    if unknown:
        raise FerrojaxError(f"elements: {', '.join(unknown)} is no chemical element; give symbols such as Pb, Ti, O.")
    return wanted


def _known_keys(keys: Mapping[str, str] | None) -> Mapping[str, str]:
    unknown = sorted(set(keys or {}) - set(KEYED))
    if unknown:
        raise FerrojaxError(f"keys: {', '.join(unknown)} is no label; the labels are {', '.join(KEYED)}.")
    return keys or {}


def _nothing(path: Path, read: int, elements: set[str] | None, systems: set[str] | None) -> FerrojaxError:
    if elements is None and systems is None:
        return FerrojaxError(f"{path}: zero frames; give a file that holds at least one structure.")
    filters = [f"elements {', '.join(sorted(elements))}"] if elements is not None else []
    filters += [f"systems {', '.join(sorted(systems))}"] if systems is not None else []
    return FerrojaxError(
        f"{path}: no frame is left after the filter ({'; '.join(filters)}); {read} frames were looked at: widen the filter."
    )
