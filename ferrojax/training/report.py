"""What a training tells: one line an epoch, a progress bar on a terminal, and metrics.csv."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ferrojax.errors import FerrojaxError
from ferrojax.files import write_text
from ferrojax.training.metrics import UNITS

COLUMNS = ("epoch", "step", "minutes", "learning_rate", "train_loss", "skipped", "validation_loss") + tuple(
    f"{name}_{error}" for name in UNITS if name != "energy_aligned" for error in ("rmse", "mae")
)


class MetricsFile:
    """metrics.csv: one row for each validation, in the units of ``metrics.UNITS``; empty where there is no label."""

    def __init__(self, path: Path, rows: int) -> None:
        """Keep the first ``rows`` rows of an earlier run, those its checkpoint knows."""
        self.path = path
        kept = read_metrics(path)[:rows] if path.exists() and rows else []
        self.rows = len(kept)
        _write_whole(path, kept)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row; it reaches the file at once."""
        try:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, COLUMNS).writerow(row)
        except OSError as error:
            raise FerrojaxError(f"{self.path}: cannot be written ({error.strerror}); free disk space and start again.") from None
        self.rows += 1


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Rows of a metrics.csv as text; a row cut short by a kill is left out."""
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    return list(csv.DictReader(io.StringIO(whole)))


def metrics_row(here: Mapping[str, Any], minutes: float, rate: float, loss: float, errors: Mapping[str, Any]) -> dict[str, Any]:
    """One row of metrics.csv; ``here`` is the position of the loop."""
    row = {"epoch": here["epoch"], "step": here["step"], "minutes": f"{minutes:.3f}", "learning_rate": f"{rate:.6e}"}
    row |= {"train_loss": repr(loss), "skipped": here["skipped"]}
    for name, values in errors.items():
        row |= {f"{name}_rmse": f"{values['rmse']:.6g}", f"{name}_mae": f"{values['mae']:.6g}"}
    return row


def epoch_line(here: Mapping[str, Any], minutes: float, rate: float, loss: float, errors: Mapping[str, Any]) -> str:
    """Epoch, time, learning rate, training loss and validation RMSEs in one line."""
    parts = [f"epoch {here['epoch']:5d}  {minutes:7.2f} min  rate {rate:.2e}  loss {loss:.4e}"]
    parts += [f"{name.replace('_', ' ')} {values['rmse']:.3g} {UNITS[name]}" for name, values in errors.items() if name != "stress"]
    if here["skipped"]:
        parts.append(f"WARNING: {here['skipped']} steps skipped, loss or gradient not finite")
    return "  ".join(parts)


class Progress:
    """A bar with the time left on a terminal; silent elsewhere. Lines go above the bar."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        layout = "{percentage:5.1f}% |{bar}| {elapsed} < {remaining}{postfix}"
        self._bar = tqdm(total=1.0, bar_format=layout, disable=quiet or not sys.stderr.isatty(), leave=False)

    def update(self, share: float, loss: float) -> None:
        """Show the share done and the latest loss."""
        if self._bar.disable:
            return
        if self._bar.n == 0:
            self._bar.initial = share
        self._bar.set_postfix_str(f"loss {loss:.3e}", refresh=False)
        self._bar.update(share - self._bar.n)

    def line(self, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


def _write_whole(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
